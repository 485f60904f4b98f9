"""Every line of a file is in a row or passed over, and a row that holds other rows is seen in the rows themselves."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from pipeline_project.domain.core.schema import ARRIVALS
from pipeline_project.domain.intake.readings import (
    FileReading,
    as_json,
    from_json,
    holds_rows,
    lines_of,
    unaccounted,
)


def came(*rows: list[str], file: str = "a.csv", problem: str | None = None) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"night": "2025-03-01", "file": file, "file_sha256": "f", "line": n, "row_sha256": str(n),
             "raw": json.dumps({f"c{at}": cell for at, cell in enumerate(cells)}), "problem": problem}
            for n, cells in enumerate(rows)
        ],
        schema=ARRIVALS,
    )  # fmt: skip


SWALLOWED = [
    # a quote in the middle, closed by the next stray one
    ["C-1", "2025-01-02 09:14", "5 in,120,glass,fine\nC-2,2025-01-02 09:15,ok,130,glass,fine\nC-3,2025-01-02 09:16,9",
     "140", "glass", "fraud"],
    # only two lines: what stands before the quote of the second one gives it away
    ["C-1", "2025-01-02 09:14", "5 in,120,glass,fine\nC-3,2025-01-02 09:16,9 in", "140", "glass", "fraud"],
    # in the last column, and in the first
    ["C-1", "2025-01-02 09:14", "120", "5 in\nC-2,2025-01-02 09:15,130,ok\nC-3,2025-01-02 09:16,140,9"],
    ["C-1,2025-01-02 09:14,120,fine\nC-2,2025-01-02 09:15,130,ok\nC-3", "2025-01-02 09:16", "140", "fraud"],
    # the opening line is a row by itself; a line with a cell too few; a carriage return alone
    ["C-1", "a,120,fine\nshort", "140", "fine"],
    ["C-1", "2025-01-02", "half\nC-2,2025-01-02,ok,130,glass\nend", "120", "glass", "fine"],
    ["C-1", "2025-01-02", "half\rC-2,2025-01-02,ok,130,glass,fine\rend", "120", "glass", "fine"],
    ["C-1", "x\nC-2,y"],
]  # fmt: skip


@pytest.mark.parametrize("cells", SWALLOWED)
def test_a_cell_that_holds_rows(cells: list[str]) -> None:
    assert holds_rows(cells, ",")
    assert holds_rows([cell.replace(",", ";") for cell in cells], ";")


@pytest.mark.parametrize(
    "cells",
    [
        ["C-1", "2025-01-02 09:14", "Dear all,\nit broke, twice.\nBest, Ann", "120", "glass", "fine"],
        ["C-1", "one, two, three, four, five\nsix, seven, eight, nine, ten", "120", "glass", "fine"],
        ["C-1", "first, second\nthird, fourth"],
        ["C-1", "2025-01-02", "12 Main St, Apt 4\nBerlin, 10115", "120"],
        ["C-1", "2025-01-02", "120", "no line break, but, many, marks"],
        ["a\nb", "1", "2"],
        ["C-1", "\n\n", "5"],
    ],
)
def test_a_text_with_line_breaks_and_commas_is_no_row(cells: list[str]) -> None:
    assert not holds_rows(cells, ",")


def test_lines_of_a_row() -> None:
    raw = json.dumps({"a": "x\r\ny\nz\rw", "b": "\\n"})
    assert lines_of(raw, ",") == 4
    assert lines_of(raw, None) == 1


def test_lines_that_are_nowhere_are_counted() -> None:
    rows = came(["C-1", "two\nlines"], ["C-2", "one"])
    whole = FileReading("a.csv", 40, lines=5, passed_over=2, delimiter=",")
    assert unaccounted([whole], rows) == (0, 0)
    assert unaccounted([whole], rows.slice(0, 1)) == (1, 0)
    assert unaccounted([whole], pa.concat_tables([rows, rows.slice(1, 1)])) == (1, 0)
    assert unaccounted([FileReading("b.csv", 9, 3, 1, ",")], rows) == (2, 0), "a file of which no row came"
    assert unaccounted([FileReading("a.csv", 9, None, 0)], rows) == (0, 0), "nothing to count by"
    assert unaccounted([], rows) == (0, 0)


def test_two_files_of_one_name_are_counted_together() -> None:
    rows = came(["C-1"], ["C-2"], ["C-3"])
    assert unaccounted([FileReading("a.csv", 1, 2, 1, ","), FileReading("a.csv", 1, 3, 1, ",")], rows) == (0, 0)


def test_rows_with_others_in_them_are_counted_unless_they_are_refused() -> None:
    reading = [FileReading("a.csv", 1, 4, 1, ",")]
    assert unaccounted(reading, came(SWALLOWED[0])) == (0, 1)
    assert unaccounted(reading, came(SWALLOWED[0], problem="is refused")) == (0, 0)


def test_readings_are_kept_as_json() -> None:
    told = [FileReading("a.csv", 7, 2, 1, ";", ("packed with gzip",)), FileReading("b.parquet", 1, None, 0)]
    assert from_json(json.loads(json.dumps(as_json(told)))) == told
