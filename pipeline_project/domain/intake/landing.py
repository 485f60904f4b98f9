"""Whether a night's arrivals are what was expected: by what the spec says, and by what other nights brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from pipeline_project.domain.core.nights import Cadence, begins_on, cadence_of, look_back, window_of

#: Nights that a night is compared with, of hours days with all their hours; and the fewest that say anything.
COMPARED = 28
#: The kind of the alert about it; its key is this and the night.
LANDING = "landing"
#: The kind of the alert of a night for which something landed after it was run; its key likewise.
LATE_ALERT = "landed_late"
_FEWEST = 5
_FEWEST_ALIKE = 3
_TIMES = 2
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WEEKDAYS = tuple(day[:3].lower() for day in _DAYS)


@dataclass(frozen=True)
class Expected:
    """What a spec says of a night's arrivals.

    Attributes:
        least, most: rows of a night; None where nothing is said.
        weekdays: the nights on which something comes, by the first three letters of their day; empty where nothing
            is said of them.
        blocks: a night that is otherwise is stopped before anything is decided; it is only told otherwise.
        time_zone: in which an hour has its weekday.
    """

    least: int | None = None
    most: int | None = None
    weekdays: tuple[str, ...] = ()
    blocks: bool = False
    time_zone: str = "UTC"

    def due(self, night: str) -> bool | None:
        """Whether something is expected on a night; None where the spec does not say."""
        if self.weekdays:
            return weekday(night, self.time_zone) in self.weekdays
        return True if self.least else None


@dataclass(frozen=True)
class Overlooked:
    """Something that lies at a source and is not read.

    Attributes:
        night: for which it may be meant; None where nothing says so.
        sentence: what lies there, and what to do.
        sure: worth telling also where other things were read for the night.
    """

    night: str | None
    sentence: str
    sure: bool = True


@dataclass(frozen=True)
class Usual:
    """What the nights before brought.

    Attributes:
        nights: how many are compared with; `alike`, whether only those of the same weekday; `by_hour`, whether
            nights are hours, of which those of the same hour of the day are alike.
        low, middle, high: the fewest, the median and the most rows of them.
    """

    nights: int
    alike: bool
    low: int
    middle: float
    high: int
    by_hour: bool = False

    @property
    def words(self) -> str:
        span = f"{self.low:,}" if self.low == self.high else f"{self.low:,} to {self.high:,}"
        same = "nights of the same hour of the day" if self.by_hour else "nights of the same weekday"
        return f"{span} on {self.nights} earlier {same if self.alike else 'nights'}"


@dataclass(frozen=True)
class Landed:
    """The verdict on a night's arrivals.

    Attributes:
        rows: that came.
        broken: what the spec expects and is not so, in words.
        unusual: in what they differ from other nights, in words.
        unread: files that look as if they were meant for the night, in words.
    """

    rows: int
    broken: tuple[str, ...]
    unusual: tuple[str, ...]
    unread: tuple[str, ...]
    usual: Usual | None

    @property
    def well(self) -> bool:
        return not (self.broken or self.unusual or self.unread)

    @property
    def words(self) -> str:
        remarks = [*self.broken, *self.unusual, *self.unread]
        if remarks:
            return "; ".join(remarks)
        text = f"{self.rows:,} row{'s' * (self.rows != 1)} came"
        return f"{text}, as usual ({self.usual.words})" if self.usual else f"{text}; too few nights to compare with"

    def as_metadata(self) -> dict[str, Any]:
        """The numbers, for the check."""
        usual = self.usual
        figures = {"rows": self.rows, "unread_files": len(self.unread), "compared_with": usual.nights if usual else 0}
        span = ("usual_low", "usual_median", "usual_high")
        return figures | (dict(zip(span, (usual.low, usual.middle, usual.high), strict=True)) if usual else {})


def weekday(night: str, time_zone: str = "UTC") -> str:
    """The day of the week on which a night begins, three letters.

    Args:
        time_zone: matters to hours only.
    """
    return WEEKDAYS[begins_on(night, time_zone).weekday()]


def compared_from(night: str) -> str:
    """The first of the nights that a night is compared with."""
    return look_back(night, COMPARED)


def usual(night: str, earlier: Mapping[str, int], time_zone: str = "UTC") -> Usual | None:
    """What a night is compared with: those of its own weekday, hours with those of their own hour of the day, where
    there are enough, else all; None for too few.

    Args:
        earlier: rows of nights that were taken in; only those from `compared_from` on are looked at.
        time_zone: in which hours have their hour of the day.
    """
    first, by_hour = compared_from(night), cadence_of(night) is Cadence.HOUR
    near = {other: rows for other, rows in earlier.items() if first <= other < night}
    kind = _kind(night, time_zone)
    alike = [rows for other, rows in near.items() if _kind(other, time_zone) == kind]
    chosen = alike if len(alike) >= _FEWEST_ALIKE else list(near.values())
    if len(near) < _FEWEST:
        return None
    return Usual(len(chosen), chosen is alike, min(chosen), float(median(chosen)), max(chosen), by_hour)


def _kind(night: str, time_zone: str) -> int | str:
    """What nights that are alike have in common: the local hour, else the weekday."""
    if cadence_of(night) is Cadence.HOUR:
        return window_of(night, time_zone).start.astimezone(ZoneInfo(time_zone)).hour
    return weekday(night)


def judge(
    night: str, rows: int, expected: Expected, earlier: Mapping[str, int], unread: Sequence[Overlooked] = ()
) -> Landed:
    """The verdict on a night.

    Args:
        rows: that came.
        earlier: rows of earlier nights, by night.
        unread: what lies there for the night and was not read.
    """
    compared = usual(night, earlier, expected.time_zone)
    broken = tuple(_broken(night, rows, expected))
    # what the spec says of a night is not said a second time by comparison
    unusual = () if broken else tuple(_unusual(night, rows, expected, compared))
    unread_sentences = tuple(overlooked.sentence for overlooked in unread if overlooked.sure or not rows)
    return Landed(rows, broken, unusual, unread_sentences, compared)


def _broken(night: str, rows: int, expected: Expected) -> list[str]:
    due = expected.due(night)
    if not rows and due is False:
        return []
    if not rows and due:
        return [f"nothing came, and `source.expect` says that something comes on a {_day(night, expected.time_zone)}"]
    if expected.least is not None and rows < expected.least:
        return [f"{rows:,} rows came, and `source.expect.rows` says at least {expected.least:,}"]
    if expected.most is not None and rows > expected.most:
        return [f"{rows:,} rows came, and `source.expect.rows` says at most {expected.most:,}"]
    return []


def _unusual(night: str, rows: int, expected: Expected, compared: Usual | None) -> list[str]:
    if compared is None or (not rows and expected.due(night) is False):
        return []
    # A handful more or less is chance; and a spec that bounds the rows has said what is too few and too many.
    low, high = compared.low / _TIMES - _spread(compared.low), compared.high * _TIMES + _spread(compared.high)
    if not rows and compared.low > 0:
        return [f"nothing came, where {compared.words} came"]
    if rows < low and expected.least is None:
        return [f"only {rows:,} rows came, where {compared.words} came"]
    if rows > high and expected.most is None:
        return [f"{rows:,} rows came, where {compared.words} came"]
    return []


def _spread(rows: int) -> float:
    return 2 * float(max(rows, 1)) ** 0.5


def _day(night: str, time_zone: str) -> str:
    return _DAYS[begins_on(night, time_zone).weekday()]
