"""Ids are compared in one form, and what is no id any more is refused with its reason."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType, Role
from pipeline_project.domain.intake.ids import canonical, canonical_ids, damaged
from pipeline_project.domain.intake.parsing import case_ids

SCHEMA = CaseSchema((Field("no", FieldType.IDENTIFIER, "no", Role.ID),), "UTC")


def why(text: str) -> list[str]:
    return [reason for reason, wrong in damaged(pd.Series([text], dtype="str")).items() if wrong.iat[0]]


@pytest.mark.parametrize(
    ("written", "meant"),
    [("1001.0", "1001"), ("1001.000", "1001"), ("1001,0", "1001"), ("-7.0", "-7"), ("0.0", "0"),
     ("9007199254740991.0", "9007199254740991")],
)  # fmt: skip
def test_integers_that_came_as_fractions_are_integers(written: str, meant: str) -> None:
    assert canonical(written) == meant
    assert not why(written)


@pytest.mark.parametrize(
    "text",
    ["1001", "C-1", "1001.5", "1.10", "007.0", "v1.0", "1.0.0", "781e4521", "12E5", "A1E5", "#1001",
     "12345678901234567890", "Nannette", "nullable", "INF-7", "1e", "#-7"],
)  # fmt: skip
def test_what_may_be_a_name_stays_as_it_is(text: str) -> None:
    assert canonical(text) == text
    assert not why(text)


@pytest.mark.parametrize(
    "text",
    ["1.23457E+15", "1,23457E+15", "1E+15", "1E15", "1e16", "123E-4", "-1.5e10", "1.E5", "#N/A", "#NV", "#REF!",
     "#BEZUG!", "#NAME?", "#¡VALOR!", "#DIV/0!", "#NULL!", "#N/D", "########", "#GETTING_DATA", "nan", "NaN", "inf",
     "-inf", "True", "FALSE", "None", "null", "<NA>", "NaT", "1.#INF", "9007199254740993.0", "12345678901234567.0"],
)  # fmt: skip
def test_what_is_no_id_any_more_is_refused_with_one_reason(text: str) -> None:
    assert len(why(text)) == 1
    read = case_ids([["C-1", text]], SCHEMA)
    assert read.values.isna().tolist() == [False, True]
    assert list(read.unreadable) == [1]
    assert read.unreadable[1].startswith("no: the id ")
    assert text not in read.unreadable[1]


def test_an_id_made_of_columns_is_the_same_however_an_integer_came() -> None:
    fields = (Field("order", FieldType.IDENTIFIER, "order"), Field("words", FieldType.TEXT, "words"))
    schema = CaseSchema(fields, "UTC", id_from=("order", "words"))
    ids = case_ids([["7", "7.0", "8", "1.2E+9", "#REF!"], ["a", "a", "nan", "a", "a"]], schema)
    first, second, third = ids.values.tolist()[:3]
    assert first == second != third
    assert sorted(ids.unreadable) == [3, 4], "a word such as nan may be right in a text"


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_every_integer_that_a_fraction_can_hold_is_itself(number: int) -> None:
    text = f"{float(number):.1f}"
    assert canonical(text) == str(number)
    assert canonical_ids(pd.Series([text, str(number), None], dtype="str")).tolist()[:2] == [str(number)] * 2


@given(st.text(max_size=30))
def test_one_form_is_stable(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)
