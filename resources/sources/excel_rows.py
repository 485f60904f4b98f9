"""Rows out of a sheet of a workbook: every value as text, as it would stand in a CSV file."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.intake.file_hints import DeclaredColumns
from pipeline_project.spec.source import FileFormat
from resources.sources.lines import MAX_COLUMNS, Reading
from resources.sources.rows import SourceRow, as_string, bounded, matched_names, unique_names

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook


#: A sheet that reaches farther, empty places counted, is refused: each takes some hundred bytes.
_MOST_CELLS = 20_000_000
_CHUNK = 1024 * 1024
#: Where a cell stands, as `r="AB12"`.
_REFERENCE = re.compile(rb'\br="([A-Z]{1,3})(\d{1,7})"')
_LONGEST_REFERENCE = len('r="XFD1048576"')


def excel_rows(
    path: Path, how: FileFormat, name: str, reading: Reading, declared: DeclaredColumns | None, most_bytes: int
) -> Iterator[SourceRow]:
    """The rows of a sheet; `line` is the row's number in it. Formulas are not computed: what was saved of them counts.

    Raises:
        SourceUnreadable: it is no workbook, it is locked by a password, no such sheet is in it, it unpacks to more than
            `most_bytes`, or it has no header.
    """
    rows = _sheet_rows(path, how, name, most_bytes)
    reading.lines = len(rows)
    at = next((n for n, row in enumerate(rows) if n >= how.skip_lines and not _blank(row)), len(rows))
    if how.header:
        names, first = list(how.header), at
    else:
        names, first = unique_names([_text(value) for value in _cut(rows[at])] if at < len(rows) else []), at + 1
    if len(names) > MAX_COLUMNS:
        raise SourceUnreadable(f"{name}: the header has {len(names):,} columns; at most {MAX_COLUMNS:,} are read")
    names = matched_names(names, tuple(declared.columns) if declared else (), reading)
    reading.columns.update(dict.fromkeys(names))
    reading.passed_over += min(first, len(rows))
    for number, row in enumerate(rows[first:], start=first + 1):
        if _blank(row):
            reading.passed_over += 1
            continue
        values = _cut(row)
        problem = None
        if len(values) > len(names):
            problem = f"has {len(values)} cells where the header has {len(names)}"
        shown = [*names, *(f"column {n + 1}" for n in range(len(names), len(values)))]
        values = [*values, *[""] * (len(shown) - len(values))]
        yield bounded(SourceRow(number, dict(zip(shown, map(_text, values), strict=True)), problem))


def _within(path: Path, name: str, most_bytes: int) -> None:
    """Looks before the workbook is opened how far its sheets reach: what reads them keeps a cell for each place up to
    the farthest one, and what an archive says of its own sizes is its sender's word."""
    if not zipfile.is_zipfile(path):
        return
    read = 0
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as content:
                farthest, held = (0, 0), b""
                while chunk := content.read(_CHUNK):
                    read += len(chunk)
                    if read > most_bytes:
                        raise SourceUnreadable(f"{name}: more than {most_bytes // 1024**3} GiB unpacked; split it")
                    text = held + chunk
                    farthest = _farther(farthest, text) if "/worksheets/" in member.filename else farthest
                    held = text[-_LONGEST_REFERENCE:]
                if farthest[0] * farthest[1] > _MOST_CELLS or farthest[1] > MAX_COLUMNS:
                    raise SourceUnreadable(
                        f"{name}: a sheet reaches to row {farthest[0]:,} and column {farthest[1]:,}; take away what "
                        "stands far from its rows, or deliver it as CSV"
                    )


def _farther(farthest: tuple[int, int], text: bytes) -> tuple[int, int]:
    row, column = farthest
    for letters, digits in _REFERENCE.findall(text):
        number = 0
        for letter in letters:
            number = number * 26 + letter - ord("A") + 1
        row, column = max(row, int(digits)), max(column, number)
    return row, column


def _sheet_rows(path: Path, how: FileFormat, name: str, most_bytes: int) -> list[list[Any]]:
    from python_calamine import CalamineError, PasswordError, load_workbook

    try:
        _within(path, name, most_bytes)
        with load_workbook(path) as workbook:
            sheet = _named(workbook, how.sheet, name)
            rows = workbook.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
    except PasswordError as error:
        raise SourceUnreadable(f"{name}: is locked by a password; save it without one") from error
    # the last two are what an archive raises whose parts are locked, or packed in a way that Python does not read
    except (CalamineError, OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        raise SourceUnreadable(
            f"{name}: no whole workbook ({type(error).__name__}); it may be half-written, or of another format"
        ) from error
    return [list(row) for row in rows]


def _named(workbook: CalamineWorkbook, sheet: str | None, name: str) -> str:
    there = workbook.sheet_names
    if sheet is None and len(there) == 1:
        return there[0]
    if sheet in there:
        return str(sheet)
    asked = f"has no sheet {sheet!r}" if sheet else f"has {len(there)} sheets"
    raise SourceUnreadable(f"{name}: {asked}; set `sheet` to one of {', '.join(map(repr, there))}")


def _blank(row: Sequence[Any]) -> bool:
    return not any(_text(value).strip() for value in row)


def _cut(row: Sequence[Any]) -> list[Any]:
    """Without the empty cells at its end: a sheet is as wide as its widest row."""
    end = max((at for at, value in enumerate(row, start=1) if _text(value).strip()), default=0)
    return list(row[:end])


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        # sheets hold every number as a float: 4711 is no 4711.0, and an id least of all
        return str(int(value))
    return str(value) if isinstance(value, timedelta) else as_string(value)
