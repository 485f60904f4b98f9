"""Decisions meet the truth."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_project.domain.deciding.decisions import DECISIONS
from pipeline_project.domain.measures.label_delay import Maturity, seen_from
from pipeline_project.domain.measures.maturity import (
    Immature,
    immature_part,
    matured_decisions,
    settled_nights,
    truth_learned,
)


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


FIRST = datetime(2025, 3, 1, tzinfo=UTC)


def record(nights: int, per_night: int, longest: int, today: datetime) -> tuple[pa.Table, pd.DataFrame]:
    """Decisions of equally large nights, and the outcomes that are known of them: they come evenly within `longest`."""
    rows, known = [], []
    for n in range(nights):
        night = FIRST + timedelta(days=n)
        for i in range(per_night):
            rows.append((night.date().isoformat(), f"{n}-{i}", "refund"))
            known_at = night + timedelta(days=i % (longest + 1), hours=9)
            if known_at < today:
                known.append((f"{n}-{i}", "kept", known_at))
    return decisions(*rows), pd.DataFrame(known, columns=["case_id", "label", "known_at"])


def seen(made: pa.Table, known: pd.DataFrame, as_of: datetime, share: float) -> list[Maturity]:
    cases = pd.DataFrame({name: made[name].to_pylist() for name in ("night", "case_id")}, dtype=object)
    return seen_from(cases, known, as_of, share, "UTC")[1]


@pytest.mark.parametrize(("share", "nights"), [(0.9, 4), (0.5, 2)])
def test_what_is_known_of_immature_nights_is_counted(share: float, nights: int) -> None:
    today = FIRST + timedelta(days=20)
    made, known = record(20, 20, 4, today)
    matured, _ = matured_decisions(made, cases(**{row["case_id"]: 1.0 for row in made.to_pylist()}), known)
    found = immature_part(made, matured, seen(made, known, today, share), share)
    first_young = (today - timedelta(days=nights)).date().isoformat()
    assert (found.known, found.nights) == (len(matured), nights)
    assert found.cases == (matured["night"] >= first_young).sum() > 0
    assert f"in {nights} immature nights, of whose outcomes less than {share:.0%} are known" in found.sentence


def test_months_later_nothing_is_immature() -> None:
    made, known = record(20, 20, 4, FIRST + timedelta(days=300))
    matured, _ = matured_decisions(made, cases(**{row["case_id"]: 1.0 for row in made.to_pylist()}), known)
    found = immature_part(made, matured, seen(made, known, FIRST + timedelta(days=300), 0.9), 0.9)
    assert (found.cases, found.nights, found.sentence) == (0, 0, "")


def test_the_sentence_of_one() -> None:
    assert "1 lies in 1 immature night, of" in Immature(1, 9, 1, 0.9).sentence


def test_nights_that_were_not_decided_are_not_counted_among_the_immature() -> None:
    today = FIRST + timedelta(days=20)
    made, known = record(20, 20, 4, today)
    nights = seen(made, known, today, 0.9)
    matured, _ = matured_decisions(made, cases(**{row["case_id"]: 1.0 for row in made.to_pylist()}), known)
    last = made.filter(pc.equal(made["night"], made["night"].to_pylist()[-1]))
    assert sum(not night.mature for night in nights) == 4
    assert immature_part(last, matured, nights, 0.9).nights == 1


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 30)), min_size=1, max_size=120), st.integers(1, 10))
def test_a_settled_night_is_mature(told: list[tuple[int, int]], tenths: int) -> None:
    """What gates and training wait for is stricter than what figures call mature: never the other way round."""
    today, share = FIRST + timedelta(days=14), tenths / 10
    made = decisions(*((str((FIRST + timedelta(days=n)).date()), str(i), "refund") for i, (n, _) in enumerate(told)))
    at = [FIRST + timedelta(days=n + delay, hours=9) for n, delay in told]
    known = pd.DataFrame({"case_id": [str(i) for i in range(len(told))], "label": "kept", "known_at": at})
    known = known[known["known_at"] < today]
    mature = {night.night for night in seen(made, known, today, share) if night.mature}
    settled = settled_nights(made["night"].to_pylist(), np.isin(made["case_id"].to_pylist(), known["case_id"]), share)
    assert set(settled) <= mature


def test_a_night_is_settled_when_enough_of_its_outcomes_are_in() -> None:
    nights = ["2025-03-02"] * 4 + ["2025-03-01"] * 4 + ["2025-03-03"] * 2
    known = [True, True, True, False, True, True, True, True, False, False]
    assert settled_nights(nights, known, 0.75) == ["2025-03-01", "2025-03-02"]
    assert settled_nights(nights, known, 0.76) == ["2025-03-01"]
    assert settled_nights([], [], 0.5) == []


def test_the_truth_is_learned_after_each_option_or_after_some_and_from_people() -> None:
    options = ["refund", "reject", "ask_person"]
    assert truth_learned(options, ()).tolist() == [True, True, True]
    assert truth_learned(options, {"reject"}).tolist() == [False, True, True]
