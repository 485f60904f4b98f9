from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from benchmarks.passed import passed
from pipeline_project.domain.core.errors import LedgerRefused, StaleAttempt
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.deciding.recorded import NewDecision
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.nights.statements import hold_fence
from resources.postgres.databases import connected, engine_of

FLOW, NIGHT = "returns", "2026-03-04"
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def decision(case_id: str, option: str = "refund", reason: str = "cheapest", **more: Any) -> NewDecision:
    return NewDecision(case_id, option, reason, **{"spec_hash": "spec", "data_versions": {"a": 1}, **more})


def model(version: str, night: str = "2026-02-01", digest: str = "d") -> ModelVersion:
    return ModelVersion(FLOW, version, night, digest * 64, f"run-{version}", {"auc": 0.7})


@pytest.fixture
def known(ledger: PostgresLedger) -> PostgresLedger:
    ledger.record_workflow(FLOW, "spec", {"name": FLOW})
    return ledger


def total(ledger: PostgresLedger) -> int:
    return int(ledger.counts(FLOW)["cases"].sum())


def test_a_night_decided_twice_keeps_its_first_decisions(known: PostgresLedger) -> None:
    first = known.begin_attempt(FLOW, NIGHT, "run-1")
    made = known.record_decisions(
        FLOW, NIGHT, first, [decision("b"), decision("a", "reject")], basis=passed(known, FLOW, NIGHT)
    )
    assert made[["case_id", "option", "new"]].to_dict("list") == {
        "case_id": ["b", "a"],
        "option": ["refund", "reject"],
        "new": [True, True],
    }
    before = known.decision(FLOW, "a")
    second = known.begin_attempt(FLOW, NIGHT, "run-2")
    again = known.record_decisions(
        FLOW, NIGHT, second, [decision("a", "refund"), decision("c")], basis=passed(known, FLOW, NIGHT)
    )
    assert again[["case_id", "option", "new"]].to_dict("list") == {
        "case_id": ["a", "c"],
        "option": ["reject", "refund"],
        "new": [False, True],
    }
    assert known.decision(FLOW, "a") == before
    assert total(known) == 3


def test_a_case_that_comes_again_on_another_night_is_not_decided_again(known: PostgresLedger) -> None:
    for night, option in [(NIGHT, "refund"), ("2026-03-05", "reject")]:
        attempt = known.begin_attempt(FLOW, night, "run")
        standing = known.record_decisions(
            FLOW, night, attempt, [decision("a", option)], basis=passed(known, FLOW, night)
        )
    assert standing[["option", "night", "new"]].values.tolist() == [["refund", NIGHT, False]]


