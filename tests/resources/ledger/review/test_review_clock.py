"""What time does to tasks: once, whoever asks and however often."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from pipeline_project.domain.core.errors import AnswerRefused, StaleClaim
from pipeline_project.domain.review.due import Ticked
from pipeline_project.domain.review.order import WEIGHTS
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.review import clock
from tests.domain.review.review_terms import FLOW, REFUND, TERMS
from tests.resources.ledger.review.tasks_desk import ANNA, BERT, CLEO, Desk, new_task

LATE = -TERMS.lapse_hours - 1
ALERTLESS = Ticked()


@pytest.fixture
def desk(ledger: PostgresLedger) -> Desk:
    return Desk(ledger)


def notices(desk: Desk) -> list[tuple[str, int]]:
    rows = desk.rows("SELECT kind, level FROM review_notices ORDER BY kind DESC, level")
    return [(row["kind"], row["level"]) for row in rows]


def test_nothing_is_due_when_nothing_is_due(desk: Desk) -> None:
    desk.ask(new_task("a"))
    assert desk.tick() == ALERTLESS and notices(desk) == []


def test_a_claim_whose_lease_ended_goes_back(desk: Desk) -> None:
    ended, held = desk.ask(new_task("a"), new_task("b"))
    stale = desk.take(ended)
    desk.take(held, BERT)
    desk.end_lease(ended)
    assert desk.tick().returned == 1
    assert (desk.state(ended), desk.state(held)) == ("pending", "in_progress")
    with pytest.raises(StaleClaim):
        desk.say(stale)
    assert desk.tick().returned == 0
    assert [event.event for event in desk.tasks.history(ended)] == ["claim", "lease_ended"]


def test_each_reminder_is_written_once(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    desk.hours_left(task, 23.9)
    assert [desk.tick().reminded for _ in range(3)] == [1, 0, 0]
    assert notices(desk) == [("reminder", 1)]
    desk.hours_left(task, 3.9)
    assert [desk.tick().reminded for _ in range(2)] == [1, 0]
    assert notices(desk) == [("reminder", 1), ("reminder", 2)]
    assert [notice.level for notice in desk.tasks.notices(task)] == [1, 2]


def test_a_task_past_its_due_time_goes_to_the_approvers(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    desk.write("UPDATE review_tasks SET assigned_to = 'anna'")
    desk.hours_left(task, -0.1)
    ticked = desk.tick()
    assert (ticked.escalated, ticked.waiting) == (1, 1)
    assert desk.tick() == Ticked(waiting=1)
    assert desk.state(task) == "escalated" and ("escalation", 1) in notices(desk)
    assert desk.tasks.next_task(ANNA) is None
    assert desk.column("SELECT assigned_to FROM review_tasks") == [None]
    found = desk.tasks.next_task(CLEO)
    assert found is not None
    assert desk.say(found, CLEO).epoch == 2
    assert desk.tick() == ALERTLESS


def test_a_task_in_hand_is_left_in_hand(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    held = desk.take(task)
    desk.hours_left(task, LATE)
    assert (desk.tick().escalated, desk.state(task)) == (0, "in_progress")
    assert desk.say(held).epoch == 2


def test_a_proposal_that_nobody_looks_at_is_told(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a", 401.0))
    desk.decide(task)
    desk.hours_left(task, -1)
    assert desk.tick().waiting == 1 and ("escalation", 1) in notices(desk)
    assert desk.state(task) == "in_progress" and desk.tick() == Ticked(waiting=1)


def test_without_a_safe_default_a_lapsed_task_stays(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    desk.hours_left(task, LATE)
    assert desk.tick().stayed == 1
    assert desk.tick() == Ticked(waiting=1)
    assert desk.state(task) == "escalated" and ("lapse", 1) in notices(desk)
    assert desk.column("SELECT count(*) FROM decisions WHERE epoch > 1") == [0]


def test_what_stays_does_not_keep_others_from_lapsing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "LAPSES_A_TICK", 1)
    desk.terms = replace(TERMS, safe_default="refund")
    for task in desk.ask(new_task("a", 401.0), new_task("b")):
        desk.hours_left(task, LATE)
    assert [(ticked.stayed, ticked.lapsed) for ticked in (desk.tick(), desk.tick())] == [(1, 0), (0, 1)]


def test_a_safe_default_decides_a_lapsed_task_once(desk: Desk) -> None:
    desk.terms = replace(TERMS, safe_default="refund")
    (task,) = desk.ask(new_task("a"))
    desk.hours_left(task, LATE)
    assert desk.tick().lapsed == 1
    assert desk.tick() == ALERTLESS
    assert desk.state(task) == "expired"
    assert desk.rows("SELECT option, reason, made_by, epoch FROM decisions WHERE epoch > 1") == [
        {"option": "refund", "reason": "lapsed", "made_by": "policy", "epoch": 2}
    ]
    assert desk.column("SELECT count(*) FROM actions") == [2]
    assert desk.column("SELECT count(*) FROM outcomes") == [0]


def test_a_default_never_denies(desk: Desk) -> None:
    desk.terms = replace(TERMS, safe_default="reject")
    (task,) = desk.ask(new_task("a"))
    desk.hours_left(task, LATE)
    with pytest.raises(AnswerRefused, match="only people do"):
        desk.tick()
    assert desk.column("SELECT count(*) FROM decisions WHERE epoch > 1") == [0]


@pytest.mark.parametrize("task", [new_task("a", 401.0), new_task("a", content={"fields": {}}), new_task("a", None)])
def test_what_needs_two_people_or_cannot_be_done_waits_for_them(desk: Desk, task: object) -> None:
    desk.terms = replace(TERMS, safe_default="refund")
    (given,) = desk.ask(task)  # type: ignore[arg-type]
    desk.hours_left(given, LATE)
    assert (desk.tick().stayed, desk.tick()) == (1, Ticked(waiting=1))
    assert desk.state(given) == "escalated"


def test_defaults_of_one_customer_add_up(desk: Desk) -> None:
    desk.terms = replace(TERMS, safe_default="refund")
    given = desk.ask(*[new_task(case, 250.0, subject="one-customer") for case in "ab"])
    assert desk.decide(given[0], answer=REFUND).epoch == 2
    desk.hours_left(given[1], LATE)
    assert desk.tick().stayed == 1


def test_a_case_decided_elsewhere_fails_its_task(desk: Desk) -> None:
    desk.terms = replace(TERMS, safe_default="keep")
    (task,) = desk.ask(new_task("a"))
    desk.hours_left(task, LATE)
    desk.write(
        "INSERT INTO decisions (workflow, case_id, epoch, night, option, reason, spec_hash, data_versions, attempt, "
        "run_id) SELECT workflow, case_id, 2, night, 'keep', 'x', spec_hash, data_versions, attempt, run_id "
        "FROM decisions"
    )
    assert desk.tick().failed == 1
    assert desk.state(task) == "failed" and desk.tick() == ALERTLESS


def test_samples_wait_and_cases_shown_again_just_end(desk: Desk) -> None:
    desk.terms = replace(TERMS, safe_default="refund")
    sample, again = desk.ask(new_task("a"), new_task("b"))
    desk.write("UPDATE review_tasks SET kind = 'sample' WHERE id = :id", id=sample)
    desk.write("UPDATE review_tasks SET kind = 'repeat' WHERE id = :id", id=again)
    for task in (sample, again):
        desk.hours_left(task, LATE)
    desk.tick()
    assert (desk.state(sample), desk.state(again)) == ("escalated", "expired")
    assert desk.column("SELECT count(*) FROM decisions WHERE epoch > 1") == [0]


def test_members_held_back_too_long_are_set_free(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    desk.write("UPDATE review_tasks SET held_by = 7")
    desk.hours_left(task, -1)
    assert desk.tick().freed == 1
    assert desk.column("SELECT held_by FROM review_tasks") == [None]


# -- order ---------------------------------------------------------------------------------------------------


def test_what_is_due_moves_to_the_front(desk: Desk) -> None:
    much, soon = desk.ask(new_task("much", benefit=30.0), new_task("soon", benefit=1.0))
    desk.hours_left(soon, 1.9)
    assert desk.tick().reordered == 1 and desk.tick().reordered == 0
    (first, second) = desk.tasks.queue().rows
    assert (first.id, second.id) == (soon, much)
    assert "due within 2 hours" in first.priority_reason
    assert first.priority == pytest.approx(1.0 + 0.4 * 4.5 + WEIGHTS.due_worth[3] * 4.5)
    desk.hours_left(soon, -1)
    desk.tick()
    assert desk.tasks.queue().rows[0].priority == pytest.approx(1.0 + 0.4 * 4.5 + WEIGHTS.due_worth[4] * 4.5)


def test_the_order_does_not_take_a_task_out_of_a_hand(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    held = desk.take(task)
    desk.hours_left(task, 1)
    assert desk.tick().reordered == 1
    assert desk.say(held).epoch == 2


# -- doubled -------------------------------------------------------------------------------------------------


def test_four_clocks_at_once_do_what_one_does(desk: Desk) -> None:
    desk.terms = replace(TERMS, safe_default="refund")
    tasks = desk.ask(*[new_task(f"c{i:02}") for i in range(24)])
    for place, task in enumerate(tasks):
        desk.hours_left(task, (LATE, -1, 3, 20)[place % 4])
        if place >= 12:
            desk.take(task)
            desk.end_lease(task)
    start, failed = threading.Barrier(4), []

    def work() -> None:
        start.wait()
        try:
            for _ in range(3):
                desk.tick()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert desk.tick().changed() is False
    counts = desk.rows("SELECT state, count(*) AS n FROM review_tasks GROUP BY 1 ORDER BY 1")
    assert {row["state"]: row["n"] for row in counts} == {"escalated": 6, "expired": 6, "pending": 12}
    assert desk.column("SELECT count(*) FROM decisions WHERE epoch = 2") == [6]
    assert desk.column("SELECT count(*) FROM task_events WHERE event = 'lease_ended'") == [12]


def test_the_clock_assigns_where_it_is_told_to_whom(desk: Desk) -> None:
    desk.ask(*[new_task(f"c{i}") for i in range(5)])
    assert desk.tick(reviewers=[ANNA]).assigned == TERMS.most_tasks
    told = clock.ReviewClock(desk.ledger.url, people=lambda: [ANNA])
    assert told.tick(desk.terms, desk.acting).assigned == 0
    assert desk.tasks.queue().counts["pending"] == 5
    assert {row.assigned_to for row in desk.tasks.queue().rows} == {"anna", None}
    assert desk.tasks.next_task(BERT, FLOW) is not None
