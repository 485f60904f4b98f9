"""Files to arrivals: read whole or not at all, every row with its content's hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from os import stat_result
from pathlib import Path

import pyarrow as pa

from pipeline_project.domain.core.errors import SourceStillGrowing, SourceUnreadable
from pipeline_project.domain.core.schema import ARRIVALS
from pipeline_project.domain.intake.file_hints import HEAD, DeclaredColumns, looks_like
from pipeline_project.domain.intake.ids import canonical
from pipeline_project.domain.intake.readings import ArrivedRows, FileReading
from pipeline_project.domain.privacy.csv_cells import as_written
from pipeline_project.spec.source import FileFormat
from resources.sources.csv_rows import csv_rows
from resources.sources.excel_rows import excel_rows
from resources.sources.fixed_rows import fixed_rows
from resources.sources.json_rows import json_rows, jsonl_rows
from resources.sources.lines import Reading
from resources.sources.parquet_rows import parquet_rows
from resources.sources.rows import SourceRow
from resources.sources.unpacking import Unpacked, unpacked

#: More than this, unpacked, is refused: a small packed file can hold gigabytes.
MAX_BYTES = 2 * 1024**3
_PORTION = 10_000


@dataclass(frozen=True)
class FileTerms:
    """What is known of a file beyond its format.

    Attributes:
        unhashed: columns that `row_sha256` leaves out: the outcome, which changes while the case stays the same.
        exported: cells stand as `harmless` wrote them for a spreadsheet, and are read as they were.
        declared: the columns it should have; a file of which none is there is not read as one of no rows.
    """

    unhashed: Collection[str] = ()
    exported: bool = False
    declared: DeclaredColumns | None = None


NOTHING_KNOWN = FileTerms()


def read_file(path: Path, how: FileFormat, night: str, name: str, terms: FileTerms = NOTHING_KNOWN) -> ArrivedRows:
    """One file as arrivals.

    Args:
        name: what `file` says; no absolute path, so that arrivals are the same on every machine.

    Raises:
        SourceUnreadable: it cannot be read whole; the message says what to do.
        SourceStillGrowing: it changed while it was read.
    """
    before = stamp(path, name)
    try:
        arrived = _read(path, how, night, name, terms)
    except SourceUnreadable as error:
        # Half of a file that is being written looks broken; then waiting is right, not repairing.
        _unchanged(path, name, before)
        hint = looks_like(beginning(path), how.format)
        if hint and hint not in str(error):
            raise SourceUnreadable(f"{error}. It seems that {hint}") from None
        raise
    _unchanged(path, name, before)
    return arrived


def _read(path: Path, how: FileFormat, night: str, name: str, terms: FileTerms) -> ArrivedRows:
    reading, declared = Reading(), terms.declared
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except OSError as error:
        raise SourceUnreadable(f"{name}: {error.strerror or 'cannot be read'}; check its permissions") from error
    if how.format == "parquet":
        rows = parquet_rows(path, name, reading, declared, MAX_BYTES)
        table = arrivals(rows, night, name, digest, terms.unhashed)
    elif how.format == "excel":
        rows = excel_rows(path, how, name, reading, declared, MAX_BYTES)
        table = arrivals(rows, night, name, digest, terms.unhashed)
    else:
        with closing(_unpacked(path, name, reading)) as stream:
            reader = {"csv": csv_rows, "jsonl": jsonl_rows, "json": json_rows, "fixed": fixed_rows}[how.format]
            rows = reader(stream, how, name, reading, declared)
            table = arrivals(map(_as_written, rows) if terms.exported else rows, night, name, digest, terms.unhashed)
            size = stream.tell()
    hint = looks_like(beginning(path), how.format)
    if declared is not None and (problem := declared.problem(list(reading.columns), bool(len(table)), bool(hint))):
        raise SourceUnreadable(f"{name}: {problem}")
    read = FileReading(name, size, reading.lines, reading.passed_over, reading.delimiter, tuple(reading.detected))
    return ArrivedRows(table, (read,))


def beginning(path: Path, size: int = HEAD) -> bytes:
    """The first bytes of a file, unpacked; none where it cannot be read."""
    try:
        with closing(unpacked(path, path.name, Reading(), MAX_BYTES)) as file:
            return file.read(size)
    except (OSError, SourceUnreadable):
        try:
            with path.open("rb") as packed:
                return packed.read(size)
        except OSError:
            return b""


def _unpacked(path: Path, name: str, reading: Reading) -> Unpacked:
    return unpacked(path, name, reading, MAX_BYTES)


def _as_written(row: SourceRow) -> SourceRow:
    return replace(row, cells={as_written(name): as_written(cell) for name, cell in row.cells.items()})


def arrivals(rows: Iterable[SourceRow], night: str, name: str, digest: str, unhashed: Collection[str] = ()) -> pa.Table:
    """Rows as `schema.ARRIVALS`; a few thousand at a time are Python's, the rest Arrow's, which takes a third."""
    waiting, left_out = iter(rows), frozenset(unhashed)
    parts = [ARRIVALS.empty_table()]
    while portion := list(islice(waiting, _PORTION)):
        parts.append(_portion(portion, night, name, digest, left_out))
    return pa.concat_tables(parts)


def _portion(rows: list[SourceRow], night: str, name: str, digest: str, left_out: frozenset[str]) -> pa.Table:
    lines, hashes, raws, problems = [], [], [], []
    for row in rows:
        lines.append(row.line)
        raws.append(json.dumps(row.cells | row.inside, ensure_ascii=False, separators=(",", ":")))
        problems.append(row.problem)
        # Sorted, so that re-ordered columns are the same content.
        content = sorted((name, canonical(cell)) for name, cell in row.cells.items() if name not in left_out)
        # A broken line is not the same as a whole one that happens to hold the same cells.
        hashed = [content, row.problem] if row.problem else content
        hashes.append(hashlib.sha256(json.dumps(hashed, separators=(",", ":")).encode()).hexdigest())
    count = len(lines)
    columns = [[night] * count, [name] * count, [digest] * count, lines, hashes, raws, problems]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, ARRIVALS, strict=True)]
    return pa.table(arrays, schema=ARRIVALS)


def stamp(path: Path, name: str) -> tuple[int, int, int]:
    """Size, time of change and inode: what differs when a file was changed.

    Raises:
        SourceUnreadable: it is gone or may not be read.
    """
    try:
        status: stat_result = path.stat()
    except OSError as error:
        raise SourceUnreadable(
            f"{name}: {error.strerror or 'cannot be read'}; deliver it, or correct the spec"
        ) from error
    return status.st_size, status.st_mtime_ns, status.st_ino


def _unchanged(path: Path, name: str, before: tuple[int, int, int]) -> None:
    if stamp(path, name) != before:
        raise SourceStillGrowing(f"{name}: changed while it was read; run the night again when it is complete")