def test_two_that_decide_the_same_cases_at_once_agree(known: PostgresLedger) -> None:
    nights = ["2026-03-04", "2026-03-05"]
    attempts = {night: known.begin_attempt(FLOW, night, night) for night in nights}
    cases = [f"case-{number}" for number in range(300)]
    barrier, answers = threading.Barrier(2), {}

    def decide(night: str, order: list[str]) -> None:
        rows = [decision(case, f"option-{night}") for case in order]
        barrier.wait()
        answers[night] = known.record_decisions(FLOW, night, attempts[night], rows, basis=passed(known, FLOW, night))

    threads = [
        threading.Thread(target=decide, args=(nights[0], cases)),
        threading.Thread(target=decide, args=(nights[1], cases[::-1])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one, other = (answers[night].set_index("case_id").loc[cases] for night in nights)
    assert one["option"].tolist() == other["option"].tolist()
    assert (one["new"] ^ other["new"]).all()
    assert total(known) == len(cases)


def test_an_overtaken_attempt_writes_nothing(known: PostgresLedger) -> None:
    old = known.begin_attempt(FLOW, NIGHT, "run-1")
    new = known.begin_attempt(FLOW, NIGHT, "run-2")
    with pytest.raises(StaleAttempt, match=f"attempt {old} .* the newest is {new}"):
        known.record_decisions(FLOW, NIGHT, old, [decision("a")], basis=passed(known, FLOW, NIGHT))
    assert known.decision(FLOW, "a") is None
    assert known.decided_nights(FLOW) == []
    with pytest.raises(StaleAttempt):
        known.record_decisions(FLOW, "2026-03-09", 1, [decision("a")], basis=passed(known, FLOW, "2026-03-09"))


def test_no_attempt_begins_between_the_look_at_the_fence_and_the_commit(
    known: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resources.ledger.nights.ledger as module

    first = known.begin_attempt(FLOW, NIGHT, "run-1")
    fenced, order = threading.Event(), []

    def slow_look(*args: Any) -> str:
        run_id = hold_fence(*args)
        fenced.set()
        time.sleep(0.3)
        order.append("written")
        return run_id

    monkeypatch.setattr(module, "hold_fence", slow_look)
    writer = threading.Thread(
        target=known.record_decisions,
        args=(FLOW, NIGHT, first, [decision("a")]),
        kwargs={"basis": passed(known, FLOW, NIGHT)},
    )
    writer.start()
    fenced.wait()
    known.begin_attempt(FLOW, NIGHT, "run-2")
    order.append("begun")
    writer.join()
    assert order == ["written", "begun"]
    assert known.decision(FLOW, "a") is not None


def test_a_decision_is_explained_by_its_row_alone(known: PostgresLedger) -> None:
    known.record_model(model("3"))
    attempt = known.begin_attempt(FLOW, NIGHT, "run-1")
    row = decision(
        "a",
        "ask_person",
        reason="doubt",
        model_version="3",
        contract={"passed": True, "share": np.float64("nan")},
        cluster="ring",
        reasons=["photo seen before\x00"],
        probabilities=np.array([0.25, 0.75]),
        expected_costs=[np.float32(1.5), float("inf")],
        amount=float("nan"),
        propensity=0.02,
    )
    known.record_decisions(FLOW, NIGHT, attempt, [row], basis=passed(known, FLOW, NIGHT))
    kept = known.decision(FLOW, "a")
    assert kept is not None
    assert (kept.night, kept.option, kept.reason) == (NIGHT, "ask_person", "doubt")
    assert (kept.model_version, kept.cluster, kept.made_by) == ("3", "ring", "policy")
    assert (kept.probabilities, kept.expected_costs, kept.amount) == ([0.25, 0.75], [1.5, None], None)
    assert kept.contract == {"passed": True, "share": None}
    assert kept.reasons == ["photo seen before\ufffd"]
    assert (kept.attempt, kept.run_id, kept.epoch) == (attempt, "run-1", 1)
    assert known.workflow_spec(kept.spec_hash) == {"name": FLOW}
    assert abs(datetime.now(UTC) - kept.decided_at) < timedelta(minutes=10)


def test_a_night_without_cases_is_decided_too(known: PostgresLedger) -> None:
    attempt = known.begin_attempt(FLOW, NIGHT, "run")
    assert known.decided_nights(FLOW) == []
    standing = known.record_decisions(FLOW, NIGHT, attempt, [], basis=passed(known, FLOW, NIGHT))
    assert list(standing.columns) == ["case_id", "option", "made_by", "reason", "night", "new"]
    assert known.decided_nights(FLOW) == [NIGHT]


def test_counts_are_by_night_and_option(known: PostgresLedger) -> None:
    attempt = known.begin_attempt(FLOW, NIGHT, "run")
    known.record_decisions(
        FLOW, NIGHT, attempt, [decision("a"), decision("b"), decision("c", "reject")], basis=passed(known, FLOW, NIGHT)
    )
    assert known.counts(FLOW).values.tolist() == [[NIGHT, "refund", 2], [NIGHT, "reject", 1]]
    assert known.counts("order_returns").empty


@pytest.mark.parametrize("more", [{"would_be": "reject"}, {"night": "2026-03-09"}])
def test_what_the_ledger_says_itself_is_no_part_of_a_new_decision(more: dict[str, str]) -> None:
    with pytest.raises(TypeError, match=next(iter(more))):
        decision("a", **more)


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ([decision("b"), replace(decision("a"), option=None)], "null value in column"),  # type: ignore[arg-type]
        ([decision("a"), decision("a")], "twice"),
    ],
)
def test_a_decision_of_the_wrong_shape_is_refused_and_nothing_is_written(
    known: PostgresLedger, given: list[NewDecision], refusal: str
) -> None:
    attempt = known.begin_attempt(FLOW, NIGHT, "run")
    with pytest.raises((LedgerRefused, ValueError), match=refusal):
        known.record_decisions(FLOW, NIGHT, attempt, given, basis=passed(known, FLOW, NIGHT))
    assert total(known) == 0


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        ({"spec_hash": "unheard"}, "fk_decisions_workflow_spec_hash; record the workflow's spec"),
        ({"model_version": "99"}, "fk_decisions_workflow_model_version; record the model"),
        ({"propensity": 1.5}, "propensity_is_probability"),
        ({"probabilities": "many"}, "probabilities_is_array"),
    ],
)
def test_the_database_refuses_what_cannot_be_true_and_the_error_holds_no_row(
    known: PostgresLedger, broken: dict[str, Any], rule: str
) -> None:
    attempt = known.begin_attempt(FLOW, NIGHT, "run")
    with pytest.raises(LedgerRefused, match=rule) as caught:
        known.record_decisions(
            FLOW,
            NIGHT,
            attempt,
            [decision("a"), decision("erika@example.org", **broken)],
            basis=passed(known, FLOW, NIGHT),
        )
    assert "erika" not in str(caught.value)
    assert total(known) == 0


@pytest.mark.parametrize("statement", ["UPDATE decisions SET option = 'reject'", "DELETE FROM decisions"])
def test_a_standing_decision_cannot_be_changed_by_anyone(known: PostgresLedger, statement: str) -> None:
    attempt = known.begin_attempt(FLOW, NIGHT, "run")
    known.record_decisions(FLOW, NIGHT, attempt, [decision("a")], basis=passed(known, FLOW, NIGHT))
    with (
        pytest.raises(DBAPIError, match="rows of decisions are facts"),
        connected(engine_of(known.url)) as connection,
    ):
        connection.execute(text(statement))
