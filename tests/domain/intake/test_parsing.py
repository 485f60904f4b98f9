"""Strings to numbers, times, texts, paths and ids: what is read, what is refused, and why."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType, Role
from pipeline_project.domain.intake.parsing import READERS, Parsed, case_ids, parse, strings


def schema(**changes: Any) -> CaseSchema:
    return replace(CaseSchema((), "Europe/Berlin", missing=frozenset({"", "-"})), **changes)


def parsed(kind: FieldType, *values: str | None, pii: bool = False, many: bool = False, **changes: Any) -> Parsed:
    return parse(list(values), Field("x", kind, "x", pii=pii, many=many), schema(**changes))


def test_numbers() -> None:
    found = parsed(FieldType.NUMBER, " 12.50 ", "-3", "+.5", "1e3", "5.", "-", None, "")
    assert found.values.tolist()[:5] == [12.5, -3, 0.5, 1000, 5]
    assert found.values.dtype == "float64"
    assert found.values.isna().tolist() == [False] * 5 + [True] * 3
    assert found.absent.tolist() == [False] * 5 + [True] * 3
    assert not found.unreadable


@pytest.mark.parametrize("text", ["abc", "1,5", "1.234,5", "0x10", "1_000", "١٢", "12 EUR", "1e", "--1", "1\n2"])
def test_what_is_no_number(text: str) -> None:
    found = parsed(FieldType.NUMBER, text)
    assert found.values.isna().all()
    assert "is not a number" in found.unreadable[0]


@pytest.mark.parametrize("text", ["NaN", "nan", "inf", "-Infinity", "1e999", "-1e999"])
def test_what_is_not_finite(text: str) -> None:
    found = parsed(FieldType.NUMBER, text)
    assert found.values.isna().all()
    assert "is not a finite number" in found.unreadable[0]


def test_decimal_comma_never_takes_a_point_for_it() -> None:
    found = parsed(FieldType.NUMBER, "1,5", "1.5", decimal=",")
    assert found.values.iloc[0] == 1.5
    assert found.unreadable == {1: "x: '1.5' is not a number (decimal mark `,`)"}


def test_a_personal_value_is_never_repeated() -> None:
    secret = "anna@example.org"
    for kind in (FieldType.NUMBER, FieldType.TIME):
        assert secret not in str(parsed(kind, secret, pii=True).unreadable)
        assert secret in str(parsed(kind, secret).unreadable)
    assert len(parsed(FieldType.NUMBER, "x" * 10_000).unreadable[0]) < 120


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2025-01-31", "2025-01-30T23:00:00"),
        ("2025-07-01 12:00", "2025-07-01T10:00:00"),
        ("2025-07-01T12:00:00.5", "2025-07-01T10:00:00.500000"),
        ("2025-07-01T12:00:00Z", "2025-07-01T12:00:00"),
        ("2025-07-01T12:00:00+05:30", "2025-07-01T06:30:00"),
        ("2025-07-01 12:00:00 -0300", "2025-07-01T15:00:00"),
        ("2025-07-01T12:00-03", "2025-07-01T15:00:00"),
        ("1.7.2025 12:00", "2025-07-01T10:00:00"),
        ("01/Jul/2025 +0100", "2025-06-30T23:00:00"),
    ],
)
def test_times(text: str, utc: str) -> None:
    found = parsed(FieldType.TIME, text, time_formats=("%d.%m.%Y %H:%M", "%d/%b/%Y %z"))
    assert not found.unreadable
    assert str(found.values.dtype) == "datetime64[us, UTC]"
    assert found.values.iloc[0].isoformat() == f"{utc}+00:00"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2025-02-30", "is not a time"),
        ("2025-13-01", "is not a time"),
        ("2025-01-01T25:00", "is not a time"),
        ("20250101", "is not a time"),
        ("yesterday", "is not a time"),
        ("0001-01-01", "not a possible time"),
        ("9999-12-31", "not a possible time"),
        ("2025-03-30T02:30", "the clocks go forward"),
    ],
)
def test_impossible_times(text: str, why: str) -> None:
    found = parsed(FieldType.TIME, text)
    assert found.values.isna().all()
    assert why in found.unreadable[0]


def test_of_the_hour_that_occurs_twice_the_first_is_taken_and_noted() -> None:
    found = parsed(FieldType.TIME, "2025-10-26T02:30", "2025-10-26T02:30+01:00", "2025-10-26T03:30")
    assert found.values.dt.strftime("%H:%M").tolist() == ["00:30", "01:30", "02:30"]
    assert found.notes == ("x: 1 in the hour that occurs twice in Europe/Berlin; the first was taken",)
    assert not parsed(FieldType.TIME, "2025-10-26T03:30").notes


def test_texts_keep_every_script_and_lose_control_characters_with_a_note() -> None:
    found = parsed(FieldType.TEXT, "  größer 大 ✂ \n tab\t", "a\0b\x1b[31m\u202ec", " ", "-")
    assert found.values.iloc[0] == "  größer 大 ✂ \n tab\t"
    assert found.values.iloc[1] == "a b [31m c"
    assert found.absent.tolist() == [False, False, True, True]
    assert found.notes == ("x: 1 with control characters, which became blanks",)
    assert not found.unreadable


def test_control_characters_in_categories_and_identifiers_are_refused() -> None:
    found = parsed(FieldType.CATEGORY, "sho\0es", "shoes")
    assert found.unreadable == {0: "x: 'sho\\x00es' holds control characters"}
    assert found.values.tolist()[1] == "shoes"


def test_photo_paths() -> None:
    many = parsed(FieldType.IMAGE, "a.jpg; b.jpg;;", '["c.jpg", " d;e.jpg "]', "-", "[a].jpg", ";", many=True)
    assert many.values.tolist() == [["a.jpg", "b.jpg"], ["c.jpg", "d;e.jpg"], None, ["[a].jpg"], None]
    assert parsed(FieldType.IMAGE, "a;b.jpg").values.tolist() == [["a;b.jpg"]]


ID = Field("claim", FieldType.IDENTIFIER, "claim", Role.ID)


def test_ids() -> None:
    good = [" C1 ", "2024/0012", "a.b", "é-1", "x" * 200, "..a"]
    found = case_ids([good], schema(fields=(ID,)))
    assert found.values.tolist() == ["C1", *good[1:]]
    assert not found.unreadable


@pytest.mark.parametrize(
    "text",
    [
        "../x",
        "a/../b",
        "..",
        "/etc/passwd",
        "~root",
        "C:\\x",
        "a\\b",
        "%2e%2e%2fx",
        "a\nb",
        "a\0",
        "x" * 201,
        "-",
        None,
    ],
)
def test_ids_that_are_refused(text: str | None) -> None:
    found = case_ids([[text, "fine"]], schema(fields=(ID,)))
    assert list(found.unreadable) == [0]
    assert pd.isna(found.values.iloc[0])
    assert text in (None, "-") or text not in found.unreadable[0]
    assert found.values.iloc[1] == "fine"


def test_ids_from_columns_tell_columns_apart_and_ignore_blanks_around() -> None:
    declared = schema(id_from=("a", "b"))
    found = case_ids([["x", "xy", " x ", "", "-"], ["y", "", "y", "xy", None]], declared)
    assert found.values.iloc[0] == found.values.iloc[2]
    assert found.values.iloc[:2].nunique() == 2
    assert found.values.iloc[[1, 3]].nunique() == 2
    assert found.unreadable == {4: "a, b: missing, so the case has no id"}
    assert found.values.iloc[0] == "8164c53b977060f6ba568eddee7e120c"


# -- each value once ------------------------------------------------------------------------------------------

CELLS = st.lists(
    st.one_of(
        st.none(),
        st.sampled_from(["1", "1.5", " 7 ", "-", "nan", "inf", "abc", "1.234,5", "(3)", "9007199254740993", "shoes",
                         "\x07", "0.1e-3", "12 EUR", "", "1e999"]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    ),
    max_size=30,
)  # fmt: skip


@pytest.mark.parametrize("kind", [FieldType.NUMBER, FieldType.CATEGORY])
@given(cells=CELLS, required=st.booleans())
def test_a_column_is_read_as_if_no_value_came_twice(kind: FieldType, cells: list[str | None], required: bool) -> None:
    declared = Field("x", kind, "x", required=required)
    forms = schema(thousands=(".",), decimal=",", number_forms=("brackets",))
    text, absent = strings(cells, forms)
    singly, once = READERS[kind](cells, text, absent, declared, forms), parse(cells, declared, forms)
    pd.testing.assert_series_equal(once.values, singly.values)
    assert once.unreadable == singly.unreadable and once.notes == singly.notes
    assert once.absent.tolist() == singly.absent.tolist()


@example(cells=["a;b", "a;", ";a", "a;;b", ";", "[a", "a", ""], many=True, separator=";")
@given(cells=st.lists(st.text("ab; [\"],\t\u00a0\u00fc", max_size=8), max_size=12), many=st.booleans(),
       separator=st.sampled_from([";", ",", " ", "; "]))  # fmt: skip
def test_paths_are_split_as_each_by_itself(cells: list[str], many: bool, separator: str) -> None:
    declared = Field("x", FieldType.IMAGE, "x", many=many, separator=separator)
    expected = []
    for cell in strings(cells, schema())[0].tolist():
        parts: Any = None
        if isinstance(cell, str):
            try:
                parts = json.loads(cell) if cell.startswith("[") else None
            except ValueError:
                parts = None
            listed = isinstance(parts, list) and all(isinstance(part, str) for part in parts)
            parts = parts if listed else cell.split(separator) if many else [cell]
            parts = [part.strip() for part in parts if part.strip()] or None
        expected.append(parts)
    assert parse(cells, declared, schema()).values.tolist() == expected
