"""What decisions ask for: a task for each case a person is asked about, actions for each the policy decided."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from pipeline_project.domain.core.costs import CostMatrix, PolicyTerms
from pipeline_project.domain.core.errors import ActionInvalid
from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType, Role, cases_schema
from pipeline_project.domain.deciding.decisions import NightPolicy, decide_night
from pipeline_project.domain.delivery.planned_actions import ActionKind, ActionTerms
from pipeline_project.domain.models.scores import SCORES
from pipeline_project.domain.review.content import Personal
from pipeline_project.domain.review.new_tasks import DeskRules
from pipeline_project.domain.review.night_work import AskedCases, NightWork, asked_cases, night_work
from tests.domain.review.review_terms import TERMS

NIGHT = "2025-03-05"
SCHEMA = CaseSchema(
    (
        Field("case", FieldType.IDENTIFIER, "case", Role.ID),
        Field("at", FieldType.TIME, "at", Role.TIME),
        Field("customer", FieldType.IDENTIFIER, "customer", Role.SUBJECT, pii=True),
        Field("price", FieldType.NUMBER, "price", Role.AMOUNT, required=False),
    ),
    "UTC",
)
MATRIX = CostMatrix(("fine", "defective"), ("refund", "keep"), ((0, 20), (50, 0)))
ACTING = ActionTerms(
    "returns", "default", live=True, spend_cap=None, currency="EUR",
    kinds={
        "notice": ActionKind("notice", "shop"),
        "refund": ActionKind("refund", "shop", "price", ("at",), final=True),
    },
    by_option={"refund": ("notice", "refund")},
)  # fmt: skip
POLICY = PolicyTerms((False, False), review_cost=4.5, capacity=1, exploration=0.0, seed="returns")


def worked(prices: list[float | None], sure: list[float | None]) -> NightWork:
    """The work of a night: `sure` is each case's probability of being fine, None where no model looked."""
    rows = [
        {
            "night": NIGHT, "case_id": f"C{i}", "row_sha256": "0", "customer": f"s-{i}", "price": price,
            "at": datetime(2025, 3, 5, 9, tzinfo=UTC),
        }
        for i, price in enumerate(prices)
    ]  # fmt: skip
    cases = pa.Table.from_pylist(rows, schema=cases_schema(SCHEMA))
    scores: list[dict[str, Any]] = [
        {
            "night": NIGHT, "case_id": f"C{i}", "reasons": ["why"],
            "probabilities": None if p is None else [p, 1 - p], "problem": "no_model" if p is None else None,
        }
        for i, p in enumerate(sure)
    ]  # fmt: skip
    decided = decide_night(
        cases, pa.Table.from_pylist(scores, schema=SCORES), None, NightPolicy(MATRIX, POLICY, "price")
    )
    problems = {row["case_id"]: row["problem"] for row in scores}
    personal = {case: Personal({"customer": f"sealed:{case}"}) for case in asked_cases(decided)}
    return night_work(decided, cases, SCHEMA, MATRIX, DeskRules(TERMS, ACTING), AskedCases({}, personal, problems))


def test_a_task_for_who_is_asked_and_actions_for_who_is_decided() -> None:
    work = worked([30.0, 40.0, 50.0], [0.99, 0.6, None])

    assert set(work.tasks) == {"C2"}
    assert set(work.actions) == {"C0", "C1"}
    task = work.tasks["C2"]
    assert (task.why, task.benefit, task.information, task.subject) == ("no_model", None, 1.0, "s-2")
    assert task.content["sealed"] == {"customer": "sealed:C2"}
    assert task.content["problem"] == "no_model"
    assert [(a.kind, a.step, a.money, a.epoch) for a in work.actions["C0"]] == [
        ("notice", 0, 0.0, 1),
        ("refund", 1, 30.0, 1),
    ]
    assert work.actions["C0"][1].payload["fields"] == {"at": "2025-03-05T09:00:00+00:00"}


def test_only_what_belongs_to_new_decisions_is_taken() -> None:
    work = worked([30.0, 40.0, 50.0], [0.99, 0.99, None])

    assert work.tasks_of(["C0", "C2"]) == [work.tasks["C2"]]
    assert [action.case_id for action in work.actions_of(["C1", "C2"])] == ["C1", "C1"]


def test_the_same_night_gives_the_same_keys() -> None:
    first, again = (worked([30.0], [0.99]).actions["C0"] for _ in range(2))

    assert [(a.key, a.fingerprint) for a in first] == [(a.key, a.fingerprint) for a in again]


def test_money_that_cannot_be_computed_is_an_error_and_no_zero() -> None:
    with pytest.raises(ActionInvalid, match="`price`"):
        worked([None], [0.99])
