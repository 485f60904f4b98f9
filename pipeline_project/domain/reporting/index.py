"""Nights beside each other: one row a night, for one workflow or several."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline_project.domain.reporting.states import ReportState
from pipeline_project.domain.reporting.summary import NightReport

#: Nights that a row's small curve looks back on.
LOOK_BACK = 14


@dataclass(frozen=True)
class IndexRow:
    """One night, small enough to keep beside its page; only numbers and words, so it survives JSON.

    Attributes:
        begins: when an hour or a week begins, as people there read the clock; empty for a day.
        href: where the night's page is, relative to the index.
        policy_cost, constant_cost: expected, over the comparable cases; None when nothing could be compared.
    """

    night: str
    state: str
    href: str
    arrivals: int
    admitted: int
    refused: int
    repeats: int
    by_policy: int
    to_people: int
    policy_cost: float | None
    constant_cost: float | None
    alerts: int
    begins: str = ""

    @property
    def share_to_people(self) -> float | None:
        total = self.by_policy + self.to_people
        return self.to_people / total if total else None

    @property
    def calm(self) -> bool:
        """Nothing to look at first."""
        return self.alerts == 0 and self.state in (ReportState.DECIDED, ReportState.EMPTY, ReportState.WARM_UP)


@dataclass(frozen=True)
class WorkflowIndex:
    """One workflow's nights, in any order."""

    workflow: str
    title: str
    currency: str
    rows: tuple[IndexRow, ...]

    @property
    def newest_first(self) -> tuple[IndexRow, ...]:
        return tuple(sorted(self.rows, key=lambda row: row.night, reverse=True))

    def curve(self, until: str | None = None) -> tuple[float | None, ...]:
        """Share that went to people, oldest first: the last nights up to `until`, or all of them."""
        nights = sorted(self.rows, key=lambda row: row.night)
        if until is None:
            return tuple(row.share_to_people for row in nights)
        return tuple(row.share_to_people for row in nights if row.night <= until)[-LOOK_BACK:]


def index_row(report: NightReport, href: str) -> IndexRow:
    """A report as one row of the index."""
    compared = report.comparison
    return IndexRow(
        night=report.night,
        state=report.state.value,
        href=href,
        arrivals=report.arrivals,
        admitted=report.admitted,
        refused=report.refused,
        repeats=report.repeats,
        by_policy=report.by_policy,
        to_people=report.to_people,
        policy_cost=compared.policy_cost if compared else None,
        constant_cost=compared.best.cost if compared else None,
        alerts=sum(banner.kind != "note" for banner in report.banners),
        begins=report.begins,
    )
