"""A recall takes every decision back once: what has not left is cancelled, what has is compensated, the rest named."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import text

from benchmarks.passed import passed
from pipeline_project.domain.core.errors import RecallRefused
from pipeline_project.domain.core.model_terms import RolloutTerms
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.deciding.recorded import NewDecision
from pipeline_project.domain.lifecycle.recall.effects import Again, Data, Touched, beside, spans
from pipeline_project.domain.lifecycle.rollout.stages import Watched
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.rollout.recalls import RecallRequest, RecallResult, Recalls
from resources.ledger.rollout.store import PostgresRolloutMonitoring
from resources.postgres.databases import engine_of
from tests.resources.ledger.outbox.outbox_desk import FLOW, NIGHT, Desk

BY = "shell:ada"


@pytest.fixture
def desk(ledger: PostgresLedger) -> Desk:
    return Desk(ledger, ledger.url)


@pytest.fixture
def recalls(desk: Desk) -> Recalls:
    return Recalls(desk.url)


def rows(desk: Desk, query: str) -> list[dict[str, Any]]:
    with engine_of(desk.url).connect() as connection:
        return [dict(row._mapping) for row in connection.execute(text(query))]


def flipped(recalls: Recalls, *cases: str) -> list[Again]:
    touched = [each for each in recalls.touched(FLOW, "night", NIGHT) if each.case_id in cases]
    return beside(touched, dict.fromkeys(cases, "ask_person"))


def apply(recalls: Recalls, desk: Desk, again: list[Again]) -> RecallResult:
    return recalls.apply(RecallRequest(FLOW, "night", NIGHT, "the source was wrong", BY), again, desk.terms)


def test_what_has_not_left_is_cancelled_once(desk: Desk, recalls: Recalls) -> None:
    desk.ready("A", "B")
    again = flipped(recalls, "A")
    assert len(again) == 1
    assert again[0].flips
    assert again[0].would_be == "ask_person"

    first = apply(recalls, desk, again)
    assert first.decisions == 1
    assert first.cancelled > 0
    assert apply(recalls, desk, again) == RecallResult(), "twice adds nothing"

    states = rows(desk, "SELECT case_id, array_agg(DISTINCT state) AS states FROM actions GROUP BY 1 ORDER BY 1")
    assert states[0] == {"case_id": "A", "states": ["cancelled"]}
    assert "cancelled" not in states[1]["states"], "who was decided alike keeps its actions"
    assert [each.recalled for each in recalls.touched(FLOW, "night", NIGHT)] == [True, False]


def test_what_has_left_is_compensated_by_actions_that_name_it(desk: Desk, recalls: Recalls) -> None:
    desk.ready("A")
    kinds = [kind for kind in desk.terms.kinds.values() if kind.undo]
    name = kinds[0].name
    desk.run("UPDATE actions SET state = 'done', settled_at = now() WHERE kind = :kind", kind=name)
    made = apply(recalls, desk, flipped(recalls, "A"))
    assert made.compensations == 1
    ((undo),) = rows(desk, "SELECT kind, undoes, money FROM actions WHERE undoes IS NOT NULL")
    (undone,) = rows(desk, f"SELECT key FROM actions WHERE kind = '{name}'")
    assert undo["undoes"] == undone["key"]
    assert undo["money"] == 0
    apply(recalls, desk, flipped(recalls, "A"))
    assert len(rows(desk, "SELECT 1 FROM actions WHERE undoes IS NOT NULL")) == 1


def test_what_is_past_the_point_of_no_return_is_named_and_left(desk: Desk, recalls: Recalls) -> None:
    desk.ready("A")
    desk.run("UPDATE actions SET state = 'done', settled_at = now()")
    made = apply(recalls, desk, flipped(recalls, "A"))
    assert made.for_good == ("A",)
    assert made.compensations == made.cancelled == 0
    (kept,) = rows(desk, "SELECT was, would_be, for_good FROM recalled_decisions")
    assert (kept["was"], kept["would_be"]) == ("refund_and_restock", "ask_person")
    assert kept["for_good"] > 0


def test_two_at_once_take_back_once(desk: Desk, recalls: Recalls) -> None:
    desk.ready("A", "B", "C")
    again = flipped(recalls, "A", "B", "C")
    made: list[RecallResult] = []
    threads = [threading.Thread(target=lambda: made.append(apply(recalls, desk, again))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(made) == 4
    assert sum(each.decisions for each in made) == 3
    assert len(rows(desk, "SELECT 1 FROM recalled_decisions")) == 3
    assert len(rows(desk, "SELECT 1 FROM recalls")) == 1


def test_a_second_recall_keeps_its_own_person_reason_and_data(desk: Desk, recalls: Recalls) -> None:
    desk.ready("A", "B", "C")

    def ask(case: str, reason: str, by: str, data: Data = "decided") -> int:
        recall = RecallRequest(FLOW, "night", NIGHT, reason, by, data)
        return recalls.apply(recall, flipped(recalls, case), desk.terms).decisions

    assert ask("A", "the source was wrong", BY) == 1
    assert ask("B", "the amounts were wrong too", "shell:bob", "repaired") == 1
    assert ask("B", "the amounts were wrong too", "shell:bob", "repaired") == 0
    assert ask("C", "the source was wrong", BY) == 1, "the first one goes on where it stopped"
    assert ask("A", "the source was wrong", "shell:cleo") == 0
    told = rows(
        desk,
        "SELECT d.case_id, coalesce(a.reason, r.reason) AS reason, coalesce(a.by, r.by) AS by, "
        "coalesce(a.data, r.data) AS data FROM recalled_decisions d JOIN recalls r ON r.id = d.recall "
        "LEFT JOIN recalls_again a ON a.recall = d.recall AND a.round = d.round ORDER BY 1",
    )
    assert [tuple(row.values()) for row in told] == [
        ("A", "the source was wrong", BY, "decided"),
        ("B", "the amounts were wrong too", "shell:bob", "repaired"),
        ("C", "the source was wrong", BY, "decided"),
    ]
    again = rows(desk, "SELECT round, by FROM recalls_again ORDER BY round")
    assert again == [{"round": 2, "by": "shell:bob"}, {"round": 3, "by": "shell:cleo"}]
    (chained,) = rows(desk, "SELECT count(*) AS n FROM audit_rows WHERE source = 'recalls_again'")
    assert chained["n"] == 2


def test_a_person_who_decided_in_the_meantime_has_the_last_word(desk: Desk, recalls: Recalls) -> None:
    desk.ready("A")
    again = flipped(recalls, "A")
    desk.run(
        "INSERT INTO decisions (workflow, case_id, epoch, night, option, reason, spec_hash, data_versions, attempt, "
        "run_id, made_by) SELECT workflow, case_id, 2, night, option, 'agreed', spec_hash, data_versions, attempt, "
        "run_id, 'person:bob' FROM decisions"
    )
    assert apply(recalls, desk, again) == RecallResult()
    assert recalls.touched(FLOW, "night", NIGHT) == []


def test_what_is_touched_by_model_policy_and_night(desk: Desk, recalls: Recalls, ledger: PostgresLedger) -> None:
    ledger.record_model(ModelVersion(FLOW, "7", "2025-03-01", "7" * 64, "run-7", {}))
    ledger.record_workflow(FLOW, "spe2", {"name": FLOW})
    attempt = ledger.begin_attempt(FLOW, NIGHT, "run")
    decided = [
        NewDecision("A", "refund_and_restock", "cheapest", spec_hash="spec", data_versions={}, model_version="7"),
        NewDecision("B", "refund_and_restock", "cheapest", spec_hash="spe2", data_versions={}),
    ]
    ledger.record_decisions(FLOW, NIGHT, attempt, decided, basis=passed(ledger, FLOW, NIGHT))

    def of(kind: Any, named: str) -> list[str]:
        return [each.case_id for each in recalls.touched(FLOW, kind, named)]

    assert of("model", "7") == ["A"]
    assert of("policy", recalls.policy_hash(FLOW, "spe2")) == ["B"]
    assert of("night", NIGHT) == ["A", "B"]
    assert of("night", "2025-03-06") == []
    with pytest.raises(RecallRefused, match="more than one policy"):
        recalls.policy_hash(FLOW, "sp")
    with pytest.raises(RecallRefused, match="no policy of claims"):
        recalls.policy_hash(FLOW, "%")


def test_every_recall_stands_in_the_chain(desk: Desk, recalls: Recalls) -> None:
    desk.ready("A")
    apply(recalls, desk, flipped(recalls, "A"))
    for table in ("recalls", "recalled_decisions"):
        (chained,) = rows(desk, f"SELECT count(*) AS n FROM audit_rows WHERE source = '{table}'")
        assert chained["n"] == 1, table


def test_nights_are_read_in_stretches() -> None:
    assert spans([]) == []
    assert spans(["2025-03-01"]) == [("2025-03-01", "2025-03-01")]
    nights = [f"2025-03-{day:02d}" for day in (1, 2, 9, 14, 15, 30, 2)]
    assert spans(nights, 14) == [("2025-03-01", "2025-03-14"), ("2025-03-15", "2025-03-15"), ("2025-03-30",) * 2]


def test_a_decision_that_would_be_the_same_does_not_flip() -> None:
    touched = Touched("A", 1, NIGHT, "refund", "cheapest")
    same, other = Again(touched, "refund"), Again(touched, "restock")
    assert (same.flips, other.flips) == (False, True)
    with pytest.raises(KeyError):
        beside([touched], {})


def test_a_breach_holds_large_actions_that_were_not_sent_until_people_let_them_go(desk: Desk) -> None:
    desk.ready("A")
    desk.decide("B", night="2025-03-06")
    desk.ask(*desk.plan("B", night="2025-03-06", price=5_000))
    large = [row for row in rows(desk, "SELECT case_id, money FROM actions") if row["money"] > 1_000]
    assert [row["case_id"] for row in large] == ["B"]
    made = PostgresRolloutMonitoring(desk.url).answer_breach(
        FLOW, Watched("7", NIGHT, 0.05), NIGHT, RolloutTerms(hold_above=1_000.0), "too wrong"
    )
    assert made is not None
    assert (made.answer, made.held) == ("review_all", 1)
    (held,) = rows(desk, "SELECT case_id, held_reason FROM actions WHERE state = 'held'")
    assert held == {"case_id": "B", "held_reason": "amount"}
    (told,) = rows(desk, "SELECT worker FROM action_events WHERE event = 'held'")
    assert told == {"worker": "live_check"}
