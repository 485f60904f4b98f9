"""Everything that lands for a night as one source: its cases, and the rows in which the truth about others comes."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline_project.domain.core.nights import NightWindow
from pipeline_project.domain.intake.readings import ArrivedRows
from pipeline_project.ports.sources import CaseSource
from resources.sources.night_files import fingerprint
from resources.sources.outcomes import FilesOutcomes
from resources.sources.sql import SqlOutcomes


@dataclass(frozen=True)
class Together:
    """The declared source of a workflow's cases, whose nights also change when outcomes land."""

    cases: CaseSource
    outcomes: FilesOutcomes | SqlOutcomes

    def read(self, window: NightWindow) -> ArrivedRows:
        """As `ports.CaseSource.read`: the cases alone."""
        return self.cases.read(window)

    def fingerprint(self, window: NightWindow) -> str:
        """As `ports.CaseSource.fingerprint`. A night without outcomes keeps the fingerprint of its cases."""
        cases, outcomes = self.cases.fingerprint(window), self.outcomes.stamps(window)
        return fingerprint([cases, *outcomes]) if outcomes else cases

    def nights_landed(self) -> list[str]:
        """As `ports.CaseSource.nights_landed`: also nights on which only the truth about earlier cases came."""
        return sorted({*self.cases.nights_landed(), *self.outcomes.nights()})

    def places(self) -> tuple[str, ...]:
        """As `ports.CaseSource.places`: those of the cases."""
        return self.cases.places()
