"""An answer is a decision, an outcome, actions and an audit batch, or none of them."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import DBAPIError

from pipeline_project.domain.core.errors import AnswerRefused, KeyTaken, StaleClaim
from pipeline_project.domain.delivery.planning import plan_actions
from pipeline_project.domain.review.answers import Answer
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.outbox.outbox import enqueue
from resources.postgres.databases import engine_of
from tests.domain.review.review_terms import FLOW, REFUND, TERMS
from tests.resources.ledger.review.tasks_desk import ANNA, BERT, NIGHT, Desk, new_task


@pytest.fixture
def desk(ledger: PostgresLedger) -> Desk:
    return Desk(ledger)


def written(desk: Desk) -> dict[str, int]:
    """How many rows an answer has left, by table."""
    tables = ("review_answers", "outcomes", "actions", "review_proposals")
    found = {name: desk.column(f"SELECT count(*) FROM {name}")[0] for name in tables}
    return {**found, "decided": desk.column("SELECT count(*) FROM decisions WHERE epoch = 2")[0]}


NOTHING = {"review_answers": 0, "outcomes": 0, "actions": 0, "review_proposals": 0, "decided": 0}


def test_an_answer_decides_its_case(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    answered = desk.decide(task)
    assert (answered.epoch, answered.actions, answered.proposal) == (2, 2, None)
    decision = desk.ledger.decision(FLOW, "a")
    assert decision is not None
    told = ("option", "reason", "reasons", "made_by", "epoch", "night", "spec_hash", "propensity")
    assert [getattr(decision, name) for name in told] == [
        "refund", "policy", ["The house rules say so"], "person:anna", 2, NIGHT, "spec", 0.25,
    ]  # fmt: skip
    assert desk.state(task) == "complete"
    assert desk.rows("SELECT kind, epoch, money::float AS money, state FROM actions ORDER BY step") == [
        {"kind": "notice", "epoch": 2, "money": 0.0, "state": "waiting"},
        {"kind": "refund", "epoch": 2, "money": 40.0, "state": "waiting"},
    ]
    answers = desk.rows("SELECT person, option, label, reason, note, amount, decided_epoch FROM review_answers")
    assert answers == [
        {
            "person": "anna",
            "option": "refund",
            "label": "defective",
            "reason": "policy",
            "note": "sealed:note",
            "amount": 40.0,
            "decided_epoch": 2,
        }
    ]


def test_an_answer_is_an_outcome_that_training_sees(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    desk.decide(task)
    now = datetime.now(UTC)
    known = desk.ledger.outcomes_known(FLOW, now + timedelta(minutes=1))
    assert known[["case_id", "label"]].to_dict("list") == {"case_id": ["a"], "label": ["defective"]}
    assert desk.ledger.outcomes_since(FLOW, now - timedelta(hours=1), now + timedelta(minutes=1)) == 1
    assert desk.ledger.outcomes_known(FLOW, now - timedelta(hours=1)).empty
    assert desk.rows("SELECT source FROM outcomes WHERE case_id = 'a'") == [{"source": "review"}]


def test_the_chain_covers_the_answer_but_not_its_words(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    desk.decide(task)
    rows = desk.rows("SELECT b.kind, r.source, r.body FROM audit_rows r JOIN audit_batches b ON b.number = r.batch")
    mine = [row for row in rows if row["kind"] == "answers"]
    assert {row["source"] for row in mine} == {
        "review_answers", "decisions", "outcomes", "actions", "night_spending"
    }  # fmt: skip
    assert not any("sealed:note" in row["body"] for row in rows)
    assert max(desk.column("SELECT number FROM audit_batches WHERE kind = 'answers'")) == max(
        desk.column("SELECT number FROM audit_batches")
    )


@pytest.mark.parametrize(
    "answer",
    [
        replace(REFUND, option="gift"),
        replace(REFUND, label="odd"),
        replace(REFUND, reason="mood"),
        replace(REFUND, note="x" * 32_001),
    ],
)
def test_an_answer_the_workflow_does_not_know_is_refused(desk: Desk, answer: Answer) -> None:
    (task,) = desk.ask(new_task("a"))
    with pytest.raises(AnswerRefused):
        desk.decide(task, answer=answer)
    assert written(desk) == NOTHING and desk.state(task) == "in_progress"


def test_a_person_may_deny(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    assert desk.decide(task, answer=replace(REFUND, option="reject")).epoch == 2


def test_a_stale_writer_writes_nothing(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    held = desk.take(task)
    desk.end_lease(task)
    with pytest.raises(StaleClaim):
        desk.say(held)
    desk.take(task, BERT)
    with pytest.raises(StaleClaim, match="somebody else took"):
        desk.say(held)
    assert written(desk) == NOTHING


def test_an_answer_given_twice_counts_once(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    held = desk.take(task)
    desk.say(held)
    with pytest.raises(StaleClaim, match="complete already"):
        desk.say(held)
    assert written(desk) == {"review_answers": 1, "outcomes": 1, "actions": 2, "review_proposals": 0, "decided": 1}


def test_one_answer_sent_by_eight_threads_counts_once(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    held, start, said = desk.take(task), threading.Barrier(8), []

    def work() -> None:
        start.wait()
        try:
            said.append(desk.say(held).epoch)
        except StaleClaim:
            said.append(None)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said, key=str) == [2, *[None] * 7]
    assert written(desk)["decided"] == 1


def test_an_answer_that_cannot_be_carried_out_leaves_nothing(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a", content={"fields": {"price": None}}))
    with pytest.raises(AnswerRefused, match="refund cannot be carried out"):
        desk.decide(task)
    assert written(desk) == NOTHING and desk.state(task) == "in_progress"
    assert desk.decide(task, answer=replace(REFUND, option="keep")).epoch == 2


def test_an_error_at_the_very_end_takes_everything_back(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    held = desk.take(task)
    desk.write("ALTER TABLE audit_batches ADD CONSTRAINT no_answers CHECK (kind <> 'answers') NOT VALID")
    try:
        with pytest.raises(Exception, match="no_answers"):
            desk.say(held)
    finally:
        desk.write("ALTER TABLE audit_batches DROP CONSTRAINT no_answers")
    assert written(desk) == NOTHING and desk.state(task) == "in_progress"
    assert desk.say(held).epoch == 2


def test_a_case_decided_elsewhere_closes_its_task(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    held = desk.take(task)
    desk.write(
        "INSERT INTO decisions (workflow, case_id, epoch, night, option, reason, spec_hash, data_versions, attempt, "
        "run_id) SELECT workflow, case_id, 2, night, 'keep', 'x', spec_hash, data_versions, attempt, run_id "
        "FROM decisions"
    )
    with pytest.raises(StaleClaim, match="decided elsewhere"):
        desk.say(held)
    assert desk.state(task) == "failed"
    assert desk.column("SELECT count(*) FROM outcomes") == [0]


def test_a_case_shown_again_decides_nothing(desk: Desk) -> None:
    desk.terms = replace(TERMS, repeats=1.0)
    (task,) = desk.ask(new_task("a"))
    desk.say(desk.take(task), reviewers=["anna", "bert"])
    again = desk.tasks.next_task(BERT)
    assert again is not None and again.case_id == "a" and desk.tasks.next_task(ANNA) is None
    before = written(desk)
    answered = desk.say(again, BERT, replace(REFUND, option="keep", label="fine"), reviewers=["anna", "bert"])
    assert answered.epoch is None
    assert written(desk) == {**before, "review_answers": 2}
    assert desk.column("SELECT option FROM decisions WHERE epoch = 2") == ["refund"]


def test_facts_stay(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    desk.decide(task)
    for statement in ("UPDATE review_answers SET label = 'fine'", "DELETE FROM review_answers"):
        with pytest.raises(DBAPIError, match="facts"):
            desk.write(statement)


def test_the_same_action_with_another_content_is_refused(desk: Desk) -> None:
    (task,) = desk.ask(new_task("a"))
    desk.decide(task)
    planned = plan_actions(desk.acting, NIGHT, "a", 2, "refund", {"price": 41.0})
    with pytest.raises(KeyTaken), engine_of(desk.ledger.url).begin() as connection:
        enqueue(connection, planned, desk.acting)
