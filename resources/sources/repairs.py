"""Repaired rows: files that a person gives back to their own night, kept beside the source and never in it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.intake.admission import REPAIR_PREFIX
from pipeline_project.domain.intake.readings import ArrivedRows
from pipeline_project.settings import Settings
from pipeline_project.spec.source import FileFormat, FilesSource, TableSource
from pipeline_project.spec.workflow import WorkflowSpec
from resources.files.small_files import write_whole
from resources.sources.arrivals import FileTerms, read_file
from resources.sources.places import is_night

_FORMATS: dict[str, Literal["csv", "jsonl", "json", "parquet"]] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
}


def add_repair(settings: Settings, spec: WorkflowSpec, night: str, file: Path) -> Path:
    """Gives a repaired file back to its night and returns where it is kept. The same content twice is one repair.

    Args:
        file: .csv, .jsonl, .json or .parquet, also with .gz; a CSV is written like the source's own files.

    Raises:
        SourceUnreadable: it cannot be read, holds no row or none of the workflow's columns, or `night` is no date.
    """
    if not is_night(night):
        raise SourceUnreadable(f"{night!r} is no night; write for instance 2025-03-01")
    rows = _read(spec, file, night, file.name).rows
    if not rows.num_rows:
        raise SourceUnreadable(f"{file.name}: holds no row below its header; there is nothing to repair with")
    wanted = [field.column for field in spec.case_schema.fields]
    if not any(column in json.loads(raw) for raw in rows["raw"].to_pylist() for column in wanted):
        raise SourceUnreadable(
            f"{file.name}: holds none of the columns of {spec.name} ({', '.join(wanted)}); begin with a header as the "
            "source's own files have it, between the same delimiters"
        )
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    folder = _folder(settings, spec) / night
    repair = folder / (digest[:32] + "".join(_suffixes(file)))
    if not repair.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Hidden until whole: a sensor may read this folder at any moment.
        write_whole(repair, file.read_bytes())
    return repair


def repairs(settings: Settings, spec: WorkflowSpec, night: str) -> list[Path]:
    """The repairs of one night, in a fixed order."""
    folder = _folder(settings, spec) / night
    return sorted(path for path in folder.glob("[!.]*") if path.is_file()) if folder.is_dir() else []


def repaired_nights(settings: Settings, spec: WorkflowSpec) -> list[str]:
    """Nights for which there is a repair, in order."""
    folder = _folder(settings, spec)
    return sorted(path.name for path in folder.iterdir() if any(path.iterdir())) if folder.is_dir() else []


def read_repairs(settings: Settings, spec: WorkflowSpec, night: str, unhashed: tuple[str, ...]) -> list[ArrivedRows]:
    """The repairs of one night as arrivals.

    Raises:
        SourceUnreadable, SourceStillGrowing: as `read_file`.
    """
    return [
        _read(spec, path, night, f"{REPAIR_PREFIX}{path.name}", unhashed) for path in repairs(settings, spec, night)
    ]


def read_correction(spec: WorkflowSpec, file: Path, night: str, unhashed: tuple[str, ...]) -> ArrivedRows:
    """A file of corrected rows as arrivals, written like a repair; it is not kept.

    Raises:
        SourceUnreadable, SourceStillGrowing: as `read_file`, and when it holds no row.
    """
    if not file.is_file():
        raise SourceUnreadable(f"{file} is no file; give `repaired`, or a file of corrected rows")
    arrived = _read(spec, file, night, file.name, unhashed)
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


def _read(spec: WorkflowSpec, file: Path, night: str, name: str, unhashed: tuple[str, ...] = ()) -> ArrivedRows:
    """A repair's rows; in a CSV what `--export` kept from being computed is what it was again."""
    how = repair_format(spec, file)
    return read_file(file, how, night, name, FileTerms(unhashed, exported=how.format == "csv"))


def _folder(settings: Settings, spec: WorkflowSpec) -> Path:
    return settings.home / "repairs" / spec.name


def _suffixes(file: Path) -> list[str]:
    ends = [suffix.lower() for suffix in file.suffixes[-2:]]
    return ends[-2:] if ends[-1:] == [".gz"] else ends[-1:]
