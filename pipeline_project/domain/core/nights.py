"""Nights and their keys: a night is one window of time, an hour, a day or a week, as the workflow declares.

A key tells its cadence by its form, so that nothing has to be passed beside it. Days and weeks run from local midnight
to local midnight, hours are those of UTC: a local hour is there twice or not at all when clocks change, and in zones
that change by half an hour it is no hour. Keys of one cadence sort as text in the order of their windows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

#: A regular expression for any key within a text.
NIGHT_IN_TEXT = r"\d{4}-(?:W\d{2}-1|\d{2}-\d{2}(?:T\d{2}Z)?)"

_DAYS_OF_A_WEEK, _HOURS_OF_A_DAY = 7, 24
_HOUR = re.compile(r"(\d{4}-\d{2}-\d{2})T([01]\d|2[0-3])Z", re.ASCII)
_WEEK = re.compile(r"\d{4}-W\d{2}-1", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class Cadence(StrEnum):
    """How often a workflow has a night, and so how long one is."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"

    @property
    def key_format(self) -> str:
        """The strftime pattern of its keys."""
        return {Cadence.HOUR: "%Y-%m-%dT%HZ", Cadence.DAY: "%Y-%m-%d", Cadence.WEEK: "%G-W%V-%u"}[self]

    @property
    def example(self) -> str:
        """A key, as an example of its form, with what it is."""
        return {
            Cadence.HOUR: "2025-03-16T14Z, an hour of UTC",
            Cadence.DAY: "2025-03-16, a day",
            Cadence.WEEK: "2025-W12-1, the Monday that begins an ISO week",
        }[self]


@dataclass(frozen=True)
class NightWindow:
    """One night of one workflow.

    Attributes:
        night: its partition key: an ISO date, `2025-03-16T14Z` for an hour, `2025-W12-1` for a week.
        start, end: the half-open span of time it covers, aware, in UTC.
    """

    night: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class _Place:
    """Where a key stands among all of its cadence: windows are counted from the year 1 on."""

    cadence: Cadence
    number: int


