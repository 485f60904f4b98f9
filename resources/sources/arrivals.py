"""Files to arrivals: read whole or not at all, every row with its content's hash."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from os import stat_result
from pathlib import Path

import pyarrow as pa

from pipeline_project.domain.errors import SourceStillGrowing, SourceUnreadable
from pipeline_project.domain.ids import canonical
from pipeline_project.domain.looks import HEAD, Declared, looks_like
from pipeline_project.domain.privacy.csv_cells import as_written
from pipeline_project.domain.schema import ARRIVALS
from pipeline_project.spec.source import FileFormat
from resources.sources.rows import MAX_BYTES, Row, csv_rows, jsonl_rows, parquet_rows

_CHUNK = 1024 * 1024


def read_file(
    path: Path,
    how: FileFormat,
    night: str,
    name: str,
    unhashed: Collection[str] = (),
    exported: bool = False,
    declared: Declared | None = None,
) -> pa.Table:
    """One file as arrivals.

    Args:
        name: what `file` says; no absolute path, so that arrivals are the same on every machine.
        unhashed: columns that `row_sha256` leaves out: the outcome, which changes while the case stays the same.
        exported: cells stand as `harmless` wrote them for a spreadsheet, and are read as they were.
        declared: the columns it should have; a file of which none is there is not read as one of no rows.

    Raises:
        SourceUnreadable: it cannot be read whole; the message says what to do.
        SourceStillGrowing: it changed while it was read.
    """
    before = stamp(path, name)
    try:
        columns: dict[str, None] = {}
        digest, rows = _read(path, how, name, columns)
        table = arrivals(map(_as_written, rows) if exported else rows, night, name, digest, unhashed)
        hint = looks_like(_head(path), how.format)
        if declared is not None and (problem := declared.problem(list(columns), bool(len(table)), bool(hint))):
            raise SourceUnreadable(f"{name}: {problem}")
    except SourceUnreadable as error:
        # Half of a file that is being written looks broken; then waiting is right, not repairing.
        _unchanged(path, name, before)
        if hint := looks_like(_head(path), how.format):
            raise SourceUnreadable(f"{error}. It seems that {hint}") from None
        raise
    _unchanged(path, name, before)
    return table


def _head(path: Path) -> bytes:
    """The beginning of a file, unpacked; nothing where it cannot be read."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.read(HEAD)
    except (OSError, EOFError, zlib.error):
        return b""


def _as_written(row: Row) -> Row:
    return replace(row, cells={as_written(name): as_written(cell) for name, cell in row.cells.items()})


def arrivals(rows: Iterable[Row], night: str, name: str, digest: str, unhashed: Collection[str] = ()) -> pa.Table:
    """Rows as `schema.ARRIVALS`."""
    lines, hashes, raws, problems = [], [], [], []
    left_out = frozenset(unhashed)
    for row in rows:
        lines.append(row.line)
        raws.append(json.dumps(row.cells, ensure_ascii=False, separators=(",", ":")))
        problems.append(row.problem)
        # Sorted, so that re-ordered columns are the same content.
        content = sorted((name, canonical(cell)) for name, cell in row.cells.items() if name not in left_out)
        # A broken line is not the same as a whole one that happens to hold the same cells.
        told = [content, row.problem] if row.problem else content
        hashes.append(hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).hexdigest())
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
        found: stat_result = path.stat()
    except OSError as error:
        raise SourceUnreadable(
            f"{name}: {error.strerror or 'cannot be read'}; deliver it, or correct the spec"
        ) from error
    return found.st_size, found.st_mtime_ns, found.st_ino


def _unchanged(path: Path, name: str, before: tuple[int, int, int]) -> None:
    if stamp(path, name) != before:
        raise SourceStillGrowing(f"{name}: changed while it was read; run the night again when it is complete")


def _read(path: Path, how: FileFormat, name: str, columns: dict[str, None]) -> tuple[str, Iterator[Row]]:
    """sha256 of the file as it lies there, and its rows; `columns` is filled as they are read."""
    if how.format == "parquet":
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), parquet_rows(path, columns)
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise SourceUnreadable(f"{name}: {error.strerror or 'cannot be read'}; check its permissions") from error
    data = _unpacked(packed, path, name)
    rows = (csv_rows if how.format == "csv" else jsonl_rows)(data, how, name, columns)
    return hashlib.sha256(packed).hexdigest(), rows


def _unpacked(packed: bytes, path: Path, name: str) -> bytes:
    if path.suffix != ".gz":
        return packed
    parts, size = [], 0
    try:
        with gzip.open(path) as file:
            while chunk := file.read(_CHUNK):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise SourceUnreadable(f"{name}: more than {MAX_BYTES // 1024**3} GiB unpacked; split it")
                parts.append(chunk)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceUnreadable(
            f"{name}: no whole gzip file, it may be half-written or truncated; deliver it again"
        ) from error
    return b"".join(parts)
