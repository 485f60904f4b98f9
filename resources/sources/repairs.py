"""Repaired rows: files that a person gives back to their own night, kept beside the source and never in it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.locations import below
from pipeline_project.domain.core.nights import cadence_of, is_night
from pipeline_project.domain.intake.admission import REPAIR_PREFIX
from pipeline_project.domain.intake.readings import ArrivedRows
from pipeline_project.settings import Settings
from pipeline_project.spec.source import FileFormat, FilesSource, TableSource
from pipeline_project.spec.workflow import WorkflowSpec
from resources.files import files_at
from resources.sources.arrivals import FileTerms, read_file
from resources.sources.night_files import NightFiles

_FORMATS: dict[str, Literal["csv", "jsonl", "json", "parquet"]] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
}


def add_repair(settings: Settings, spec: WorkflowSpec, night: str, file: Path) -> str:
    """Gives a repaired file back to its night and returns its name there. The same content twice is one repair.

    Args:
        file: .csv, .jsonl, .json or .parquet, also with .gz; a CSV is written like the source's own files.

    Raises:
        SourceUnreadable: it cannot be read, holds no row or none of the workflow's columns, or `night` is no date.
    """
    if not is_night(night) or cadence_of(night) is not spec.nights.every:
        raise SourceUnreadable(f"{night!r} is no night of {spec.name}; write for instance {spec.nights.every.example}")
    rows = _read(spec, file, night).rows
    if not rows.num_rows:
        raise SourceUnreadable(f"{file.name}: holds no row below its header; there is nothing to repair with")
    wanted = [column for field in spec.case_schema.fields for column in field.columns]
    if not any(column in json.loads(raw) for raw in rows["raw"].to_pylist() for column in wanted):
        raise SourceUnreadable(
            f"{file.name}: holds none of the columns of {spec.name} ({', '.join(wanted)}); begin with a header as the "
            "source's own files have it, between the same delimiters"
        )
    content = file.read_bytes()
    name = f"{hashlib.sha256(content).hexdigest()[:32]}{''.join(_suffixes(file))}"
    # whole or not there: a sensor may look at any moment
    files_at(settings.repairs).create(f"{spec.name}/{night}/{name}", content)
    return name


class Repairs:
    """The repairs of a workflow, each a file below its own night.

    Args:
        unhashed: columns that the hash of a row leaves out.
    """

    def __init__(self, settings: Settings, spec: WorkflowSpec, unhashed: tuple[str, ...]) -> None:
        self._spec, self._unhashed = spec, unhashed
        self._files = NightFiles.at(below(settings.repairs, spec.name), "{night}/*", spec.nights.every)

    def read(self, night: str) -> list[ArrivedRows]:
        """The repairs of one night as arrivals.

        Raises:
            SourceUnreadable, SourceStillGrowing: as `read_file`.
        """
        return [self._read(name, night) for name in self._files.of(night)]

    def stamps(self, night: str) -> list[tuple[object, ...]]:
        """What differs when a repair is added; its name is the hash of its content."""
        return [("repair", _last_step(str(name))) for name, *_ in self._files.stamps(night)]

    def nights(self) -> list[str]:
        """Nights for which there is a repair, in order."""
        return self._files.nights()

    def _read(self, name: str, night: str) -> ArrivedRows:
        how, terms = _as_repaired(self._spec, name, self._unhashed)
        return self._files.read(name, how, night, terms, f"{REPAIR_PREFIX}{_last_step(name)}")


def read_correction(spec: WorkflowSpec, file: Path, night: str, unhashed: tuple[str, ...]) -> ArrivedRows:
    """A file of corrected rows as arrivals, written like a repair; it is not kept.

    Raises:
        SourceUnreadable, SourceStillGrowing: as `read_file`, and when it holds no row.
    """
    if not file.is_file():
        raise SourceUnreadable(f"{file} is no file; give `repaired`, or a file of corrected rows")
    arrived = _read(spec, file, night, unhashed)
    if not arrived.rows.num_rows:
        raise SourceUnreadable(f"{file.name}: holds no row below its header; there is nothing to correct with")
    return arrived


def repair_format(spec: WorkflowSpec, file: Path) -> FileFormat:
    """How a repair of this name is written: like the source's own files."""
    source = spec.source
    own = source if isinstance(source, FilesSource) else source.files[0] if isinstance(source, TableSource) else None
    kind = next((_FORMATS[end] for end in _suffixes(file) if end in _FORMATS), None)
    if kind is None:
        raise SourceUnreadable(f"{file.name}: a repair ends in {', '.join(_FORMATS)}, or these with .gz")
    given = own if own is not None else FileFormat()
    return FileFormat(format=kind, delimiter=given.delimiter, encoding=given.encoding)


def _read(spec: WorkflowSpec, file: Path, night: str, unhashed: tuple[str, ...] = ()) -> ArrivedRows:
    how, terms = _as_repaired(spec, file.name, unhashed)
    return read_file(file, how, night, file.name, terms)


def _as_repaired(spec: WorkflowSpec, name: str, unhashed: tuple[str, ...]) -> tuple[FileFormat, FileTerms]:
    """How a repair is read; in a CSV what `--export` kept from being computed is what it was again."""
    how = repair_format(spec, Path(name))
    return how, FileTerms(unhashed, exported=how.format == "csv")


def _last_step(name: str) -> str:
    return name.rpartition("/")[2]


def _suffixes(file: Path) -> list[str]:
    ends = [suffix.lower() for suffix in file.suffixes[-2:]]
    return ends[-2:] if ends[-1:] == [".gz"] else ends[-1:]