@lru_cache(maxsize=65_536)
def _place(night: str) -> _Place:
    try:
        if _DAY.fullmatch(night):
            return _Place(Cadence.DAY, date.fromisoformat(night).toordinal())
        if match := _HOUR.fullmatch(night):
            day = date.fromisoformat(match[1]).toordinal()
            return _Place(Cadence.HOUR, day * _HOURS_OF_A_DAY + int(match[2]))
        if _WEEK.fullmatch(night):
            # the first day of the year 1 is a Monday
            return _Place(Cadence.WEEK, (date.fromisoformat(night).toordinal() - 1) // _DAYS_OF_A_WEEK)
    except ValueError:
        pass
    forms = "; ".join(cadence.example for cadence in Cadence)
    raise ValueError(f"{night!r} is no night; write one of these forms: {forms}")


@lru_cache(maxsize=65_536)
def _key(place: _Place) -> str:
    if place.cadence is Cadence.DAY:
        return date.fromordinal(place.number).isoformat()
    if place.cadence is Cadence.HOUR:
        day, hour = divmod(place.number, _HOURS_OF_A_DAY)
        return f"{date.fromordinal(day).isoformat()}T{hour:02d}Z"
    year, week, weekday = date.fromordinal(place.number * _DAYS_OF_A_WEEK + 1).isocalendar()
    return f"{year:04d}-W{week:02d}-{weekday}"


def is_night(text: str) -> bool:
    """Whether a text is a night's key, as it is written and no other way: no part of it leads out of a folder."""
    try:
        return bool(_place(text))
    except ValueError:
        return False


def valid_night(night: str) -> str:
    """The key itself; anything else could lead out of a folder that is named after it.

    Raises:
        ValueError: it is none; the message has the forms there are.
    """
    return _key(_place(night))


def cadence_of(night: str) -> Cadence:
    """The cadence that a key tells by its form.

    Raises:
        ValueError: it is no night.
    """
    return _place(night).cadence


def number_of(night: str) -> int:
    """The window's number among all of its cadence, for differences: two nights in a row are 1 apart."""
    return _place(night).number


def window_of(night: str | date, time_zone: str) -> NightWindow:
    """The half-open span of a night, in UTC.

    A day or a week lasts from midnight to midnight, local time: 23, 24.5 or 25 hours, or a week with such a day.

    Raises:
        ValueError: it is no night.
    """
    key = night if isinstance(night, str) else night.isoformat()
    place = _place(key)
    if place.cadence is Cadence.HOUR:
        day, hour = divmod(place.number, _HOURS_OF_A_DAY)
        start = datetime.combine(date.fromordinal(day), time(hour), UTC)
        return NightWindow(key, start, start + timedelta(hours=1))
    zone = ZoneInfo(time_zone)
    days = _DAYS_OF_A_WEEK if place.cadence is Cadence.WEEK else 1
    first = date.fromisoformat(key)

    def midnight(of: date) -> datetime:
        return datetime.combine(of, time.min, zone).astimezone(UTC)

    return NightWindow(key, midnight(first), midnight(first + timedelta(days=days)))


def night_of(moment: datetime, time_zone: str, cadence: Cadence) -> str:
    """The night to which an aware moment belongs.

    Raises:
        OverflowError: it lies beyond the calendar.
    """
    if cadence is Cadence.HOUR:
        utc = moment.astimezone(UTC)
        return _key(_Place(cadence, utc.date().toordinal() * _HOURS_OF_A_DAY + utc.hour))
    return on_day(moment.astimezone(ZoneInfo(time_zone)).date(), time_zone, cadence)


def on_day(day: date, time_zone: str, cadence: Cadence) -> str:
    """The night in which a local day begins; of hours the first that begins on that day."""
    if cadence is Cadence.DAY:
        return day.isoformat()
    if cadence is Cadence.WEEK:
        return _key(_Place(cadence, (day.toordinal() - 1) // _DAYS_OF_A_WEEK))
    begins = datetime.combine(day, time.min, ZoneInfo(time_zone)).astimezone(UTC)
    hour = night_of(begins, time_zone, cadence)
    return hour if window_of(hour, time_zone).start == begins else shifted(hour, 1)


def day_of(night: str) -> date:
    """The day on which a night begins, as its key says it: of hours the day of UTC."""
    place = _place(night)
    if place.cadence is Cadence.HOUR:
        return date.fromordinal(place.number // _HOURS_OF_A_DAY)
    return date.fromisoformat(night)


def last_day_of(night: str) -> date:
    """The last day of a night: of a week its Sunday, else the day on which it begins."""
    return day_of(night) + timedelta(days=_DAYS_OF_A_WEEK - 1 if cadence_of(night) is Cadence.WEEK else 0)


def begins_on(night: str, time_zone: str) -> date:
    """The local day on which a night begins."""
    if cadence_of(night) is Cadence.HOUR:
        return window_of(night, time_zone).start.astimezone(ZoneInfo(time_zone)).date()
    return day_of(night)


def zone_of_days(night: str, time_zone: str) -> str:
    """The zone in which days since a night are counted (`day_of`): UTC for hours, which are UTC's."""
    return "UTC" if cadence_of(night) is Cadence.HOUR else time_zone


def nights_between(first: str, last: str) -> Iterator[str]:
    """Every night from `first` to `last`, both included; nothing where `last` comes before `first`.

    Raises:
        ValueError: they are of different cadences.
    """
    for number in range(distance(first, last) + 1):
        yield shifted(first, number)


def distance(first: str, other: str) -> int:
    """How many nights `other` comes after `first`; negative when it comes before.

    Raises:
        ValueError: they are of different cadences.
    """
    begin, end = _place(first), _place(other)
    if begin.cadence is not end.cadence:
        raise ValueError(f"{first} and {other} are nights of different cadences: {begin.cadence} and {end.cadence}")
    return end.number - begin.number


def shifted(night: str, count: int) -> str:
    """The night `count` windows later (earlier when negative): hours, days or weeks, as the night is one.

    Raises:
        ValueError: it is no night, or none of the calendar's.
    """
    place = _place(night)
    return _key(_Place(place.cadence, place.number + count))


def days_before(night: str, days: int) -> str:
    """The night that begins so many days before: for looking back over a span of time, whatever the cadence."""
    windows = {Cadence.HOUR: days * _HOURS_OF_A_DAY, Cadence.DAY: days, Cadence.WEEK: -(-days // _DAYS_OF_A_WEEK)}
    return shifted(night, -windows[cadence_of(night)])


def look_back(night: str, nights: int) -> str:
    """The first of the nights by which one sees what is usual: so many days or weeks, or all hours of so many days."""
    return shifted(night, -nights * (_HOURS_OF_A_DAY if cadence_of(night) is Cadence.HOUR else 1))


def shown_locally(night: str, time_zone: str) -> str:
    """When a night begins as people read a clock, where its key does not say it: an hour, or a week.

    Empty for a day, whose key says it.
    """
    cadence = cadence_of(night)
    if cadence is Cadence.DAY:
        return ""
    window = window_of(night, time_zone)
    zone = ZoneInfo(time_zone)
    start, end = window.start.astimezone(zone), window.end.astimezone(zone)
    if cadence is Cadence.WEEK:
        return f"{start:%d %b %Y} to {(end - timedelta(seconds=1)):%d %b %Y}"
    # the hour that is there twice is told apart by its offset
    return f"{start:%a %d %b %Y %H:%M} {start.tzname()}"
