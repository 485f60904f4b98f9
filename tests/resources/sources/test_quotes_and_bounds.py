"""A quote swallows no other row, and no file costs more than it is worth."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.intake.file_hints import DeclaredColumns
from pipeline_project.spec.source import FileFormat
from resources.sources import csv_rows as csv_module
from resources.sources import lines as lines_module
from resources.sources.csv_rows import csv_rows
from resources.sources.json_rows import jsonl_rows
from resources.sources.lines import Reading
from resources.sources.rows import SourceRow

HEADER = "id,at,words,amount,kind"
COLUMNS = DeclaredColumns(dict.fromkeys(HEADER.split(","), "column"))


def line(n: int, words: str = "fine", amount: int = 10) -> str:
    return f"C-{n},2025-01-02 09:{n:02},{words},{amount + n},glass"


def rows(*lines: str, end: str = "\n", delimiter: str = ",") -> list[SourceRow]:
    text = end.join([HEADER, *lines]) + end
    reading = Reading()
    content = io.BytesIO(text.replace(",", delimiter).encode())
    found = list(csv_rows(content, FileFormat(delimiter=delimiter), "a.csv", reading, COLUMNS))
    assert reading.lines == len(lines) + sum(each.count(end) for each in lines) + 1
    return found


def admitted(found: list[SourceRow]) -> list[str]:
    return [row.cells["id"] for row in found if row.problem is None]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("first", "last"),
    [
        ('"5 inch', '"9 inch'),  # a quote that opens closes the cell
        ('"5 inch', '9 inch"'),  # closed as it should be, by accident
        ('"5 inch', '9" wide'),  # closed in the middle
        ('"5 inch', '"said ""no"""'),
        ('"', '"'),
    ],
)
def test_a_quote_over_several_rows_swallows_none(delimiter: str, end: str, first: str, last: str) -> None:
    found = rows(line(1), line(2, first), line(3), line(4, last), line(5), end=end, delimiter=delimiter)
    assert [row.line for row in found] == [2, 3, 4, 5, 6]
    assert [row.cells["id"] for row in found] == [f"C-{n}" for n in range(1, 6)]
    assert [row.cells["amount"] for row in found] == [str(10 + n) for n in range(1, 6)]
    assert admitted(found) == ["C-1", "C-5"]
    for row in found[1:4]:
        assert "look like rows" in str(row.problem)
        assert str(row.problem).endswith(", on line 3")


@pytest.mark.parametrize("column", range(5))
def test_wherever_the_quote_opens(column: int) -> None:
    def with_quote(n: int) -> str:
        cells = line(n).split(",")
        cells[column] = '"' + cells[column]
        return ",".join(cells)

    found = rows(with_quote(1), line(2), line(3), with_quote(4), line(5))
    assert admitted(found) == ["C-5"]
    assert [row.line for row in found] == [2, 3, 4, 5, 6]


def test_a_row_that_somebody_writes_into_his_comment_is_not_let_in() -> None:
    attack = f'"thanks\n{line(9, amount=9_000)}\nbye"'
    found = rows(line(1), line(2, attack), line(3))
    assert admitted(found) == ["C-1", "C-3"]


@pytest.mark.parametrize(
    "words",
    ['"one, two\nthree"', '"Dear all,\n\nit broke, twice,\nBest, Ann"', '"said ""no"", twice\nand left"', '"\n"'],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_text_of_several_lines_is_one_cell(words: str, end: str) -> None:
    words = words.replace("\n", end)
    found = rows(line(1), line(2, words), line(3), end=end)
    assert admitted(found) == ["C-1", "C-2", "C-3"]
    assert found[1].cells["words"] == words[1:-1].replace('""', '"')
    assert [row.line for row in found] == [2, 3, 4 + words.count(end)]


def test_a_quote_that_closes_in_the_middle_of_a_cell_was_not_meant_to_hold_lines() -> None:
    found = rows(line(1), line(2, '"a note\nwith a "word" in it"'), line(3))
    assert admitted(found) == ["C-1", "C-3"]
    assert [row.line for row in found] == [2, 3, 4, 5]


def test_a_quote_in_the_header_that_runs_over_rows_is_an_error() -> None:
    text = 'id,at,words,"amount,kind\n' + line(1, '"x') + "\n"
    with pytest.raises(SourceUnreadable, match="the header"):
        list(csv_rows(io.BytesIO(text.encode()), FileFormat(), "a.csv", Reading(), COLUMNS))


def test_many_quotes_that_are_never_closed_cost_no_pass_over_the_file_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_module, "MAX_LINE", 500)
    given: list[str] = []
    feed = csv_module._Feed.__next__

    def counting(self: Any) -> str:
        given.append(feed(self))
        return given[-1]

    monkeypatch.setattr(csv_module._Feed, "__next__", counting)
    count = 2_000
    found = rows(*(f'C-{n},"' + ("x" * 20) for n in range(count)), *(line(n) for n in range(50)))
    assert len(found) == count + 50
    assert len(given) < 4 * count, "lines are looked at a bounded number of times"


