"""Whole columns of cells are those that Python reads row by row, whatever stands in the rows."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_project.domain.intake import raw_cells
from pipeline_project.domain.intake.raw_cells import RawCells

COLUMNS = ["a", "b", "c d", "ü"]
CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ROWS = st.lists(st.dictionaries(st.sampled_from([*COLUMNS, "not asked for", ""]), CELLS, max_size=5), max_size=12)


def raw(rows: list[dict[str, Any]], chunks: int = 1) -> pa.ChunkedArray:
    texts = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows]
    step = max(1, len(texts) // chunks)
    return pa.chunked_array([texts[at : at + step] for at in range(0, len(texts), step)], pa.string())


def as_list(cells: Any) -> list[str | None]:
    return [None if pd.isna(cell) else cell for cell in cells]


@given(ROWS, st.integers(1, 3))
def test_columns_are_those_of_the_rows(rows: list[dict[str, str]], chunks: int) -> None:
    cells = RawCells(raw(rows, chunks), COLUMNS)
    for name in COLUMNS:
        assert as_list(cells.column(name)) == [row.get(name) for row in rows]
        assert cells.lacking([name], range(len(rows))) == [at for at, row in enumerate(rows) if name not in row]
    assert cells.rows == rows
    names = dict.fromkeys(name for row in rows for name in row)
    assert [name for name in COLUMNS if name in cells.names(COLUMNS)] == [name for name in COLUMNS if name in names]
    if not set(COLUMNS) <= names.keys():
        assert cells.names(COLUMNS) == list(names)


@pytest.mark.parametrize(
    "row",
    [{"a": "1", "b": 2}, {"a": True}, {"a": ["x"]}, {"a": {"b": "c"}}, {"a": None, "b": "x"}, {"a": "half \ud800"}],
)
def test_what_is_no_text_is_read_as_python_reads_it(row: dict[str, Any]) -> None:
    texts = pa.chunked_array([[json.dumps(row), json.dumps({"a": "x"})]], pa.string())
    cells = RawCells(texts, COLUMNS)
    assert [None if cell is None or cell != cell else cell for cell in cells.column("a")] == [row.get("a"), "x"]
    assert cells.lacking(["a", "b"], [0, 1]) == ([] if "b" in row else [0]) + [1]


def test_of_two_cells_of_one_name_the_last_one_counts() -> None:
    twice = RawCells(pa.chunked_array([['{"a":"1","a":"2"}']], pa.string()), COLUMNS)
    assert as_list(twice.column("a")) == ["2"]


def test_rows_of_any_length_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_cells, "_BLOCK", 64)
    monkeypatch.setattr(raw_cells, "_PORTION", 300)
    monkeypatch.setattr(RawCells, "rows", property(lambda _: pytest.fail("read one by one")))
    rows = [{"a": "x" * size, "b": str(size)} for size in (0, 1, 63, 64, 65, 500, 3, 0, 2000, 5)]
    cells = RawCells(raw(rows), COLUMNS[:2])
    assert as_list(cells.column("a")) == [row["a"] for row in rows]
    assert as_list(cells.column("b")) == [row["b"] for row in rows]
