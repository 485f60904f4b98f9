"""Where cases, their truth and their photos come from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import pyarrow as pa

from pipeline_project.domain.core.nights import NightWindow
from pipeline_project.domain.intake.landing import Overlooked
from pipeline_project.domain.intake.lookups.versions import ReadTable
from pipeline_project.domain.intake.outcomes import ArrivedOutcomes
from pipeline_project.domain.intake.readings import ArrivedRows
from pipeline_project.spec import WorkflowSpec


class CaseSource(Protocol):
    """Where a workflow's arrivals come from."""

    def read(self, window: NightWindow) -> ArrivedRows:
        """What came in for a night, untouched, and how its files were read; no rows when nothing landed.

        Raises:
            SourceUnreadable: a file is there and cannot be read whole; the message says what to do.
            SourceStillGrowing: a file changed while it was read; trying again later is right.
        """
        ...

    def fingerprint(self, window: NightWindow) -> str:
        """A hash of what has landed for a night, without reading it whole; it changes when anything lands."""
        ...

    def nights_landed(self) -> list[str]:
        """Nights for which something has landed, in order."""
        ...

    def places(self) -> tuple[str, ...]:
        """Where it reads, the same for everybody who reads there, however it is spelled."""
        ...


class OutcomeSource(Protocol):
    """Where the truth about earlier cases comes from."""

    def read(self, window: NightWindow) -> ArrivedOutcomes:
        """Outcomes that arrived that night, and what could not be used of them."""
        ...


class PhotoSource(Protocol):
    """Opens the photos that a case names."""

    def read(self, path: str) -> bytes:
        """The bytes of one photo.

        Raises:
            PhotoUnreadable: missing, outside the workflow's folder, or too large; the message names the path.
        """
        ...

    def stamp(self, paths: Iterable[str]) -> str:
        """Changes when one of these photos lands, changes or goes; looks at each once and reads none."""
        ...


class LookupSource(Protocol):
    """Where a workflow's reference tables come from."""

    def read(self, window: NightWindow, first: bool = False) -> dict[str, ReadTable]:
        """By name each reference table as it lies there now, as far as it was known in a night.

        Args:
            first: no night kept anything yet; of tables of additions all there are up to the night are given.

        Raises:
            SourceUnreadable: a table is missing, empty, or cannot be read whole; the message says what to do.
            SourceStillGrowing: a file changed while it was read; trying again later is right.
        """
        ...


class Sources(Protocol):
    """Where cases, photos, outcomes and reference tables of a workflow come from."""

    def cases(self, spec: WorkflowSpec) -> CaseSource: ...

    def outcomes(self, spec: WorkflowSpec) -> OutcomeSource: ...

    def photos(self, spec: WorkflowSpec) -> PhotoSource: ...

    def lookups(self, spec: WorkflowSpec) -> LookupSource: ...

    def series(self, spec: WorkflowSpec, name: str, window: NightWindow) -> pa.Table:
        """The rows of one of the spec's series that a night may see, as `schema.ARRIVALS`.

        Raises:
            SourceUnreadable, SourceStillGrowing: as `CaseSource.read`.
        """
        ...

    def photo_stamp(self, spec: WorkflowSpec, night: str) -> str | None:
        """What lies there now of the photos that a night's cases name; None where there are no such cases."""
        ...

    def overlooked(self, spec: WorkflowSpec, night: str | None = None) -> list[Overlooked]:
        """What lies at the sources and is read for no night; with a night, what may be meant for it."""
        ...
