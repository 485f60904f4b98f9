"""A night's decisions as tables, and how they meet what already stands in the ledger."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from benchmarks.passed import passed
from pipeline_project.domain.core.costs import CostMatrix, PolicyTerms
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.core.schema import number_columns
from pipeline_project.domain.core.stored_tables import StoredTable
from pipeline_project.domain.deciding.decisions import (
    DECISIONS,
    NightDecisions,
    NightPolicy,
    asked,
    changed,
    decide_night,
    ledger_rows,
    option_counts,
    standing_table,
    unscored,
)
from pipeline_project.domain.models.scores import SCORES
from resources.ledger.nights.ledger import PostgresLedger

NIGHT = "2025-03-01"
MATRIX = CostMatrix(("kept", "worn"), ("refund", "reject"), ((0, "price"), ("price", 0)))
TERMS = PolicyTerms((False, True), review_cost=4.0, capacity=1, exploration=0.0, seed="claims")
MODEL = ModelVersion("claims", "3", "2025-02-28", "d" * 64, "run", {})


def cases(**price: float | None) -> pa.Table:
    rows = [{"night": NIGHT, "case_id": case, "price": p, "words": "w"} for case, p in price.items()]
    kinds = [("night", pa.string()), ("case_id", pa.string()), ("price", pa.float64()), ("words", pa.string())]
    return pa.Table.from_pylist(rows, schema=pa.schema(kinds))


def scores(**worn: float | str) -> pa.Table:
    """Probability of `worn` by case, or the problem instead."""
    rows: list[dict[str, Any]] = [{"night": NIGHT, "case_id": case, "reasons": ["age"]} for case in worn]
    for row, p in zip(rows, worn.values(), strict=True):
        if isinstance(p, str):
            row["problem"] = p
        else:
            row |= {"probabilities": [1 - p, p], "confidence": max(p, 1 - p), "model_version": "3"}
    return pa.Table.from_pylist(rows, schema=SCORES)


def decided() -> NightDecisions:
    """a and b want a person, for whom there is one place; c is cheap; the photo of d failed; e has no price."""
    prices = cases(a=100.0, b=200.0, c=10.0, d=50.0, e=None)
    told = scores(e=0.5, d="failed_photo", c=0.01, b=0.4, a=0.3)
    clusters = pa.table({"case_id": ["a", "b", "c"], "cluster": ["ring", None, "shoes"]})
    terms = PolicyTerms((False, True), 4.0, capacity=3, exploration=0.0, seed="claims")
    return decide_night(prices, told, clusters, NightPolicy(MATRIX, terms, "price"))


def as_standing(result: NightDecisions, **other: tuple[str, str]) -> pd.DataFrame:
    """What a ledger would answer, with some cases decided before."""
    rows = [(each.case_id, *other.get(each.case_id, (each.option, each.reason))) for each in result.cases]
    return pd.DataFrame(rows, columns=["case_id", "option", "reason"])


def test_each_case_gets_its_own_score_whatever_the_order() -> None:
    rows = {each.case_id: each for each in decided().cases}
    assert list(rows) == ["a", "b", "c", "d", "e"]
    assert {case: (each.option, each.reason) for case, each in rows.items()} == {
        "a": ("refund", "no_place_left"),
        "b": ("ask_person", "doubt"),
        "c": ("refund", "cheapest"),
        "d": ("ask_person", "failed_photo"),
        "e": ("ask_person", "cost_unknown"),
    }
    a = rows["a"]
    assert (a.amount, a.cheapest, a.cluster, a.model_version, a.night) == (
        100.0,
        "refund",
        "ring",
        "3",
        NIGHT,
    )
    assert (a.cheapest_cost, a.person_cost) == (pytest.approx(30.0), 4.0)
    assert a.benefit == pytest.approx(26.0)
    assert a.expected_costs == pytest.approx([30.0, 70.0])


def test_what_is_unknown_is_null_and_never_nan() -> None:
    rows = {each.case_id: each for each in decided().cases}
    for case in ("d", "e"):
        unknown = ("cheapest", "cheapest_cost", "person_cost", "benefit", "expected_costs")
        assert [getattr(rows[case], name) for name in unknown] == [None] * 5
    assert (rows["d"].probabilities, rows["d"].model_version, rows["e"].amount) == (None, None, None)


def test_scores_of_other_cases_are_refused() -> None:
    for told in (scores(a=0.1), scores(a=0.1, b=0.1, c=0.1), pa.concat_tables([scores(a=0.1, b=0.1), scores(a=0.2)])):
        with pytest.raises(ValueError, match="not the same cases"):
            decide_night(cases(a=1.0, b=1.0), told, None, NightPolicy(MATRIX, TERMS, "price"))


def read_of(table: pa.Table) -> dict[str, StoredTable]:
    return {
        asset_name: StoredTable(table, f"claims/{asset_name}", 0) for asset_name in ("arrivals", "cases", "quarantine")
    }


def test_a_night_without_cases() -> None:
    result = decide_night(cases(), scores(), None, NightPolicy(MATRIX, TERMS, None))
    table = standing_table(result, as_standing(result))
    assert table.schema.equals(DECISIONS)
    assert (table.num_rows, option_counts(table), asked(table), changed(table)) == (0, {}, {}, 0)
    assert ledger_rows(result, read_of(cases()), "s") == []


def test_the_ledger_is_told_the_order_in_which_costs_stand() -> None:
    """Names in an order that no database and no sorting would give them."""
    odd = CostMatrix(("kept", "worn"), ("zz", "b", "aaa"), ((0, "price"), ("price", 0), (5, 7)))
    terms = PolicyTerms((False, False, False), review_cost=400.0, capacity=1, exploration=0.0, seed="claims")
    result = decide_night(cases(a=100.0), scores(a=0.25), None, NightPolicy(odd, terms, "price"))
    (row,) = ledger_rows(result, read_of(cases(a=100.0)), "s")
    assert row.option_order is not None and row.expected_costs is not None
    assert dict(zip(row.option_order, row.expected_costs, strict=True)) == pytest.approx(
        {"zz": 25.0, "b": 75.0, "aaa": 5.5}
    )
    assert (row.option, row.option_order) == ("aaa", ["zz", "b", "aaa"])


def test_unscored_cases_all_go_to_people() -> None:
    told = unscored(NIGHT, ["a", "b"], "no_model")
    assert told.schema.equals(SCORES)
    result = decide_night(cases(a=1.0, b=2.0), told, None, NightPolicy(MATRIX, TERMS, "price"))
    assert [(each.option, each.reason, each.amount) for each in result.cases] == [
        ("ask_person", "no_model", 1.0),
        ("ask_person", "no_model", 2.0),
    ]


def test_numbers_alone_are_read_by_expressions() -> None:
    columns = number_columns(cases(a=1.5, b=None))
    assert list(columns) == ["price"]
    np.testing.assert_array_equal(columns["price"], [1.5, np.nan])


def test_what_stands_comes_from_the_ledger_and_what_would_be_from_the_policy() -> None:
    result = decided()
    table = standing_table(result, as_standing(result, a=("reject", "reviewed"), c=("ask_person", "doubt")))
    assert table.schema.equals(DECISIONS)
    rows = {row["case_id"]: row for row in table.to_pylist()}
    assert (rows["a"]["option"], rows["a"]["reason"], rows["a"]["would_be"]) == ("reject", "reviewed", "refund")
    assert (rows["c"]["option"], rows["c"]["would_be"]) == ("ask_person", "refund")
    assert (rows["b"]["option"], rows["b"]["would_be"]) == ("ask_person", "ask_person")
    assert changed(table) == 2
    assert option_counts(table) == {"ask_person": 4, "reject": 1}
    assert asked(table) == {"doubt": 2, "cost_unknown": 1, "failed_photo": 1}


def test_the_ledger_takes_the_rows_and_keeps_what_explains_them(ledger: PostgresLedger) -> None:
    ledger.record_workflow("claims", "spec", {})
    ledger.record_model(MODEL)
    result = decided()
    read = {
        "arrivals": StoredTable(cases(a=1.0, b=1.0, c=1.0, d=1.0, e=1.0, f=1.0, g=1.0), "claims/arrivals", 4),
        "cases": StoredTable(cases(a=1.0, b=1.0, c=1.0, d=1.0, e=1.0), "claims/cases", 2),
        "quarantine": StoredTable(cases(f=1.0), "claims/quarantine", 3),
        "scores": StoredTable(scores(a=0.1), "claims/scores", 9),
    }
    attempt = ledger.begin_attempt("claims", NIGHT, "run-1")
    standing = ledger.record_decisions(
        "claims", NIGHT, attempt, ledger_rows(result, read, "spec"), basis=passed(ledger, "claims", NIGHT)
    )
    first = standing_table(result, standing)
    assert standing["new"].all()
    assert changed(first) == 0

    kept = ledger.decision("claims", "b")
    assert kept is not None
    assert kept.data_versions == {
        "claims/arrivals": 4,
        "claims/cases": 2,
        "claims/quarantine": 3,
        "claims/scores": 9,
    }
    assert kept.contract == {"arrivals": 7, "admitted": 5, "quarantined": 1}
    assert (kept.option, kept.reason, kept.spec_hash, kept.model_version) == (
        "ask_person",
        "doubt",
        "spec",
        "3",
    )
    assert kept.probabilities == pytest.approx([0.6, 0.4])
    assert kept.expected_costs == pytest.approx([80.0, 120.0])
    assert (kept.amount, kept.reasons) == (200.0, ["age"])

    # decided again with other scores: what stands is what stood, beside what the policy says now
    other = decide_night(cases(a=1.0, b=200.0), scores(a=0.9, b=0.001), None, NightPolicy(MATRIX, TERMS, "price"))
    again = ledger.begin_attempt("claims", NIGHT, "run-2")
    table = standing_table(
        other,
        ledger.record_decisions(
            "claims", NIGHT, again, ledger_rows(other, read, "spec"), basis=passed(ledger, "claims", NIGHT)
        ),
    )
    rows = {row["case_id"]: row for row in table.to_pylist()}
    assert (rows["b"]["option"], rows["b"]["reason"], rows["b"]["would_be"]) == ("ask_person", "doubt", "refund")
