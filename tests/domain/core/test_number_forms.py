"""Numbers as exports write them: read where it was declared, and otherwise the message says what to declare."""

from __future__ import annotations

import pytest

from pipeline_project.domain.core.number_forms import NumberStyle, advice, plainly
from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType
from pipeline_project.domain.intake.parsing import parse

ALL = ("currency", "minus_behind", "brackets")
GERMAN = NumberStyle(",", (".", " "), ALL, "EUR")
SWISS = NumberStyle(".", ("'",), ALL, "CHF")


@pytest.mark.parametrize(
    ("text", "style", "number"),
    [
        ("1.234,50", GERMAN, "1234.50"),
        ("1\u00a0234,50", GERMAN, "1234.50"),
        ("1\u202f234,50", GERMAN, "1234.50"),
        ("12 345 678", GERMAN, "12345678"),
        ("12,50 €", GERMAN, "12.50"),
        ("€\u00a012,50", GERMAN, "12.50"),
        ("EUR 1.234", GERMAN, "1234"),
        ("1.234,50-", GERMAN, "-1234.50"),
        ("12,50- €", GERMAN, "-12.50"),
        ("(12,50 €)", GERMAN, "-12.50"),
        ("€(12,50)", GERMAN, "-12.50"),
        ("-€ 12,50", GERMAN, "-12.50"),
        ("\u22123", GERMAN, "-3"),
        ("1’234'567.5", NumberStyle(".", ("'",)), None),
        ("1’234’567.5", SWISS, "1234567.5"),
        ("CHF 1'234.50", SWISS, "1234.50"),
        ("12,34,567.5", NumberStyle(".", (",",)), "1234567.5"),
        ("1_000", NumberStyle(".", ("_",)), "1000"),
    ],
)
def test_declared_forms_are_read(text: str, style: NumberStyle, number: str | None) -> None:
    assert plainly(text, style) == number


@pytest.mark.parametrize(
    "text",
    ["0.123", "12.34", "1.23456", "1.234 567", "(-5)", "-5-", "--5", "$5", "5 USD", "(5", "5)", "", "-", "()", "€",
     "1..234", "1.234.", "1 2345", "5 5", "1.234,5,6"],
)  # fmt: skip
def test_what_says_nothing_reliable_is_no_number(text: str) -> None:
    assert plainly(text, GERMAN) is None


@pytest.mark.parametrize(
    ("text", "style", "cure"),
    [
        ("1.234,50", NumberStyle(","), "set `thousands: '.'`"),
        ("1\u202f234,50", NumberStyle(","), "set `thousands: ' '`"),
        ("1,234.5", NumberStyle("."), "set `thousands: ','`"),
        ("1.234,5", NumberStyle("."), "set `decimal: ','` and `thousands: '.'`"),
        ("1’234.5", NumberStyle("."), 'set `thousands: "\'"`'),
        ("12-", NumberStyle("."), "set `number_forms: [minus_behind]`"),
        ("(12)", NumberStyle(".", (), ("currency",), "EUR"), "set `number_forms: [currency, brackets]`"),
        ("12 €", NumberStyle(".", (), (), "EUR"), "set `number_forms: [currency]`"),
        ("$12", NumberStyle(".", (), (), "EUR"), "no other currency's sign than that of EUR"),
    ],
)
def test_the_message_names_the_cure(text: str, style: NumberStyle, cure: str) -> None:
    assert cure in advice(text, style)


@pytest.mark.parametrize("text", ["abc", "1.2.3.4", "9" * 10_000 + "x", "12;50"])
def test_where_nothing_would_help_nothing_is_advised(text: str) -> None:
    assert advice(text, NumberStyle(".", (), (), "EUR")) == ""


def test_a_column_of_numbers() -> None:
    schema = CaseSchema((), "UTC", decimal=",", thousands=(".", " "), number_forms=("currency",), currency="EUR")
    found = parse(["1.234,50", "12,50 €", "7", "", "1.5", "$3"], Field("x", FieldType.NUMBER, "x"), schema)
    assert found.values.tolist()[:3] == [1234.5, 12.5, 7]
    assert found.absent.tolist() == [False, False, False, True, False, False]
    assert set(found.unreadable) == {4, 5}
    assert "only" not in found.unreadable[4]


def test_not_a_number_is_no_value_where_none_is_needed() -> None:
    schema = CaseSchema((), "UTC")
    optional = parse(["nan", "NaN", "inf", "1"], Field("x", FieldType.NUMBER, "x", required=False), schema)
    assert optional.absent.tolist() == [True, True, False, False]
    assert list(optional.unreadable) == [2]
    assert list(parse(["nan"], Field("x", FieldType.NUMBER, "x"), schema).unreadable) == [0]
