"""Decisions meet the truth."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from pipeline_project.domain.decisions import DECISIONS
from pipeline_project.domain.maturity import matured_decisions


def decisions(*rows: tuple[str, str, str]) -> pa.Table:
    """(night, case, option)"""
    filled = [
        {"night": n, "case_id": c, "option": o, "reason": "cheapest", "would_be": o, "probabilities": [0.5, 0.5]}
        for n, c, o in rows
    ]
    return pa.Table.from_pylist(filled, schema=DECISIONS)


def cases(**price: float) -> pa.Table:
    return pa.table({"case_id": list(price), "price": list(price.values())})


def outcomes(**label: str) -> pd.DataFrame:
    known = pd.Timestamp("2025-03-05", tz="UTC")
    return pd.DataFrame({"case_id": list(label), "label": list(label.values()), "known_at": known})


def test_only_what_is_known_and_each_with_its_own_case() -> None:
    made = decisions(("n1", "a", "refund"), ("n1", "b", "refund"), ("n2", "c", "reject"))
    known, of = matured_decisions(made, cases(c=3.0, a=1.0, b=2.0), outcomes(c="worn", a="kept", z="kept"))
    assert known[["case_id", "label", "option"]].values.tolist() == [["a", "kept", "refund"], ["c", "worn", "reject"]]
    assert of["price"].to_pylist() == [1.0, 3.0]


def test_a_case_that_is_in_no_table_is_left_out() -> None:
    known, of = matured_decisions(decisions(("n1", "a", "refund")), cases(b=2.0), outcomes(a="kept"))
    assert (len(known), len(of)) == (0, 0)


def test_a_case_that_two_nights_admitted_stays_aligned() -> None:
    made = decisions(("n1", "a", "refund"), ("n2", "a", "refund"), ("n2", "b", "reject"))
    twice = pa.concat_tables([cases(a=1.0), cases(a=1.0, b=2.0)])
    known, of = matured_decisions(made, twice, outcomes(a="kept", b="worn"))
    assert known["case_id"].tolist() == of["case_id"].to_pylist() == ["a", "a", "b"]


def test_nothing_known() -> None:
    none = pd.DataFrame({"case_id": pd.Series(dtype="str"), "label": pd.Series(dtype="str")})
    known, of = matured_decisions(decisions(("n1", "a", "refund")), cases(a=1.0), none)
    assert (len(known), len(of)) == (0, 0)
