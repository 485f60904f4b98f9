"""A table that nobody has described yet, read as well as it can be: what `pipeline new` begins with."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from charset_normalizer import from_bytes

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.number_forms import NumberStyle, plainly
from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType
from pipeline_project.domain.intake.file_hints import format_of
from pipeline_project.domain.intake.parsing import parse
from pipeline_project.domain.intake.table_profile import TableProfile, cut_at
from pipeline_project.spec.source import FileFormat
from pipeline_project.spec.starter import WARM_UP_SHARE, StarterNights
from resources.sources.arrivals import beginning, read_file

#: Bytes looked at to tell how a file is written.
_HEAD = 256 * 1024
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class UndescribedTable:
    """A table and how its file is written.

    Attributes:
        how: keys of a file format that differ from what they are without.
        cells: by column, one string a row, None where the row has none.
        broken: lines that cannot be split into the columns.
    """

    how: Mapping[str, Any]
    cells: Mapping[str, Sequence[str | None]]
    broken: int


def read_table(path: Path) -> UndescribedTable:
    """Reads a file of which only the name is given.

    Raises:
        SourceUnreadable: it is no table, or holds no row; the message says what to do.
    """
    how = _how(beginning(path, _HEAD))
    arrived = read_file(path, FileFormat(**how), "", path.name).rows
    problems = arrived["problem"].to_pylist()
    rows = [json.loads(raw) for raw, problem in zip(arrived["raw"].to_pylist(), problems, strict=True) if not problem]
    if not rows:
        raise SourceUnreadable(f"{path.name}: not one whole row; give a table with a header and at least one row")
    columns = list(dict.fromkeys(column for row in rows for column in row))
    cells = {column: [_text(row.get(column)) for row in rows] for column in columns}
    filled = {column: values for column, values in cells.items() if any(value for value in values)}
    return UndescribedTable(how, filled, len(problems) - len(rows))


def nights_of(table: UndescribedTable, profile: TableProfile, time_column: str, zone: str) -> StarterNights:
    """Which nights a table's rows fall into: of the first two thirds of the rows the nights warm up.

    Raises:
        ValueError: the column's values are no times; the message says so.
    """
    column = profile.of(time_column)
    if column.type is not FieldType.TIME:
        raise ValueError(f"{time_column} holds no times that could be read; name another column, or none")
    formats = (column.time_format,) if column.time_format else ()
    schema = CaseSchema((), zone, frozenset({"", *profile.missing}), time_formats=formats, decimal=profile.decimal)
    read = parse(table.cells[time_column], Field("time", FieldType.TIME, time_column), schema)
    days = pd.Series(read.values).dropna().dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    first, last = days.min().date(), days.max().date()
    cut = cut_at(days, WARM_UP_SHARE).date()
    decide_from = cut if cut > first else last
    return StarterNights(first, decide_from, last, int((days.dt.date < decide_from).sum()))


def _how(head: bytes) -> dict[str, Any]:
    """How a file that begins like this is written."""
    if form := format_of(head):
        return {"format": form}
    encoding = _encoding(head)
    text = head.decode(encoding, "replace").lstrip("\ufeff")
    how: dict[str, Any] = {} if encoding == "utf-8" else {"encoding": encoding}
    opening = text.lstrip()[:1]
    if opening in ("[", "{"):
        return {"format": "json" if opening == "[" else "jsonl", **how}
    delimiter = _delimiter(text)
    first = next(csv.reader(io.StringIO(text), delimiter=delimiter), [])
    plain = NumberStyle()
    if first and any(plainly(cell.strip(), plain) is not None for cell in first):
        how["header"] = [f"column_{number}" for number in range(1, len(first) + 1)]
    return {**({} if delimiter == "," else {"delimiter": delimiter}), **how}


def _encoding(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-8" if head.startswith(codecs.BOM_UTF8) else "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        best = from_bytes(head).best()
        return best.encoding.replace("_", "-") if best else "cp1252"
    return "utf-8"


def _delimiter(text: str) -> str:
    """The mark that splits the first lines into the most columns, the same number in each."""
    lines = text.splitlines()[:200]
    if lines and lines[0].lower().startswith("sep="):
        return lines[0][4:5] or ","
    best, most = ",", 1
    for mark in _DELIMITERS:
        counts = Counter(len(row) for row in csv.reader(lines, delimiter=mark) if row)
        columns, often = counts.most_common(1)[0] if counts else (1, 0)
        if columns > most and often >= 0.9 * counts.total():
            best, most = mark, columns
    return best


def _text(cell: object) -> str | None:
    return None if cell is None else str(cell)
