"""A task or proposal that cannot be understood, or was changed behind the ledger's back, goes aside alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline_project.domain.core.errors import SecondPersonNeeded, StaleClaim
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.tables.review import UNREADABLE
from tests.domain.review.review_terms import TERMS
from tests.resources.ledger.review.tasks_desk import ANNA, CLEO, Desk, new_task

#: What somebody may do to a row of `review_tasks`, as the database takes it.
POISON = {
    "nested beyond reading": "content = jsonb_build_object('n', (repeat('[', 5000) || repeat(']', 5000))::jsonb)",
    "a number beyond reading": "content = content || jsonb_build_object('n', ('1' || repeat('0', 9000))::numeric)",
    "opened in another age": "opened_at = '200000-01-01'",
}
#: The first of them harm the content alone: the task can be handed out, and its page says that it is unreadable.
SHOWN = 2
CASES = [f"c{number}" for number in range(len(POISON) + 3)]


@pytest.fixture
def desk(ledger: PostgresLedger) -> Desk:
    return Desk(ledger)


def ill(desk: Desk) -> list[int]:
    """Tasks of which the first ones are poisoned; returns the others."""
    tasks = desk.ask(*[new_task(case) for case in CASES])
    for task, change in zip(tasks, POISON.values(), strict=False):
        desk.write(f"UPDATE review_tasks SET {change} WHERE id = :id", id=task)
    return tasks[len(POISON) :]


def states(desk: Desk) -> list[str]:
    return desk.column("SELECT state FROM review_tasks ORDER BY id")


def test_the_queue_goes_on_past_tasks_that_nobody_can_read(desk: Desk) -> None:
    good = ill(desk)
    # the poisoned ones are the first of the queue
    desk.write("UPDATE review_tasks SET priority = priority + 1000 WHERE id < :first", first=good[0])
    taken, refused = [], []
    while (task := desk.tasks.next_task(ANNA)) is not None:
        try:
            desk.say(task)
            taken.append(task.id)
        except StaleClaim:
            # its page can be shown and says that nobody can read it: it decides nothing, and is gone for others
            assert task.content == UNREADABLE
            refused.append(task.id)
    assert taken == good
    assert len(refused) == SHOWN
    assert desk.column("SELECT count(*) FROM decisions WHERE epoch = 2") == [len(good)]
    assert states(desk) == ["failed"] * len(POISON) + ["complete"] * len(good)
    assert "pipeline audit verify" in desk.column("SELECT note FROM review_tasks WHERE state = 'failed'")[0]


def test_the_clock_goes_on_past_tasks_that_nobody_can_read(desk: Desk) -> None:
    good = ill(desk)
    desk.write("UPDATE review_tasks SET due_at = now() - interval '1000 hours'")
    desk.terms = replace(desk.terms, safe_default="refund")
    ticked = [desk.tick() for _ in range(2)]
    assert sum(each.lapsed for each in ticked) == len(good)
    assert sum(each.failed for each in ticked) == len(POISON) - SHOWN
    # what can still be shown stays with the approvers, and decides nothing
    assert states(desk) == ["escalated"] * SHOWN + ["failed"] * (len(POISON) - SHOWN) + ["expired"] * len(good)
    assert desk.column("SELECT count(*) FROM decisions WHERE epoch = 2") == [len(good)]


def test_a_task_that_shows_something_else_than_it_was_opened_with_decides_nothing(desk: Desk) -> None:
    tasks = desk.ask(new_task("a"), new_task("b"), new_task("c"))
    desk.write(
        "UPDATE review_tasks SET content = jsonb_set(content, '{fields,price}', '39') WHERE id = :id", id=tasks[0]
    )
    desk.write("UPDATE review_tasks SET amount = 1 WHERE id = :id", id=tasks[1])
    for task in tasks[:2]:
        with pytest.raises(StaleClaim, match="not what the audit chain recorded"):
            desk.decide(task)
    assert desk.decide(tasks[2]).epoch == 2
    assert [desk.state(task) for task in tasks] == ["failed", "failed", "complete"]
    assert desk.column("SELECT count(*) FROM decisions WHERE epoch = 2") == [1]


def test_a_proposal_that_nobody_can_read_hides_no_other(desk: Desk) -> None:
    much = TERMS.second_above or 0.0
    made = [desk.decide(task) for task in desk.ask(*[new_task(case, much + 1) for case in ("a", "b", "c")])]
    numbers = [each.proposal for each in made]
    with desk.as_owner() as connection:
        connection.exec_driver_sql(f"UPDATE review_proposals SET proposed_at = '200000-01-01' WHERE id = {numbers[0]}")
    assert [proposal.id for proposal in desk.answers.waiting()] == numbers[1:]
    with pytest.raises(StaleClaim, match="cannot be read"):
        desk.approve(made[0], CLEO)
    assert desk.approve(made[1], CLEO).epoch == 2


def test_a_proposal_that_was_changed_with_its_hash_is_not_what_was_proposed(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a", (TERMS.second_above or 0.0) + 1))
    made = desk.decide(task)
    with desk.as_owner() as connection:
        connection.exec_driver_sql("UPDATE review_proposals SET total = 1")
    with pytest.raises(SecondPersonNeeded, match="as the audit chain has it"):
        desk.approve(made, CLEO)
    assert desk.column("SELECT count(*) FROM decisions WHERE epoch = 2") == [0]