def test_a_line_that_is_too_long_is_refused_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "MAX_LINE", 1_000)
    found = rows(line(1), line(2, "x" * 5_000), line(3, "y" * 5_000), line(4))
    assert admitted(found) == ["C-1", "C-4"]
    assert [row.line for row in found] == [2, 3, 4, 5]
    assert "is longer than" in str(found[1].problem)
    assert len(found[1].cells["line"]) <= lines_module.BEGINNING
    assert found[1].cells["characters"] == str(len(line(2)) - 4 + 5_001)
    assert found[1].cells["sha256"] != found[2].cells["sha256"], "each is a row of its own"
    text = b'{"id": "' + b"x" * 5_000 + b'"}\n{"id": "C-2"}\n'
    long, short = jsonl_rows(io.BytesIO(text), FileFormat(format="jsonl"), "a.jsonl", Reading())
    assert "is longer than" in str(long.problem)
    assert short.cells == {"id": "C-2"}


def test_of_a_line_that_is_too_long_no_more_than_the_bound_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "MAX_LINE", 10_000)

    class Endless(io.RawIOBase):
        """50 MB of one line; it must not be asked for at once."""

        left, most = 50_000_000, 0

        def read(self, size: int = -1) -> bytes:
            Endless.most = max(Endless.most, size)
            given = min(size, self.left)
            self.left -= given
            return b"x" * given

    (found,) = lines_module.physical_lines(Endless(), "utf-8", "a.csv", Reading())
    assert found.size == 50_000_000
    assert len(found.text) == lines_module.BEGINNING
    assert 0 < Endless.most <= 1_000_000


def test_too_many_columns_and_cells_are_refused() -> None:
    many = ",".join(f"c{n}" for n in range(lines_module.MAX_COLUMNS + 1))
    with pytest.raises(SourceUnreadable, match="10,001 columns; at most 10,000"):
        list(csv_rows(io.BytesIO(f"{many}\n".encode()), FileFormat(), "a.csv", Reading()))
    found = rows(line(1), many, line(2))
    assert admitted(found) == ["C-1", "C-2"]
    assert len(found[1].cells) == 3
    wide = json.dumps(dict.fromkeys(many.split(","), 1)).encode()
    (row,) = jsonl_rows(io.BytesIO(wide), FileFormat(format="jsonl"), "a.jsonl", Reading())
    assert "more than 10,000 keys" in str(row.problem)
    assert list(row.cells) == ["line"]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_line_breaks_between_two_reads_are_one(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "_CHUNK", size)
    text = "a\r\nb\rc\n\r\n\nüd\r"
    reading = Reading()
    found = list(lines_module.physical_lines(io.BytesIO(text.encode()), "utf-8", "a.csv", reading))
    assert [each.text for each in found] == ["a\r\n", "b\r", "c\n", "\r\n", "\n", "üd\r"]
    assert reading.lines == 6


def test_a_file_is_read_the_same_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line(1, '"a\nb, c"'), line(2, '"5 inch'), line(3), line(4, '"9 inch'), line(5)]
    whole = rows(*lines)
    monkeypatch.setattr(lines_module, "_CHUNK", 5)
    assert rows(*lines) == whole
