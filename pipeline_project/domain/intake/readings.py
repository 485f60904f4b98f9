"""How the files of a night were read: what was detected, and whether each of their lines is in a row or passed over."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from pipeline_project.domain.core.schema import ARRIVALS

_BREAK = re.compile("\r\n|\r|\n")


@dataclass(frozen=True)
class FileReading:
    """One file as it was read.

    Attributes:
        file: as in `schema.ARRIVALS`.
        size: bytes, unpacked.
        lines: physical lines, counted from the text apart from the splitting into rows; the rows that a Parquet file
            says it has; None where there is nothing to count by.
        passed_over: of those the ones that are no row: the header, blank ones, those before the header; of a table
            also what belongs to other nights.
        delimiter: of a CSV file, where a row may have line breaks in its cells; None where a row is one line.
        detected: what was found that the spec does not say, in words without any value of the file.
    """

    file: str
    size: int
    lines: int | None
    passed_over: int
    delimiter: str | None = None
    detected: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class ArrivedRows:
    """Rows as they came in, as `schema.ARRIVALS`, and how their files were read; nothing of what is no file."""

    rows: pa.Table
    readings: tuple[FileReading, ...] = ()

    @classmethod
    def joined(cls, parts: Sequence[ArrivedRows]) -> ArrivedRows:
        """One part after the other; of none, no rows."""
        rows = pa.concat_tables([part.rows for part in parts]) if parts else ARRIVALS.empty_table()
        return cls(rows, tuple(reading for part in parts for reading in part.readings))


def as_json(readings: Iterable[FileReading]) -> list[dict[str, object]]:
    return [asdict(reading) for reading in readings]


def from_json(entries: Sequence[Mapping[str, Any]]) -> list[FileReading]:
    """What `as_json` wrote."""
    return [FileReading(**{**entry, "detected": tuple(entry["detected"])}) for entry in entries]


def lines_of(raw: str, delimiter: str | None) -> int:
    """How many physical lines a row takes: one, and one more for each line break in its cells.

    Args:
        raw: as in `schema.ARRIVALS`.
        delimiter: None where a row is one line whatever its cells hold.
    """
    if delimiter is None or ("\\n" not in raw and "\\r" not in raw):
        return 1
    return 1 + sum(len(_BREAK.findall(cell)) for cell in json.loads(raw).values())


def unaccounted(readings: Sequence[FileReading], arrivals: pa.Table) -> tuple[int, int]:
    """(lines that are neither in a row nor passed over, rows that hold other rows in a cell), both 0 when all is well.

    Args:
        readings: of the night's files; files of which nothing is known are not judged.
        arrivals: `file`, `raw` and `problem` of the night.
    """
    # Two files of a table may have one name in different folders.
    left: dict[str, int] = {}
    delimiters = {reading.file: reading.delimiter for reading in readings}
    for reading in readings:
        if reading.lines is not None:
            left[reading.file] = left.get(reading.file, 0) + reading.lines - reading.passed_over
    swallowing = 0
    for file, raw, problem in zip(*(arrivals[name].to_pylist() for name in ("file", "raw", "problem")), strict=True):
        if file not in left:
            continue
        lines = lines_of(raw, delimiters[file])
        left[file] -= lines
        if lines > 1 and problem is None:
            swallowing += holds_rows(list(json.loads(raw).values()), delimiters[file] or "")
    return sum(map(abs, left.values())), swallowing


def holds_rows(cells: Sequence[str], delimiter: str) -> bool:
    """Whether a cell with line breaks holds lines that are rows themselves, as when a stray quote swallows them.

    The physical lines are put together again from the cells. One of them is a row when it has as many cells as this
    one and they are like its cells: letters where it has letters, digits where it has digits.
    """
    kinds = [_kind(cell) for cell in cells]
    for at, cell in enumerate(cells):
        first, *inner = _BREAK.split(cell)
        if not inner:
            continue
        last = inner.pop()
        before, after = kinds[:at], kinds[at + 1 :]
        opening = [*before, *_kinds(first, delimiter)]
        closing = [*_kinds(last, delimiter), *after]
        expected = [*before, None, *after]
        # Of the opening line what stands before the quote is the row's own, of the closing one what stands behind.
        if _alike(opening, [*[None] * (at + 1), *after]) or _alike(closing, [*before, *[None] * (len(after) + 1)]):
            return True
        if any(_alike(_kinds(line, delimiter), expected) for line in inner):
            return True
    return False


def _alike(actual: Sequence[str | None], expected: Sequence[str | None]) -> bool:
    # One cell more or less is still a row, only a broken one; what is compared stands before that cell.
    if abs(len(actual) - len(expected)) > (1 if len(expected) > 3 else 0):
        return False
    pairs = [(f, e) for f, e in zip(actual, expected, strict=False) if f and e]
    same = [f for f, e in pairs if f == e]
    if len(actual) == len(expected):
        return len(same) > len(pairs) - len(same)
    return len(same) == len(pairs) >= 2 and set(same) != {"letters"}


def _kinds(line: str, delimiter: str) -> list[str]:
    return [_kind(cell) for cell in line.split(delimiter)]


def _kind(cell: str) -> str:
    """What a cell is made of: nothing, letters, digits, digits with marks of a time, or letters and digits."""
    bare = cell.strip(' "\t')
    if not bare:
        return ""
    letters, digits = any(map(str.isalpha, bare)), any(map(str.isdigit, bare))
    if letters and digits:
        # A date with its T is a time too, a word with a number in it a text.
        return "text" if " " in bare else "code"
    if letters:
        return "letters"
    return "time" if re.search(r"\d[-:/]\d", bare) else "digits" if digits else "marks"
