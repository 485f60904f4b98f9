"""Rows as strings out of CSV, JSON lines and Parquet, with nothing lost: a line that cannot be split says why."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_project.domain.errors import SourceUnreadable
from pipeline_project.spec.source import FileFormat

#: More than this, unpacked, is refused: a small packed file can hold gigabytes.
MAX_BYTES = 2 * 1024**3
_BATCH_ROWS = 256
# After so many unclosed quotes the rest of a file is kept as one row: each costs a pass over what follows.
_MAX_UNCLOSED = 100
_SURROGATE = re.compile("[\ud800-\udfff]")
_REPLACED = re.compile("[\ud800-\udfff\ufffd]")


@dataclass(frozen=True)
class Row:
    """One row: where it starts (the header being line 1), its cells by column, and why it could not be split."""

    line: int
    cells: dict[str, str]
    problem: str | None = None


def csv_rows(data: bytes, how: FileFormat, name: str, columns: dict[str, None] | None = None) -> Iterator[Row]:
    """The rows of a CSV file; line numbers are those of the file, also with line breaks in quotes.

    Args:
        columns: takes the names of the columns, also where there is no row.

    Raises:
        SourceUnreadable: the encoding is unknown, or the file is plainly in another one.
    """
    # A cell may be as long as the file; the library's own limit is 128 KiB.
    csv.field_size_limit(MAX_BYTES - 1)
    text, mark = decoded(data, how.encoding, name)
    lines = list(io.StringIO(text, newline=""))
    header: list[str] | None = None
    for line, cells, problem in _split(lines, how.delimiter):
        if not cells:
            continue
        if header is None:
            header = unique_names(_cleaned(cells, mark)[0])
            _tell(header, columns)
            if problem:
                raise SourceUnreadable(f"{name}: the header {problem}; correct the file or the spec's `delimiter`")
            continue
        clean, wrong = _cleaned(cells, mark)
        if problem is None and len(clean) != len(header):
            problem = f"has {len(clean)} cells where the header has {len(header)}"
        names = [*header, *(f"column {n + 1}" for n in range(len(header), len(clean)))]
        yield Row(line, dict(zip(names, clean, strict=False)), problem or wrong)


def jsonl_rows(data: bytes, how: FileFormat, name: str, columns: dict[str, None] | None = None) -> Iterator[Row]:
    """The rows of a file with one JSON object per line; numbers are kept as they are written.

    Raises:
        SourceUnreadable: as for `csv_rows`.
    """
    text, mark = decoded(data, how.encoding, name)
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        if not line.strip():
            continue
        (clean,), wrong = _cleaned([line.rstrip("\n")], mark)
        try:
            row = json.loads(clean, parse_float=str, parse_int=str, parse_constant=str)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            cells, unpaired = _cleaned([*row, *(as_string(value) for value in row.values())], mark)
            _tell(cells[: len(row)], columns)
            yield Row(number, dict(zip(cells[: len(row)], cells[len(row) :], strict=True)), wrong or unpaired)
        else:
            yield Row(number, {"line": clean}, wrong or "is no JSON object")


def parquet_rows(path: Path, columns: dict[str, None] | None = None) -> Iterator[Row]:
    """The rows of a Parquet file, read in batches of a few hundred so that memory stays bounded; `line` counts rows.

    Raises:
        SourceUnreadable: it is no Parquet file, or a truncated one.
    """
    number, read = 0, 0
    try:
        with pq.ParquetFile(path) as file:
            names = unique_names(list(file.schema_arrow.names))
            _tell(names, columns)
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
                read += batch.nbytes
                _check_size(read, path.name)
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    number += 1
                    yield Row(number, dict(zip(names, map(as_string, values), strict=True)))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SourceUnreadable(
            f"{path.name}: no whole Parquet file ({type(error).__name__}); it may be half-written or truncated. "
            "Deliver it again"
        ) from error


def _tell(names: Sequence[str], columns: dict[str, None] | None) -> None:
    """Adds the names that are not known yet; a JSON row may have some that those before it had not."""
    if columns is not None:
        columns.update(dict.fromkeys(names))


def decoded(data: bytes, encoding: str, name: str) -> tuple[str, re.Pattern[str]]:
    """The text of a file, and the characters that stand in it for bytes that are not of the encoding: lone surrogates
    that keep the byte, or U+FFFD where the encoding cannot keep it."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) and not encoding.lower().startswith(("utf-16", "utf_16")):
        raise SourceUnreadable(f"{name}: begins like UTF-16 but is declared {encoding}; set `encoding: utf-16`")
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8") and data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    try:
        return data.decode(encoding, "surrogateescape"), _SURROGATE
    except UnicodeDecodeError:
        return data.decode(encoding, "replace"), _REPLACED
    except LookupError as error:
        raise SourceUnreadable(f"{name}: {encoding!r} is no encoding; write for instance `encoding: utf-8`") from error


def _check_size(size: int, name: str) -> None:
    if size > MAX_BYTES:
        raise SourceUnreadable(f"{name}: more than {MAX_BYTES // 1024**3} GiB unpacked; deliver it in several files")


def _split(lines: list[str], delimiter: str) -> Iterator[tuple[int, list[str], str | None]]:
    """(line, cells, problem) of every row. A quote that is never closed would swallow the rest of the file: its
    first line is given as a row with a problem, and reading goes on with the next line."""
    start, unclosed = 0, 0
    while start < len(lines):
        feed = _Feed(lines, start)
        reader = csv.reader(feed, delimiter=delimiter)
        resume = len(lines)
        while True:
            begin = feed.position
            try:
                cells = next(reader)
            except StopIteration:
                break
            if not feed.ended:
                yield begin + 1, cells, None
                continue
            if begin + 1 < len(lines) and unclosed < _MAX_UNCLOSED:
                unclosed, resume = unclosed + 1, begin + 1
                cells = next(csv.reader([lines[begin]], delimiter=delimiter))
            yield begin + 1, cells, "has a quote that is never closed; the file may be half-written"
            break
        start = resume


class _Feed:
    """Gives lines and remembers whether more were asked for than there are: then the last row is not complete."""

    def __init__(self, lines: list[str], start: int) -> None:
        self._lines, self.position, self.ended = lines, start, False

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        if self.position >= len(self._lines):
            self.ended = True
            raise StopIteration
        self.position += 1
        return self._lines[self.position - 1]


def unique_names(names: list[str]) -> list[str]:
    """Column names trimmed, the nameless numbered, the repeated told apart."""
    seen: dict[str, int] = {}
    unique = []
    for number, raw in enumerate(names, start=1):
        name = raw.strip() or f"column {number}"
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return unique


def _cleaned(cells: list[str], mark: re.Pattern[str]) -> tuple[list[str], str | None]:
    """The cells with undecodable bytes written out as \\xNN, and the problem if there were any."""
    if not any(map(mark.search, cells)):
        return cells, None
    clean = [_SURROGATE.sub(_written_out, cell) for cell in cells]
    return clean, "has bytes that are not of the declared encoding; set `encoding` in the spec if it is another"


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def as_string(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=as_string)
    return str(value)
