"""A night is a day in the workflow's time zone, however many hours it has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def window_of(night: str | date, time_zone: str) -> NightWindow:
    """The half-open span from midnight to midnight, local time, in UTC: 23 or 25 hours when clocks change."""
    day = date.fromisoformat(night) if isinstance(night, str) else night
    zone = ZoneInfo(time_zone)

    def midnight(of: date) -> datetime:
        return datetime.combine(of, time.min, zone).astimezone(UTC)

    return NightWindow(day.isoformat(), midnight(day), midnight(day + timedelta(days=1)))


def night_of(moment: datetime, time_zone: str) -> str:
    """The night to which an aware moment belongs."""
    return moment.astimezone(ZoneInfo(time_zone)).date().isoformat()


def nights_between(first: date, last: date) -> Iterator[str]:
    """Every night from `first` to `last`, both included."""
    for offset in range((last - first).days + 1):
        yield (first + timedelta(days=offset)).isoformat()


def shifted(night: str, days: int) -> str:
    """The night `days` later (earlier when negative)."""
    return (date.fromisoformat(night) + timedelta(days=days)).isoformat()


@dataclass(frozen=True)
class NightWindow:
    """One night of one workflow.

    Attributes:
        night: its partition key, ISO date.
        start, end: the half-open span of time it covers, aware, in UTC.
    """

    night: str
    start: datetime
    end: datetime
