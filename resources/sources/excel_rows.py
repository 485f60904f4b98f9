"""Rows out of a sheet of a workbook: every value as text, as it would stand in a CSV file."""

from __future__ import annotations

import zipfile
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


def excel_rows(
    path: Path, how: FileFormat, name: str, reading: Reading, declared: DeclaredColumns | None, most_bytes: int
) -> Iterator[SourceRow]:
    """The rows of a sheet; `line` is the row's number in it. Formulas are not computed: what was saved of them counts.

    Raises:
        SourceUnreadable: it is no workbook, it is locked by a password, no such sheet is in it, it unpacks to more than
            `most_bytes`, or it has no header.
    """
    _within(path, name, most_bytes)
    rows = _sheet_rows(path, how, name)
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
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > most_bytes:
            raise SourceUnreadable(f"{name}: more than {most_bytes // 1024**3} GiB unpacked; split it")


def _sheet_rows(path: Path, how: FileFormat, name: str) -> list[list[Any]]:
    from python_calamine import CalamineError, PasswordError, load_workbook

    try:
        with load_workbook(path) as workbook:
            sheet = _named(workbook, how.sheet, name)
            rows = workbook.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
    except PasswordError as error:
        raise SourceUnreadable(f"{name}: is locked by a password; save it without one") from error
    except (CalamineError, OSError) as error:
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
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        # sheets hold every number as a float: 4711 is no 4711.0, and an id least of all
        return str(int(value))
    return str(value) if isinstance(value, timedelta) else as_string(value)
