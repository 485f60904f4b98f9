"""Cases in files that are named after their night."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.locations import is_url
from pipeline_project.domain.core.nights import NightWindow
from pipeline_project.domain.intake.readings import ArrivedRows
from pipeline_project.ports.files import Files
from pipeline_project.settings import Settings
from pipeline_project.spec.source import FilesSource
from pipeline_project.spec.workflow import WorkflowSpec
from resources.sources.arrivals import FileTerms
from resources.sources.declared import case_columns
from resources.sources.night_files import NightFiles, fingerprint
from resources.sources.places import location, pattern_place
from resources.sources.repairs import Repairs


class FilesCases:
    """A files source, repairs included.

    Args:
        unhashed: columns that the hash of a row leaves out.
    """

    def __init__(
        self, spec: WorkflowSpec, settings: Settings, variables: Mapping[str, str], unhashed: tuple[str, ...]
    ) -> None:
        self._spec, self._variables, self._unhashed = spec, variables, unhashed
        self._repairs = Repairs(settings, spec, unhashed)

    @property
    def _source(self) -> FilesSource:
        assert isinstance(self._spec.source, FilesSource)
        return self._spec.source

    def _place(self) -> str:
        return location(self._source.folder, self._spec, self._variables)

    @cached_property
    def _files(self) -> NightFiles:
        return NightFiles.at(self._place(), self._source.pattern, self._spec.nights.every, self._spec.tenant)

    def read(self, window: NightWindow) -> ArrivedRows:
        """As `ports.CaseSource.read`. A folder that is not there is a failure, not an empty night: a share that is
        not mounted looks just like it."""
        names = self._files.of(window.night)
        if not names and not _is_there(self._files.files):
            raise SourceUnreadable(
                f"{self._spec.name}: there is no folder {self._files.files.url}; create or mount it, or correct "
                "`source.folder`"
            )
        terms = FileTerms(self._unhashed, declared=case_columns(self._spec))
        parts = [self._files.read(name, self._source, window.night, terms) for name in names]
        return ArrivedRows.joined([*parts, *self._repairs.read(window.night)])

    def fingerprint(self, window: NightWindow) -> str:
        return fingerprint([*self._files.stamps(window.night), *self._repairs.stamps(window.night)])

    def nights_landed(self) -> list[str]:
        """As `ports.CaseSource.nights_landed`; behind a URL the fingerprints asked for next are of this moment."""
        return sorted({*self._files.nights(), *self._repairs.nights()})

    def places(self) -> tuple[str, ...]:
        return (pattern_place(self._place(), self._source.pattern),)


def _is_there(files: Files) -> bool:
    """Whether there is such a folder; behind a URL, whether anything lies below it."""
    return any(files.level()) if is_url(files.url) else Path(files.url).is_dir()
