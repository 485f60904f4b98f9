"""How long which class of data is kept, and what stands against throwing it away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

from pipeline_project.domain.core.nights import last_day_of


class DataClass(StrEnum):
    """What is kept for as long as its own."""

    ARRIVALS = "arrivals"
    CASES = "cases"
    PHOTOS = "photos"
    NOTES = "notes"


@dataclass(frozen=True)
class Due:
    """One night of one class whose time is over.

    Attributes:
        held: whether a legal hold on the whole workflow keeps it; one on a subject keeps that subject's rows only.
    """

    data: DataClass
    night: str
    held: bool = False


@dataclass(frozen=True)
class Holds:
    """The legal holds that stand: on the workflow, and on subjects by pseudonym."""

    workflow: bool = False
    subjects: frozenset[str] = field(default_factory=frozenset)

    def keeps(self, subject: str | None) -> bool:
        """Whether the values of a subject stay; those of nobody known stay while anybody is held."""
        return self.workflow or (bool(self.subjects) if subject is None else subject in self.subjects)


def last_due(days: int, today: date) -> date:
    """The last day whose nights' time is over: those of `days` days ago are kept, those of the day before are not."""
    return today - timedelta(days=days + 1)


def due(
    terms: Mapping[DataClass, int | None], nights: Mapping[DataClass, Iterable[str]], today: date, holds: Holds
) -> list[Due]:
    """The nights whose time is over, by class, in order.

    Args:
        terms: days each class is kept after its night; None or missing is for good.
        nights: those there are of each class; of a week its last day counts, of an hour its day in UTC.
    """
    overdue = []
    for data in DataClass:
        days = terms.get(data)
        if days is None:
            continue
        last = last_due(days, today)
        overdue += [
            Due(data, night, holds.workflow) for night in sorted(nights.get(data, ())) if last_day_of(night) <= last
        ]
    return overdue
