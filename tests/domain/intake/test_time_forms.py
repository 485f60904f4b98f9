"""Times as numbers, with named offsets, and on days without a midnight."""

from __future__ import annotations

import pytest

from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType
from pipeline_project.domain.intake.parsing import Parsed, parse

MAIL = "%a, %d %b %Y %H:%M:%S %z"


def read(*cells: str, zone: str = "Europe/Berlin", formats: tuple[str, ...] = (), decimal: str = ".") -> Parsed:
    schema = CaseSchema((), zone, time_formats=formats, decimal=decimal)
    return parse(list(cells), Field("at", FieldType.TIME, "at"), schema)


def moments(found: Parsed) -> list[str | None]:
    return [None if value != value else value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") for value in found.values]


def one(cell: str, zone: str = "Europe/Berlin", formats: tuple[str, ...] = (), decimal: str = ".") -> str | None:
    return moments(read(cell, zone=zone, formats=formats, decimal=decimal))[0]


MORNING = "2025-01-02T08:14:00.000000Z"


@pytest.mark.parametrize(
    ("cell", "form"),
    [("1735805640", "epoch_s"), ("1735805640000", "epoch_ms"), ("1735805640000000", "epoch_us"),
     ("1735805640000000000", "epoch_ns"), ("1735805640.0", "epoch_s"), ("45659.384722222", "excel"),
     ("44197.384722222", "excel_1904")],
)  # fmt: skip
def test_one_moment_in_every_form(cell: str, form: str) -> None:
    assert one(cell, formats=(form,)) == MORNING


def test_the_number_of_digits_tells_units_apart_where_several_are_declared() -> None:
    found = read("1735805640", "1735805640000", "2025-01-02T08:14:00Z", formats=("epoch_ms", "epoch_s"))
    assert moments(found) == [MORNING] * 3
    assert one("1735805640", formats=("epoch_ms",)) == "1970-01-21T02:10:05.640000Z"


@pytest.mark.parametrize(
    ("cell", "form"),
    [("99999999999999999999", "epoch_ms"), ("9" * 18, "epoch_s"), ("60", "excel"), ("1e9", "epoch_s"),
     ("12:30", "excel"), ("999999999", "excel"), ("", "epoch_s"), ("-45000", "excel")],
)  # fmt: skip
def test_numbers_that_are_no_time(cell: str, form: str) -> None:
    assert one(cell, formats=(form,)) is None


def test_excel_counts_local_days_with_the_declared_decimal_mark() -> None:
    assert one("45659,5", formats=("excel",), decimal=",") == "2025-01-02T11:00:00.000000Z"


@pytest.mark.parametrize(
    ("cell", "pattern", "moment"),
    [
        ("Thu, 02 Jan 2025 09:14:00 +0100", MAIL, MORNING),
        ("Thu, 02 Jan 2025 08:14:00 GMT", MAIL, MORNING),
        ("Thu, 02 Jan 2025 09:14:00 +0100 (CET)", MAIL, MORNING),
        ("02.01.2025 09:14 CET", "%d.%m.%Y %H:%M %Z", MORNING),
        ("02.07.2025 09:14 CEST", "%d.%m.%Y %H:%M %Z", "2025-07-02T07:14:00.000000Z"),
        ("02.01.2025 08:14Z", "%d.%m.%Y %H:%M%z", MORNING),
        # EST is three offsets in as many countries: nothing is guessed.
        ("02.01.2025 09:14 EST", "%d.%m.%Y %H:%M %Z", None),
    ],
)
def test_offsets_and_their_names(cell: str, pattern: str, moment: str | None) -> None:
    assert one(cell, formats=(pattern,)) == moment


@pytest.mark.parametrize(
    ("zone", "day", "begins"),
    [
        ("Africa/Cairo", "2025-04-25", "2025-04-24T22:00:00.000000Z"),
        ("America/Santiago", "2024-09-08", "2024-09-08T04:00:00.000000Z"),
        ("Asia/Beirut", "2025-03-30", "2025-03-29T22:00:00.000000Z"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00.000000Z"),
        ("America/Havana", "2024-11-03", "2024-11-03T04:00:00.000000Z"),
    ],
)
def test_a_date_is_the_start_of_its_day_whatever_hour_that_has(zone: str, day: str, begins: str) -> None:
    found = read(day, f"{day} 00:00", f"{day}T00:00:00", zone=zone)
    assert moments(found) == [begins] * 3
    assert not found.unreadable


def test_within_the_hour_that_is_skipped_only_midnight_has_a_meaning() -> None:
    assert "clocks go forward" in read("2025-04-25 00:30", zone="Africa/Cairo").unreadable[0]
    # Samoa left this day out as a whole.
    assert "clocks go forward" in read("2011-12-30", zone="Pacific/Apia").unreadable[0]


@pytest.mark.parametrize(
    ("cell", "cure"),
    [("1735805640", "epoch_s"), ("1735805640000", "epoch_ms"), ("45659.38", "excel"), ("20250102", "%Y%m%d"),
     ("2.1.2025", "%d.%m.%Y"), ("1/2/2025", "%m/%d/%Y"), ("Thu, 02 Jan 2025 09:14:00 GMT", MAIL)],
)  # fmt: skip
def test_the_message_names_the_cure(cell: str, cure: str) -> None:
    why = read(cell).unreadable[0]
    assert cure in why
    assert "time_formats" in why
