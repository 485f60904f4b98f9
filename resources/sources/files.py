"""Cases in files that are named after their night."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.nights import NightWindow
from pipeline_project.domain.intake.night_names import night_glob, night_in
from pipeline_project.domain.intake.readings import ArrivedRows
from pipeline_project.settings import Settings
from pipeline_project.spec.source import FilesSource
from pipeline_project.spec.workflow import WorkflowSpec
from resources.sources.arrivals import FileTerms, read_file, stamp
from resources.sources.declared import case_columns
from resources.sources.places import pattern_place, place
from resources.sources.repairs import read_repairs, repaired_nights, repairs


@dataclass(frozen=True)
class NightFiles:
    """The files below a folder whose path follows a pattern with `{night}`."""

    folder: Path
    pattern: str

    def of(self, night: str) -> list[Path]:
        """The files of a night, in a fixed order; hidden ones are being written and do not count."""
        paths = self.folder.glob(night_glob(self.pattern, date.fromisoformat(night)))
        return sorted(path for path in paths if path.is_file() and not path.name.startswith("."))

    def nights(self) -> list[str]:
        """The nights there are files for, in order."""
        nights = set()
        for path in self.folder.glob(night_glob(self.pattern)):
            night = night_in(path.relative_to(self.folder).as_posix(), self.pattern)
            if night and not path.name.startswith("."):
                nights.add(night)
        return sorted(nights)

    def reads(self, name: str) -> bool:
        """Whether a file of this name, below the folder, is read for some night."""
        return night_in(name, self.pattern) is not None and not name.rpartition("/")[2].startswith(".")

    def name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


class FilesCases:
    """A files source, repairs included.

    Args:
        unhashed: columns that the hash of a row leaves out.
    """

    def __init__(
        self, spec: WorkflowSpec, settings: Settings, variables: Mapping[str, str], unhashed: tuple[str, ...]
    ) -> None:
        self._spec, self._settings, self._variables, self._unhashed = spec, settings, variables, unhashed

    @property
    def _source(self) -> FilesSource:
        assert isinstance(self._spec.source, FilesSource)
        return self._spec.source

    def _files(self) -> NightFiles:
        return NightFiles(place(self._source.folder, self._spec, self._variables), self._source.pattern)

    def read(self, window: NightWindow) -> ArrivedRows:
        """As `ports.CaseSource.read`. A folder that is not there is a failure, not an empty night: a share that is
        not mounted looks just like it."""
        files = self._files()
        if not files.folder.is_dir():
            raise SourceUnreadable(
                f"{self._spec.name}: there is no folder {files.folder}; create or mount it, or correct `source.folder`"
            )
        declared = case_columns(self._spec)
        parts = [
            read_file(path, self._source, window.night, files.name(path), FileTerms(self._unhashed, declared=declared))
            for path in files.of(window.night)
        ]
        return ArrivedRows.joined([*parts, *read_repairs(self._settings, self._spec, window.night, self._unhashed)])

    def fingerprint(self, window: NightWindow) -> str:
        files = self._files()
        mine = [(files.name(path), *stamp(path, path.name)) for path in files.of(window.night)]
        return fingerprint([*mine, *repair_stamps(self._settings, self._spec, window.night)])

    def nights_landed(self) -> list[str]:
        return sorted({*self._files().nights(), *repaired_nights(self._settings, self._spec)})

    def places(self) -> tuple[str, ...]:
        return (pattern_place(place(self._source.folder, self._spec, self._variables), self._source.pattern),)


def repair_stamps(settings: Settings, spec: WorkflowSpec, night: str) -> list[tuple[object, ...]]:
    """What differs when a repair is added; its name is the hash of its content."""
    return [("repair", path.name) for path in repairs(settings, spec, night)]


def fingerprint(parts: Iterable[object]) -> str:
    """A hash over what has landed."""
    return hashlib.sha256(repr(list(parts)).encode()).hexdigest()
