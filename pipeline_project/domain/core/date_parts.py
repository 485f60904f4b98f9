"""A date that a source writes in several columns: a year, a month, and a day or only the week of the month."""

from __future__ import annotations

import calendar
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated

from pydantic import Field

from pipeline_project.domain.core.names import FreeText

_NAMES = (
    "january february march april may june july august september october november december",
    "jan feb mar apr may jun jul aug sep oct nov dec",
)
_MONTHS = {name: number for names in _NAMES for number, name in enumerate(names.split(), start=1)}
_DAYS_OF_WEEK, _WEEKS = 7, 5


@dataclass(frozen=True)
class DateParts:
    """A date in several columns: year and month, and the day or only the week of the month."""

    year: Annotated[FreeText, Field(description="The column with the year, four digits.")]
    month: Annotated[
        FreeText, Field(description="The column with the month: 1 to 12, or its English name, whole or three letters.")
    ]
    day: Annotated[FreeText | None, Field(description="The column with the day of the month.")] = None
    # whoever knows the week alone must not place a case before it can have happened
    week_of_month: Annotated[
        FreeText | None,
        Field(
            description="Instead of `day`: the column with the week, 1 to 5. The week's last day counts, so that no "
            "case comes before it can have happened."
        ),
    ] = None

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: neither `day` nor `week_of_month` is given, or both.
        """
        if (self.day is None) == (self.week_of_month is None):
            raise ValueError("give either `day` or `week_of_month`")

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(name for name in (self.year, self.month, self.day, self.week_of_month) if name is not None)


def composed(parts: DateParts, row: Mapping[str, str | None], missing: Collection[str]) -> str | None:
    """The date of a row as ISO 8601.

    Returns:
        None where a part has no value; the cells as they stand, ` / ` between them, where they make no date, so that
        whoever reads times says what could not be read.
    """
    cells = [(row.get(name) or "").strip() for name in parts.columns]
    if any(not cell or cell in missing for cell in cells):
        return None
    day = _date(cells[0], cells[1], cells[2], weekly=parts.day is None)
    return day.isoformat() if day else " / ".join(cells)


def _date(year: str, month: str, last: str, weekly: bool) -> date | None:
    month_number = _MONTHS.get(month.lower()) or _number(month)
    year_number, within = _number(year), _number(last)
    if len(year) != 4 or not year_number or month_number is None or within is None:
        return None
    if not 1 <= month_number <= 12:
        return None
    days = calendar.monthrange(year_number, month_number)[1]
    if weekly:
        return date(year_number, month_number, min(within * _DAYS_OF_WEEK, days)) if 1 <= within <= _WEEKS else None
    return date(year_number, month_number, within) if 1 <= within <= days else None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None
