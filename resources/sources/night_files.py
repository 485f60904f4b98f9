"""Files that are named after their night, in a folder or behind an object store's URL."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline_project.domain.core.errors import FileMissing, SourceUnreadable
from pipeline_project.domain.core.locations import is_url
from pipeline_project.domain.core.nights import Cadence
from pipeline_project.domain.intake.night_names import night_glob, night_in
from pipeline_project.domain.intake.readings import ArrivedRows
from pipeline_project.ports.files import Files, Stamp
from pipeline_project.spec.source import FileFormat
from resources.files import files_at
from resources.sources.arrivals import FileTerms, read_file


@dataclass
class NightFiles:
    """The files below a place whose path follows a pattern with `{night}`.

    Attributes:
        every: the cadence of the nights.
        listed: behind a URL, what the last look at all nights saw, by name with its stamp: a look at each night alone
            would be a request for each.
    """

    files: Files
    pattern: str
    every: Cadence
    listed: Mapping[str, Stamp] | None = field(default=None, init=False)

    @classmethod
    def at(cls, place: str, pattern: str, every: Cadence, tenant: str = "") -> NightFiles:
        """
        Args:
            tenant: whose source it is; whoever delivers to a tenant may put a link there to what others have.
        """
        return cls(files_at(place, closed=bool(tenant)), pattern, every)

    def of(self, night: str) -> list[str]:
        """The names of a night's files, in a fixed order; hidden ones are being written and do not count."""
        return list(self.files.matching(night_glob(self.pattern, self.every, night)))

    def _night_in(self, name: str) -> str | None:
        return night_in(name, self.pattern, self.every)

    def nights(self) -> list[str]:
        """The nights there are files for, in order; behind a URL the `stamps` asked for next are of this moment."""
        there = self.files.matching(night_glob(self.pattern, self.every))
        if is_url(self.files.url):
            self.listed = {name: stamp for name, stamp in there.items() if stamp is not None}
        return sorted({night for name in there if (night := self._night_in(name)) is not None})

    def stamps(self, night: str) -> list[tuple[object, ...]]:
        """What differs when a file of a night is added or changed.

        Raises:
            SourceUnreadable: one went away meanwhile.
        """
        if self.listed is not None:
            mine = {name: stamp for name, stamp in self.listed.items() if self._night_in(name) == night}
            return [(name, *stamp) for name, stamp in sorted(mine.items())]
        return [(name, *self.stamp(name)) for name in self.of(night)]

    def stamp(self, name: str) -> Stamp:
        """What differs when the file is changed, its size first.

        Raises:
            SourceUnreadable: it went away meanwhile.
        """
        stamp = self.files.stamp(name)
        if stamp is None:
            raise SourceUnreadable(f"{name}: it is not there; deliver it, or correct the spec")
        return stamp

    def reads(self, name: str) -> bool:
        """Whether a file of this name, below the place, is read for some night."""
        return self._night_in(name) is not None and not name.rpartition("/")[2].startswith(".")

    def read(self, name: str, how: FileFormat, night: str, terms: FileTerms, shown: str | None = None) -> ArrivedRows:
        """One file as arrivals, under the name that is shown.

        Raises:
            SourceUnreadable, SourceStillGrowing: as `read_file`.
            FilesUnavailable, FilesRefused: the store does not give it.
        """
        try:
            with self.files.fetched(name) as path:
                return read_file(path, how, night, shown or name, terms)
        except FileMissing as error:
            raise SourceUnreadable(f"{shown or name}: it is not there; deliver it, or correct the spec") from error


def fingerprint(parts: Iterable[object]) -> str:
    """A hash over what has landed."""
    return hashlib.sha256(repr(list(parts)).encode()).hexdigest()
