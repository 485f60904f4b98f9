"""Shares and times of a spec mean what they say, whichever way they are written."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pipeline_project.domain.core.quantities import (
    Capacity,
    Days,
    Hours,
    Minutes,
    OptionalCapacity,
    Portion,
    Seconds,
    Share,
)
from pipeline_project.spec import check_file, load_spec
from pipeline_project.spec.outcome import ColumnOutcome
from tests.spec.test_mistakes import GOOD

SHARE, PORTION, CAPACITY = TypeAdapter(Share), TypeAdapter(Portion), TypeAdapter(Capacity)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("2%", 0.02), (" 2.5 % ", 0.025), ("0.5%", 0.005), ("100%", 1.0), ("0%", 0.0), (0.02, 0.02), (1, 1.0), (0, 0.0)],
)
def test_a_share_may_be_a_percentage(written: object, meant: float) -> None:
    assert SHARE.validate_python(written) == meant
    assert PORTION.validate_python(written) == meant


@pytest.mark.parametrize("written", [2, 2.5, 100, "101%", "-1%", "two%", "%", "1%%", "1e1%", -0.1, 150])
def test_what_is_no_share_is_refused(written: object) -> None:
    with pytest.raises(ValueError):
        SHARE.validate_python(written)


def test_more_than_the_whole_is_meant_only_where_it_makes_sense() -> None:
    assert PORTION.validate_python("150%") == PORTION.validate_python(1.5) == 1.5
    with pytest.raises(ValueError, match=r"write 2%, or 0\.02"):
        SHARE.validate_python(2)


@pytest.mark.parametrize(
    ("written", "meant"),
    [(0.1, "10%"), (0.125, "12.5%"), (1e-05, "0.001%"), ("20 %", "20%"), (1, 1), (0, 0), (0.0, 0), (12.0, 12), (7, 7)],
)
def test_a_capacity_is_a_number_of_answers_or_a_share(written: object, meant: object) -> None:
    assert CAPACITY.validate_python(written) == meant
    assert TypeAdapter(OptionalCapacity).validate_python(written) == meant


@pytest.mark.parametrize(("written", "sentence"), [(1.0, "write 1 or 100%"), (2.5, r"such as 2\.5%"), (-0.1, ".")])
def test_a_capacity_that_could_mean_two_things_is_refused(written: float, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        CAPACITY.validate_python(written)


def test_both_ways_of_writing_are_one_spec(tmp_path: Path) -> None:
    def hash_of(capacity: str, exploration: str) -> str:
        text = GOOD.replace("capacity: 20%", f"capacity: {capacity}")
        path = tmp_path / "claims.yaml"
        path.write_text(text.replace("exploration: 0.01", f"exploration: {exploration}"), encoding="utf-8")
        return load_spec(path).spec_hash

    assert hash_of("20%", "0.01") == hash_of("0.2", "1%") == hash_of("20 %", "1 %")


def test_the_sentence_stands_at_the_line(tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(GOOD.replace("capacity: 20%", "capacity: 1.0"), encoding="utf-8")
    (mistake,) = check_file(path)
    assert (mistake.where, mistake.line) == ("review.capacity", 39) and "write 1 or 100%" in mistake.sentence


def test_everything_that_calls_itself_a_share_takes_a_percentage() -> None:

    page = Path(__file__).parents[3] / "docs" / "workflows.md"
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| [^|]* \| ([^|]*) \|$", page.read_text(encoding="utf-8"), re.M)
    shares = [
        (key, takes)
        for key, takes, means in rows
        if re.search(r"\bshare\b", means, re.I) and "number" in takes and "money" not in means
    ]
    assert len(shares) > 10
    assert [key for key, takes in shares if "percentage" not in takes and "%" not in takes] == []


@pytest.mark.parametrize(
    ("kind", "unit"), [(Days, "days"), (Hours, "hours"), (Minutes, "minutes"), (Seconds, "seconds")]
)
@given(value=st.floats(min_value=1e-3, max_value=1e6))
def test_spans_are_whole_microseconds_and_stay_so(kind: Any, unit: str, value: float) -> None:
    if value * timedelta(**{unit: 1}) > timedelta(days=36_525):
        return
    rounded = TypeAdapter(kind).validate_python(value)
    span = timedelta(**{unit: rounded})
    assert span == timedelta(**{unit: value})
    assert TypeAdapter(kind).validate_python(rounded) == rounded


@pytest.mark.parametrize(("written", "sentence"), [(1e12, "century"), (1e300, "century"), (1e-15, "microsecond")])
def test_a_span_that_no_clock_can_count_is_refused(written: float, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        TypeAdapter(Days).validate_python(written)


def test_fractions_of_days_stand_in_every_known_at(tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(GOOD.replace("plus_days: 3", "plus_days: 4.286"), encoding="utf-8")
    outcome = load_spec(path).outcome
    assert isinstance(outcome, ColumnOutcome)
    (known,) = outcome.known_at
    assert known.after == timedelta(days=4, seconds=24710, microseconds=400_000)
