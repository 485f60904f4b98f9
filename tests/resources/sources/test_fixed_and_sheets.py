"""Rows by the places of their columns, of sheets of workbooks, and of files without a header."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from pydantic import ValidationError

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.intake.file_hints import DeclaredColumns
from pipeline_project.domain.intake.readings import ArrivedRows, unaccounted
from pipeline_project.spec.source import FileFormat
from resources.sources.arrivals import FileTerms, read_file

NIGHT = "2025-03-01"
PLACES = {"id": (1, 6), "amount": (7, 14), "note": (15, 30)}
TERMS = FileTerms(declared=DeclaredColumns({"id": "fields.id.column"}, ("amount", "note")))


def read(file: Path, how: FileFormat) -> ArrivedRows:
    return read_file(file, how, NIGHT, file.name, TERMS)


def cells(arrived: ArrivedRows) -> list[dict[str, str]]:
    return [json.loads(raw) for raw in arrived.rows["raw"].to_pylist()]


def whole(arrived: ArrivedRows) -> bool:
    return unaccounted(arrived.readings, arrived.rows) == (0, 0)


def text(folder: Path, *lines: str, encoding: str = "utf-8") -> Path:
    file = folder / "a.txt"
    file.write_bytes("\r\n".join(lines).encode(encoding))
    return file


def workbook(folder: Path, *rows: list[Any], sheets: tuple[str, ...] = ("claims",), name: str = "a.xlsx") -> Path:
    made = openpyxl.Workbook()
    made.remove(made.active)
    for sheet in sheets:
        made.create_sheet(sheet)
    for row in rows:
        made[sheets[-1]].append(row)
    made.save(folder / name)
    return folder / name


# -- the same places in every line ----------------------------------------------------------------------------


def test_columns_are_read_by_their_places_in_characters(tmp_path: Path) -> None:
    file = text(tmp_path, "000471   12,50Größe 42, zu eng", "000472    9,99", "", "000473", encoding="latin-1")
    arrived = read(file, FileFormat(format="fixed", columns=PLACES, encoding="latin-1"))
    assert cells(arrived) == [
        {"id": "000471", "amount": "12,50", "note": "Größe 42, zu eng"},
        {"id": "000472", "amount": "9,99", "note": ""},
        {"id": "000473", "amount": "", "note": ""},
    ]
    assert arrived.rows["line"].to_pylist() == [1, 2, 4] and whole(arrived)
    assert arrived.rows["problem"].null_count == 3


def test_a_line_that_goes_on_behind_its_last_column_is_refused_and_lines_of_a_head_are_passed_over(
    tmp_path: Path,
) -> None:
    file = text(tmp_path, "EXPORT 2025-03-01", "000471   12,50fits", f"000472    9,99{'x' * 16}and more")
    arrived = read(file, FileFormat(format="fixed", columns=PLACES, skip_lines=1))
    assert arrived.rows["problem"].to_pylist() == [None, "goes on after character 30, where its last column ends"]
    assert arrived.rows["line"].to_pylist() == [2, 3] and whole(arrived)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"format": "fixed"}, "needs `columns`"),
        ({"format": "fixed", "columns": {"id": (9, 8)}}, "comes after the last"),
        ({"format": "fixed", "columns": {"id": (0, 8)}}, "greater than or equal to 1"),
        ({"format": "csv", "columns": PLACES}, "`columns` is for format fixed, not for csv"),
        ({"format": "json", "header": ("id",)}, "`header` is for format csv and excel"),
        ({"format": "csv", "sheet": "claims"}, "`sheet` is for format excel"),
        ({"header": ("id", "amount", "id")}, "names a column twice"),
    ],
)
def test_what_says_nothing_in_a_format_is_a_mistake(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        FileFormat(**given)


# -- no header ------------------------------------------------------------------------------------------------


def test_a_csv_without_a_header_has_the_columns_that_the_spec_names(tmp_path: Path) -> None:
    file = text(tmp_path, "471;12,50;fits", '472;9,99;"torn; and late"', "473;1")
    how = FileFormat(delimiter=";", header=("id", "amount", "note"))
    arrived = read(file, how)
    assert cells(arrived)[:2] == [
        {"id": "471", "amount": "12,50", "note": "fits"}, {"id": "472", "amount": "9,99", "note": "torn; and late"},
    ]  # fmt: skip
    assert arrived.rows["problem"].to_pylist() == [None, None, "has 2 cells where the header has 3"]
    assert arrived.rows["line"].to_pylist() == [1, 2, 3] and whole(arrived)


def test_a_header_that_comes_after_all_is_no_case(tmp_path: Path) -> None:
    arrived = read(text(tmp_path, "id,amount", "471,3"), FileFormat(header=("id", "amount")))
    assert arrived.rows["problem"].to_pylist() == ["repeats the header", None]


# -- sheets ---------------------------------------------------------------------------------------------------


def test_a_sheet_gives_its_values_as_a_csv_file_would(tmp_path: Path) -> None:
    file = workbook(
        tmp_path,
        ["id", "amount", "note", "day", "at", "moment", "sent"],
        [471, 12.5, "fits", date(2025, 3, 1), time(9, 30), datetime(2025, 3, 1, 9, 30), True],  # noqa: DTZ001
        [],
        ["0472", 1e-7, "=A2&A3", None, None, None, False],
    )
    arrived = read(file, FileFormat(format="excel"))
    first, second = cells(arrived)
    assert first == {
        "id": "471", "amount": "12.5", "note": "fits", "day": "2025-03-01", "at": "09:30:00",
        "moment": "2025-03-01T09:30:00", "sent": "true",
    }  # fmt: skip
    assert (second["id"], second["amount"], second["sent"]) == ("0472", "1e-07", "false")
    assert arrived.rows["line"].to_pylist() == [2, 4] and whole(arrived)


def test_lines_before_the_header_cells_beyond_it_and_sheets_without_one(tmp_path: Path) -> None:
    file = workbook(tmp_path, ["Export of March"], ["id", "amount"], [471, 3], [472, 4, "more"])
    arrived = read(file, FileFormat(format="excel", skip_lines=1))
    assert arrived.rows["problem"].to_pylist() == [None, "has 3 cells where the header has 2"] and whole(arrived)
    assert cells(arrived)[1] == {"id": "472", "amount": "4", "column 3": "more"}
    headless = workbook(tmp_path, [471, 3], [472, 4], name="b.xlsx")
    arrived = read(headless, FileFormat(format="excel", header=("id", "amount")))
    assert cells(arrived)[0] == {"id": "471", "amount": "3"} and whole(arrived)
    assert arrived.rows["line"].to_pylist() == [1, 2]


def test_of_several_sheets_one_is_named(tmp_path: Path) -> None:
    file = workbook(tmp_path, ["id"], [471], sheets=("cover", "claims"))
    assert cells(read(file, FileFormat(format="excel", sheet="claims"))) == [{"id": "471"}]
    with pytest.raises(SourceUnreadable, match=r"has 2 sheets; set `sheet` to one of 'cover', 'claims'"):
        read(file, FileFormat(format="excel"))
    with pytest.raises(SourceUnreadable, match="has no sheet 'Claims'"):
        read(file, FileFormat(format="excel", sheet="Claims"))


def test_what_is_no_workbook_stops_the_night_with_a_sentence(tmp_path: Path) -> None:
    whole_file = workbook(tmp_path, ["id"], [471]).read_bytes()
    for content in (whole_file[: len(whole_file) // 2], b"id\n471\n", b""):
        broken = tmp_path / "broken.xlsx"
        broken.write_bytes(content)
        with pytest.raises(SourceUnreadable, match="no whole workbook"):
            read(broken, FileFormat(format="excel"))
    (tmp_path / "page.xlsx").write_bytes(b"<!doctype html><html><body>Please sign in</body></html>")
    with pytest.raises(SourceUnreadable, match="an HTML page"):
        read(tmp_path / "page.xlsx", FileFormat(format="excel"))
    with pytest.raises(SourceUnreadable, match="set `format: excel`, or save the sheet as CSV"):
        read(workbook(tmp_path, ["id"], [471]), FileFormat())


def test_a_workbook_that_unpacks_to_too_much_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = workbook(tmp_path, ["id"], ["x" * 30_000])
    monkeypatch.setattr("resources.sources.arrivals.MAX_BYTES", 20_000)
    with pytest.raises(SourceUnreadable, match="unpacked; split it"):
        read(file, FileFormat(format="excel"))


def test_a_value_far_from_all_others_is_refused_before_a_place_is_kept_for_each_cell_between(tmp_path: Path) -> None:
    file = workbook(tmp_path, ["id"], [471])
    made = openpyxl.load_workbook(file)
    made["claims"]["XFD1048576"] = "far"
    made.save(file)
    with pytest.raises(SourceUnreadable, match="reaches to row 1,048,576 and column 16,384; take away"):
        read(file, FileFormat(format="excel"))


def test_long_numbers_keep_their_digits(tmp_path: Path) -> None:
    file = workbook(tmp_path, ["id", "amount"], [4111111111111111, 1e300])
    (row,) = cells(read(file, FileFormat(format="excel")))
    assert row == {"id": "4111111111111111", "amount": "1e+300"}
