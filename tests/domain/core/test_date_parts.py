"""A date in several columns."""

from __future__ import annotations

import pytest

from pipeline_project.domain.core.date_parts import DateParts, composed
from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType, Role
from pipeline_project.domain.intake.parsing import parse
from pipeline_project.domain.privacy.fields import PersonalFields

WEEKLY = DateParts("y", "m", week_of_month="w")
DAILY = DateParts("y", "m", day="d")
MISSING = frozenset({"", "?"})


@pytest.mark.parametrize(
    ("month", "week", "day"),
    [
        ("Jan", "1", "1995-01-07"),
        ("january", "4", "1995-01-28"),
        (" Dec ", " 5 ", "1995-12-31"),
        ("2", "5", "1995-02-28"),
        ("04", "5", "1995-04-30"),
    ],
)
def test_of_a_week_the_last_day_counts(month: str, week: str, day: str) -> None:
    assert composed(WEEKLY, {"y": "1995", "m": month, "w": week}, MISSING) == day


def test_a_day_of_the_month() -> None:
    assert composed(DAILY, {"y": "1996", "m": "Feb", "d": "29"}, MISSING) == "1996-02-29"


@pytest.mark.parametrize("row", [{}, {"y": "1995", "m": "1"}, {"y": "1995", "m": "?", "w": "1"}, {"y": "", "m": "1"}])
def test_without_one_part_there_is_no_date(row: dict[str, str | None]) -> None:
    assert composed(WEEKLY, row, MISSING) is None


@pytest.mark.parametrize(
    "row",
    [
        {"y": "95", "m": "1", "w": "1"},
        {"y": "0000", "m": "1", "w": "1"},
        {"y": "1995", "m": "13", "w": "1"},
        {"y": "1995", "m": "0", "w": "1"},
        {"y": "1995", "m": "Mayday", "w": "1"},
        {"y": "1995", "m": "1", "w": "6"},
        {"y": "1995", "m": "1", "w": "0"},
        {"y": "1995", "m": "1", "w": "-1"},
        {"y": "1995", "m": "1", "w": "²"},
    ],
)
def test_what_makes_no_date_is_told_as_it_stands(row: dict[str, str | None]) -> None:
    text = composed(WEEKLY, row, MISSING)
    assert text == " / ".join(str(cell) for cell in row.values())
    declared = Field("happened", FieldType.TIME, "y", Role.TIME, parts=WEEKLY)
    read = parse([text], declared, CaseSchema((declared,), "UTC", MISSING))
    assert "is not a time" in read.unreadable[0]


def test_a_day_that_a_month_does_not_have() -> None:
    assert composed(DAILY, {"y": "1995", "m": "2", "d": "29"}, MISSING) == "1995 / 2 / 29"


def test_of_a_personal_date_every_column_is_personal() -> None:
    born = Field("born", FieldType.TIME, "y", pii=True, parts=DAILY)
    other = Field("size", FieldType.CATEGORY, "size")
    held = PersonalFields.of(CaseSchema((born, other), "UTC"))
    assert held is not None
    assert held.kept == {"size"}
