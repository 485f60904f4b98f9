"""The checker's own count of rows: physical lines, what lies in cells, and what a quote has swallowed."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_project.reconcile import rows
from pipeline_project.reconcile.lines import Counted, count
from pipeline_project.reconcile.scope import DeclaredWorkflow, SourceFiles

COLUMNS = frozenset({"case", "amount", "note"})
OURS = SourceFiles(columns=COLUMNS)


def _count(
    folder: Path, data: bytes | str, kind: str = "csv", delimiter: str = ",", encoding: str = "utf-8"
) -> Counted:
    source = SourceFiles(delimiter=delimiter, encoding=encoding, columns=COLUMNS)
    return count(data if isinstance(data, bytes) else data.encode(), kind, source)


@pytest.mark.parametrize(
    ("text", "needed", "allowed"),
    [
        ("case,amount,note\nA,1,x\nB,2,y\n", {2, 3}, set()),
        ("case,amount,note\r\nA,1,x\r\nB,2,y", {2, 3}, set()),
        ("case,amount,note\rA,1,x\rB,2,y\r", {2, 3}, set()),
        ("case,amount,note\n\nA,1,x\n\n\nB,2,y\n\n", {3, 6}, set()),
        ("", set(), set()),
        ("case,amount,note\n", set(), set()),
        # a text of two lines is one row; its second line is nothing of its own
        ('case,amount,note\nA,1,"x\ny, z"\nB,2,y\n', {2, 4}, {3}),
        ('note,case,amount\n"x\ny",A,1\nB,2,3\n', {2, 4}, {3}),
        # a quote that swallows rows: each line of the cell must be somewhere
        ('case,amount,note\nA,1,"5 inch\nB,2,y\nC,3,"x\nD,4,z\n', {2, 3, 4, 5}, set()),
        ('case,amount,note\nA,1,"never closed\nB,2,y\nC,3,z\n', {2, 3, 4}, set()),
        # lines above the header, a separator line, rows with too few or too many cells
        ("Export of March\n\ncase,amount,note\nA,1,x\n", {4}, set()),
        ("sep=,\ncase,amount,note\nA,1,x\n", {3}, set()),
        ("case,amount,note\nA\nB,2,y,9,9\n", {2, 3}, set()),
        ("who,what\nA,1\n", {2}, set()),
        # nothing but blanks and delimiters is no row that anybody could miss
        ("case,amount,note\n  \n,,\nA,1,x\n", {4}, {2, 3}),
    ],
)
def test_rows_of_a_csv(tmp_path: Path, text: str, needed: set[int], allowed: set[int]) -> None:
    counted = _count(tmp_path, text)
    assert counted.needed == needed
    assert counted.allowed >= allowed and not counted.allowed & counted.needed


def test_encodings_and_packing(tmp_path: Path) -> None:
    text = "case;amount;note\nÄ;1;x\nB;2;y\n"
    for data, encoding in (
        (text.encode("utf-8-sig"), "utf-8"), (text.encode("utf-16"), "utf-8"), (text.encode("latin-1"), "latin-1"),
        (text.encode("latin-1"), "utf-8"), (gzip.compress(text.encode()), "utf-8"),
        (bz2.compress(text.encode()), "utf-8"), (lzma.compress(text.encode()), "utf-8"),
        (pa.compress(text.encode(), "zstd", asbytes=True), "utf-8"),
    ):  # fmt: skip
        assert _count(tmp_path, data, delimiter=";", encoding=encoding).needed == {2, 3}


def test_other_formats(tmp_path: Path) -> None:
    assert _count(tmp_path, '{"case": 1}\n\n{"case": 2}\nbroken\n', "jsonl").needed == {1, 3, 4}
    assert _count(tmp_path, '[{"case": 1},\n {"case": 2}]', "json").rows == 2
    pq.write_table(pa.table({"case": [1, 2, 3]}), tmp_path / "three")
    assert count((tmp_path / "three").read_bytes(), "parquet", OURS).needed == {1, 2, 3}


def test_lines_of_a_file_whose_columns_the_spec_names(tmp_path: Path) -> None:
    headless = SourceFiles(header=3, skip_lines=1)
    assert count(b"of March\nA,1,x\nB,2,y\n", "csv", headless).needed == {2, 3}
    assert count(b"A,1,x\n", "csv", SourceFiles(header=3)).needed == {1}
    assert count(b"of March\nA  1x\n\nB  2y\n", "fixed", SourceFiles(skip_lines=1)).needed == {2, 4}


def test_rows_of_a_sheet(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    workbook.active.append(["nothing"])
    sheet = workbook.create_sheet("claims")
    for row in (["of March"], ["case", "amount"], ["A", 1], [None, None], ["B", 2]):
        sheet.append(row)
    # a formula of which nothing was saved, and a text of nothing but blanks, are no row
    sheet.append(['=IF(A9="","",A9)'])
    sheet.append(["  "])
    workbook.save(tmp_path / "a.xlsx")
    content = (tmp_path / "a.xlsx").read_bytes()
    assert count(content, "excel", SourceFiles(sheet="claims", skip_lines=1)).needed == {3, 5}
    assert count(content, "excel", SourceFiles(sheet="claims", header=2, skip_lines=2)).needed == {3, 5}
    assert count(content, "excel", SourceFiles(sheet="others")).why_not
    assert count(b"\xd0\xcf\x11\xe0", "excel", OURS).why_not


@pytest.mark.parametrize(
    ("name", "text", "needed"),
    [("repair:a.csv", "case,amount\nA,1\n", {2}), ("repair:a.json", '[{"case": "A"}]', set()), ("b.csv", "A,1\n", {1})],
)
def test_a_repair_has_a_header_of_its_own(tmp_path: Path, name: str, text: str, needed: set[int]) -> None:
    file = name.rpartition(":")[2]
    (tmp_path / file).write_text(text, encoding="utf-8")
    declared = DeclaredWorkflow("claims", "2025-01-01", SourceFiles(header=2, columns=COLUMNS))
    counted = rows._counted(str(tmp_path), file, name, declared)
    assert counted.needed == needed
    assert (counted.rows == 1) == file.endswith(".json")


def test_an_archive_of_one_file_is_counted(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "packed", "w") as archive:
        archive.writestr("a.csv", "case\n1\n2\n")
    assert count((tmp_path / "packed").read_bytes(), "csv", OURS).needed == {2, 3}


def test_what_cannot_be_counted_says_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "packed", "w") as archive:
        archive.writestr("a.csv", "case\n1\n")
        archive.writestr("b.csv", "case\n1\n")
    assert count((tmp_path / "packed").read_bytes(), "csv", OURS).why_not
    assert _count(tmp_path, b"\x1f\x8bnot really").why_not
    assert _count(tmp_path, b"no parquet", "parquet").why_not
