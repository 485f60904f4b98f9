"""Opening, handing out, holding and giving back, on a real database."""

from __future__ import annotations

import threading
from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy.exc import DBAPIError

from pipeline_project.domain.core.errors import StaleClaim, TaskTaken
from pipeline_project.domain.core.people import PersonRole
from pipeline_project.domain.review.tasks import QueueFilter, TaskClaim, TaskState
from resources.ledger.nights.ledger import PostgresLedger
from tests.domain.review.review_terms import FLOW, somebody
from tests.present import present
from tests.resources.ledger.review.tasks_desk import ANNA, BERT, CLEO, Desk, new_task


@pytest.fixture
def desk(ledger: PostgresLedger) -> Desk:
    return Desk(ledger)


# -- opening -------------------------------------------------------------------------------------------------


def test_a_case_is_asked_once_by_each_decision(desk: Desk) -> None:
    desk.ask(new_task("a"), new_task("b"))
    assert desk.open(new_task("a"), new_task("c")) == 1
    assert desk.column("SELECT case_id FROM review_tasks ORDER BY 1") == ["a", "b", "c"]


def test_a_blind_sample_is_still_the_case_it_was(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    desk.write("UPDATE review_tasks SET kind = 'sample'")
    assert desk.open(new_task("a")) == 0
    shown = desk.tasks.task(task)
    assert shown is not None and not hasattr(shown, "kind")


def test_a_content_that_nobody_can_read_is_one_task_s_trouble(desk: Desk) -> None:
    ill, whole = desk.ask(new_task("ill"), new_task("whole"))
    deep = "jsonb_build_object('fields', (repeat('[', 3000) || repeat(']', 3000))::jsonb)"
    desk.write(f"UPDATE review_tasks SET content = {deep} WHERE case_id = 'ill'")
    taken = [desk.tasks.next_task(who, FLOW) for who in (ANNA, BERT)]
    contents = {task.id: task.content for task in taken if task is not None}
    assert contents[ill] == {"problem": "unreadable"}
    assert contents[whole]["fields"] == {"price": 40.0}


def test_a_task_keeps_what_its_page_shows(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    shown = desk.tasks.task(task)
    assert shown is not None
    assert shown.content["fields"] == {"price": 40.0}
    assert (shown.why, shown.amount, shown.subject, shown.token) == ("doubt", 40.0, "subject-of-a", None)
    assert shown.due_at is not None and round((shown.due_at - shown.opened_at).total_seconds() / 3600) == 72
    assert desk.tasks.task(task + 1) is None


# -- handing out ---------------------------------------------------------------------------------------------


def test_the_next_task_is_the_one_worth_most(desk: Desk) -> None:
    desk.ask(new_task("little", benefit=1.0), new_task("much", benefit=30.0), new_task("some", benefit=9.0))
    taken = [desk.tasks.next_task(ANNA) for _ in range(4)]
    assert [task and task.case_id for task in taken] == ["much", "some", "little", None]
    assert taken[0] is not None and "saves about 30.00 EUR" in taken[0].priority_reason


def test_what_is_assigned_comes_first_and_goes_to_nobody_else(desk: Desk) -> None:
    mine, _ = desk.ask(new_task("mine", benefit=1.0), new_task("other", benefit=9.0))
    desk.write("UPDATE review_tasks SET assigned_to = 'anna' WHERE id = :id", id=mine)
    other = desk.tasks.next_task(BERT)
    assert other is not None and other.case_id == "other"
    assert desk.tasks.next_task(BERT) is None
    with pytest.raises(TaskTaken, match="assigned to somebody else"):
        desk.take(mine, BERT)
    task = desk.tasks.next_task(ANNA)
    assert task is not None and task.id == mine


def test_excluded_people_skills_and_workflows_are_respected(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    desk.write("UPDATE review_tasks SET excluded = '{anna}', skill = 'shoes'")
    skilled = somebody("dora", skills=("shoes",))
    assert desk.tasks.next_task(somebody("anna", skills=("shoes",))) is None
    assert desk.tasks.next_task(BERT) is None
    assert desk.tasks.next_task(skilled, "another_workflow") is None
    with pytest.raises(TaskTaken, match="another role, another skill, or other eyes"):
        desk.take(task, BERT)
    found = desk.tasks.next_task(skilled, FLOW)
    assert found is not None and found.id == task


def test_what_is_held_or_not_ripe_is_not_handed_out(desk: Desk) -> None:
    held, later = desk.ask(new_task("held"), new_task("later"))
    desk.write("UPDATE review_tasks SET held_by = 7 WHERE id = :id", id=held)
    desk.write("UPDATE review_tasks SET not_before = now() + interval '1 hour' WHERE id = :id", id=later)
    assert desk.tasks.next_task(ANNA) is None
    with pytest.raises(TaskTaken, match="cluster"):
        desk.take(held)
    desk.write("UPDATE review_tasks SET not_before = now() - interval '1 hour'")
    found = desk.tasks.next_task(ANNA)
    assert found is not None and found.id == later


def test_escalated_tasks_are_for_approvers(desk: Desk) -> None:
    desk.ask(new_task("a"))
    desk.write("UPDATE review_tasks SET state = 'escalated', escalated_at = now()")
    assert desk.tasks.next_task(ANNA) is None
    found = desk.tasks.next_task(CLEO)
    assert found is not None and found.token is not None
    desk.tasks.give_back(TaskClaim(found.id, found.version, found.token, "cleo"))
    assert desk.state(found.id) == "escalated"


def test_eight_threads_hand_out_two_hundred_tasks_once_each(desk: Desk) -> None:
    ids = desk.ask(*[new_task(f"case-{i:03}") for i in range(200)])
    taken: list[list[int]] = [[] for _ in range(8)]
    start = threading.Barrier(8)

    def work(place: int) -> None:
        start.wait()
        while task := desk.tasks.next_task(somebody(f"person-{place}")):
            taken[place].append(task.id)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(task for part in taken for task in part) == sorted(ids)
    assert desk.column("SELECT count(*) FROM task_events WHERE event = 'claim'") == [200]


# -- holding -------------------------------------------------------------------------------------------------


def test_a_task_in_hand_cannot_be_had_until_its_lease_ends(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    first = desk.take(task)
    with pytest.raises(TaskTaken, match="somebody else's hand"):
        desk.take(task, BERT)
    desk.end_lease(task)
    second = desk.take(task, BERT)
    assert second.token != first.token and second.version == first.version + 1
    assert first.token is not None
    with pytest.raises(StaleClaim, match="somebody else took task"):
        desk.tasks.renew(TaskClaim(task, first.version, first.token, "anna"))
    with pytest.raises(StaleClaim):
        desk.tasks.give_back(TaskClaim(task, first.version, first.token, "anna"))
    assert desk.rows("SELECT event, person FROM task_events ORDER BY version") == [
        {"event": "claim", "person": "anna"},
        {"event": "claim", "person": "bert"},
    ]


@pytest.mark.parametrize("wrong", ["version", "token", "person"])
def test_every_part_of_a_claim_must_be_right(desk: Desk, wrong: str) -> None:
    (task,) = desk.ask(new_task("a"))
    held = desk.take(task)
    assert held.token is not None
    claim = TaskClaim(task, held.version, held.token, "anna")
    bad = {"version": held.version + 1, "token": uuid4(), "person": "bert"}
    with pytest.raises(StaleClaim):
        desk.tasks.renew(replace(claim, **{wrong: bad[wrong]}))  # type: ignore[arg-type]
    assert desk.tasks.renew(claim) > present(held.lease_until)


def test_a_lease_ends_by_the_clock_of_the_database(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    held = desk.take(task)
    assert held.token is not None and held.lease_until is not None
    left = desk.column("SELECT extract(epoch FROM lease_until - claimed_at) / 60 FROM review_tasks")[0]
    assert float(left) == pytest.approx(15)
    desk.end_lease(task)
    with pytest.raises(StaleClaim, match="your claim of task"):
        desk.tasks.renew(TaskClaim(task, held.version, held.token, "anna"))


def test_taking_a_task_again_ends_the_older_token(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    first, second = desk.take(task), desk.take(task)
    assert first.token is not None and second.token is not None
    with pytest.raises(StaleClaim):
        desk.tasks.give_back(TaskClaim(task, first.version, first.token, "anna"))
    desk.tasks.give_back(TaskClaim(task, second.version, second.token, "anna"))
    assert desk.state(task) == "pending"


def test_the_database_refuses_half_a_claim_and_a_changed_event(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    desk.take(task)
    for statement in (
        "UPDATE review_tasks SET claim_token = NULL",
        "UPDATE review_tasks SET state = 'pending'",
        "UPDATE review_tasks SET state = 'complete'",
        "UPDATE task_events SET person = 'bert'",
        "DELETE FROM task_events",
    ):
        with pytest.raises(DBAPIError):
            desk.write(statement)


# -- looking -------------------------------------------------------------------------------------------------


def test_the_queue_comes_in_pages_and_order(desk: Desk) -> None:
    desk.ask(*[new_task(f"c{i}", benefit=float(i // 2)) for i in range(7)])
    first = desk.tasks.queue(limit=3)
    second = desk.tasks.queue(limit=3, after=first.after)
    third = desk.tasks.queue(limit=3, after=second.after)
    pages = [[row.case_id for row in page.rows] for page in (first, second, third)]
    assert pages == [["c6", "c4", "c5"], ["c2", "c3", "c0"], ["c1"]]
    assert third.after is None and first.counts == {"pending": 7, "in_progress": 0, "escalated": 0}


def test_the_queue_can_be_narrowed(desk: Desk) -> None:
    ids = desk.ask(new_task("a", cluster="kettles"), new_task("b", why="denial"), new_task("c"))
    desk.take(ids[2])
    for filters, cases in (
        (QueueFilter(cluster="kettles"), ["a"]),
        (QueueFilter(why="denial"), ["b"]),
        (QueueFilter(states=(TaskState.IN_PROGRESS,)), ["c"]),
        (QueueFilter(workflow="another"), []),
    ):
        assert [row.case_id for row in desk.tasks.queue(filters).rows] == cases


def test_what_is_mine(desk: Desk) -> None:
    one, two = desk.ask(new_task("a"), new_task("b"))
    desk.take(one)
    desk.write("UPDATE review_tasks SET assigned_to = 'anna' WHERE id = :id", id=two)
    mine = desk.tasks.mine("anna")
    assert ([row.id for row in mine.in_hand], [row.id for row in mine.assigned]) == ([one], [two])
    assert desk.tasks.mine("bert").in_hand == []


def test_each_reveal_is_written_down(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    held = desk.take(task)
    assert desk.tasks.reveal(task, "anna", "email", held.token) == "sealed:a"
    assert desk.rows("SELECT person, field, case_id FROM reveals") == [
        {"person": "anna", "field": "email", "case_id": "a"}
    ]
    assert desk.column("SELECT count(*) FROM audit_batches WHERE kind = 'reveals'") == [1]
    for person, name, token, error in (
        ("bert", "email", held.token, StaleClaim),
        ("anna", "email", None, StaleClaim),
        ("anna", "price", held.token, TaskTaken),
    ):
        with pytest.raises(error):
            desk.tasks.reveal(task, person, name, token)
    desk.end_lease(task)
    with pytest.raises(StaleClaim):
        desk.tasks.reveal(task, "anna", "email", held.token)
    assert desk.column("SELECT count(*) FROM reveals") == [1]


# -- assigning -----------------------------------------------------------------------------------------------


def test_tasks_go_to_the_least_loaded_up_to_the_cap(desk: Desk) -> None:
    ids = desk.ask(*[new_task(f"c{i}", benefit=float(10 - i)) for i in range(7)])
    desk.take(ids[6], ANNA)
    given = desk.tasks.assign(FLOW, [ANNA, BERT, CLEO], most_tasks=3)
    rows = desk.rows("SELECT assigned_to, count(*) FROM review_tasks GROUP BY 1 ORDER BY 1 NULLS LAST")
    assert given == 5 and [(row["assigned_to"], row["count"]) for row in rows] == [("anna", 2), ("bert", 3), (None, 2)]
    assert desk.column("SELECT assigned_to FROM review_tasks WHERE id = :id", id=ids[0]) == ["bert"]
    assert desk.tasks.assign(FLOW, [ANNA, BERT], most_tasks=3) == 0


def test_what_is_assigned_to_somebody_who_left_is_anybodys_again(desk: Desk) -> None:
    desk.ask(new_task("a"))
    assert desk.tasks.assign(FLOW, [ANNA], most_tasks=3) == 1
    assert desk.tasks.assign(FLOW, [BERT], most_tasks=3) == 1
    assert desk.column("SELECT assigned_to FROM review_tasks") == ["bert"]
    assert desk.column("SELECT event FROM task_events ORDER BY version") == ["assign", "unassign", "assign"]


def test_assigning_respects_skills_and_exclusions(desk: Desk) -> None:
    one, two = desk.ask(new_task("a"), new_task("b"))
    desk.write("UPDATE review_tasks SET skill = 'shoes' WHERE id = :id", id=one)
    desk.write("UPDATE review_tasks SET excluded = '{anna}' WHERE id = :id", id=two)
    assert desk.tasks.assign(FLOW, [ANNA, somebody("auditor", PersonRole.AUDITOR)], most_tasks=9) == 0
    assert desk.tasks.assign(FLOW, [ANNA, somebody("dora", skills=("shoes",))], most_tasks=9) == 2
    assert set(desk.column("SELECT assigned_to FROM review_tasks")) == {"dora"}
