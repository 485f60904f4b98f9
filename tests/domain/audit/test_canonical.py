from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_project.domain.audit.canonical import canonical

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(blacklist_characters="\x00", blacklist_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "spelling"),
    [
        (None, "null"),
        (True, "true"),
        (40, "40"),
        (40.0, "40"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (float("nan"), '"NaN"'),
        (float("-inf"), '"-Infinity"'),
        (Decimal("12.30"), '"12.3"'),
        (Decimal("1E+3"), '"1000"'),
        (Decimal("0.00"), '"0"'),
        (Decimal("NaN"), '"NaN"'),
        (date(2026, 1, 31), '"2026-01-31"'),
        (datetime(2026, 1, 31, 23, tzinfo=UTC), '"2026-01-31T23:00:00.000000Z"'),
        (datetime(2026, 2, 1, 1, 0, 0, 7, tzinfo=timezone(timedelta(hours=2))), '"2026-01-31T23:00:00.000007Z"'),
        ("ä\x00", '"\\u00e4\\ufffd"'),
        ({"b": 1, "a": [None, (2,)]}, '{"a":[null,[2]],"b":1}'),
        ({3, 1, 2}, "[1,2,3]"),
        (np.float64(2.0), "2"),
        (np.array([0.5, 1.0]), "[0.5,1]"),
        (np.int64(7), "7"),
        (Colour.RED, '"red"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (b"\x01\xff", '"01ff"'),
    ],
)
def test_one_spelling(value: object, spelling: str) -> None:
    assert canonical(value) == spelling


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        canonical({"at": datetime(2026, 1, 31)})  # noqa: DTZ001 - that is the point


def test_what_has_no_spelling_is_refused() -> None:
    with pytest.raises(ValueError, match="object"):
        canonical(object())


def test_a_missing_key_is_not_null() -> None:
    assert canonical({}) != canonical({"a": None})


@given(JSON)
def test_what_was_read_back_is_spelled_the_same(value: object) -> None:
    spelling = canonical(value)
    assert spelling.isascii()
    assert canonical(json.loads(spelling)) == spelling


@given(st.dictionaries(st.text(max_size=5), st.integers(), min_size=2))
def test_the_order_of_keys_makes_no_difference(said: dict[str, int]) -> None:
    assert canonical(dict(reversed(list(said.items())))) == canonical(said)
