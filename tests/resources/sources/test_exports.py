"""Files as ordinary programs write them: read where it is plain what is meant, else refused with the cure."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import json
import lzma
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.intake.readings import ArrivedRows, unaccounted
from pipeline_project.domain.intake.typed_rows import read_rows
from pipeline_project.settings import Settings
from resources.sources import add_repair, case_source
from tests.resources.sources.claim_specs import HEADER, NIGHT, WINDOW, claims, fields, row, write

TWO = f"{HEADER}\n{row(1)}\n{row(2)}\n"


def read(
    folder: Path, content: bytes, name: str = "a.csv", how: dict[str, Any] | None = None, **changes: Any
) -> ArrivedRows:
    """One file of the night, read as the source of a workflow; every line of it is accounted for."""
    path = folder / "in" / NIGHT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    source = {"kind": "files", "folder": "in", "pattern": f"{{night}}/{name}", **(how or {})}
    spec = claims(folder, source=source, **changes)
    arrived = case_source(spec, Settings(home=folder / "home"), {}).read(WINDOW)
    assert unaccounted(arrived.readings, arrived.rows) == (0, 0)
    return arrived


def ids(arrived: ArrivedRows) -> list[str | None]:
    """The id of every whole row, None for a refused one."""
    pairs = zip(arrived.rows["raw"].to_pylist(), arrived.rows["problem"].to_pylist(), strict=True)
    return [None if problem else json.loads(raw)["claim_id"] for raw, problem in pairs]


def detected(arrived: ArrivedRows) -> str:
    return "; ".join(words for reading in arrived.readings for words in reading.detected)


# -- before and behind the rows -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "delimiter"),
    [("sep=;", ";"), ('"sep=;"', ";"), ("SEP=|", "|"), ("sep=\t", "\t"), ("sep=\\t", "\t"), ("sep=;;;;", ";")],
)
def test_the_line_in_which_excel_says_the_delimiter(tmp_path: Path, line: str, delimiter: str) -> None:
    content = TWO.replace(";", "/").replace(",", delimiter)
    for end, declared in (("\n", ";"), ("\r\n", ",")):
        table = read(tmp_path, f"\ufeff{line}{end}{content}".encode(), how={"delimiter": declared})
        assert ids(table) == ["C1", "C2"]
        assert table.rows["line"].to_pylist() == [3, 4]
        assert "sep=" in detected(table)


@pytest.mark.parametrize(
    "preamble",
    ["Claims export,,,,,\nFrom 2025-03-01,,,,,\n,,,,,\n", "Claims\n\n", '"Claims of ""today""\n', "a,b\nc\n\n\n",
     "Report: 3,5 EUR\n"],
)  # fmt: skip
def test_lines_before_the_header(tmp_path: Path, preamble: str) -> None:
    table = read(tmp_path, (preamble + TWO).encode())
    at = preamble.count("\n")
    assert ids(table) == ["C1", "C2"]
    assert table.rows["line"].to_pylist() == [at + 2, at + 3]
    assert f"the header is line {at + 1}" in detected(table)
    declared = read(tmp_path, (preamble + TWO).encode(), how={"skip_lines": at})
    assert ids(declared) == ["C1", "C2"]
    assert f"{at} lines before the header" in detected(declared)


def test_a_row_before_the_header_never_vanishes(tmp_path: Path) -> None:
    table = read(tmp_path, f"Claims\n{row(7)}\n{TWO}".encode())
    assert ids(table) == [None, "C1", "C2"]
    assert table.rows["problem"][0].as_py() == "stands before the header and looks like a row"
    assert json.loads(table.rows["raw"][0].as_py())["claim_id"] == "C7"
    with pytest.raises(SourceUnreadable, match=r"line 1 holds the names of columns.*correct `skip_lines`"):
        read(tmp_path, TWO.encode(), how={"skip_lines": 2})
    with pytest.raises(SourceUnreadable, match="nothing comes after the 9 lines"):
        read(tmp_path, f"{row(1)}\n{row(2)}\n".encode(), how={"skip_lines": 9})


def test_a_header_that_comes_again_is_no_case(tmp_path: Path) -> None:
    table = read(tmp_path, (TWO + TWO.replace("C1", "C3").replace("C2", "C4")).encode())
    assert ids(table) == ["C1", "C2", None, "C3", "C4"]
    assert table.rows["problem"][2].as_py() == "repeats the header"


@pytest.mark.parametrize("more", [1, 3])
def test_a_delimiter_too_many_at_the_end_of_every_row(tmp_path: Path, more: int) -> None:
    lines = TWO.splitlines()
    table = read(tmp_path, "\n".join([lines[0], *(line + "," * more for line in lines[1:])]).encode())
    assert ids(table) == ["C1", "C2"]
    assert f"rows end with {more} delimiter" in detected(table)
    assert set(json.loads(table.rows["raw"][0].as_py())) == set(HEADER.split(","))
    behind_header = read(tmp_path, "\n".join([lines[0] + "," * more, *lines[1:]]).encode())
    assert ids(behind_header) == ["C1", "C2"]


def test_a_delimiter_too_many_in_some_rows_only_may_be_a_shifted_row(tmp_path: Path) -> None:
    shifted = "C3,2025-03-01,Miller, Jr,10,shoes,"
    table = read(tmp_path, f"{TWO}{shifted}\n".encode())
    assert ids(table) == ["C1", "C2", None]
    assert "those beyond it empty, but not in every row" in table.rows["problem"][2].as_py()
    # And where every row has one, a cell beyond that is not empty is still a broken row.
    every = "\n".join([HEADER, row(1) + ",", row(2) + ",x", row(3) + ","])
    assert ids(read(tmp_path, every.encode())) == [None, None, None]


# -- encodings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (codecs.BOM_UTF8 + TWO.encode(), "utf-8"),
        (codecs.BOM_UTF8 * 2 + TWO.encode(), "utf-8"),
        (codecs.BOM_UTF8 * 2 + TWO.encode(), "utf-8-sig"),
        (codecs.BOM_UTF8 + f'"{TWO.replace(",", chr(34) + ",", 1)}'.encode(), "utf-8"),
        (codecs.BOM_UTF16_LE + TWO.encode("utf-16-le"), "utf-16-le"),
        (codecs.BOM_UTF16_LE * 2 + TWO.encode("utf-16-le"), "utf-16"),
        (codecs.BOM_UTF16_BE + TWO.encode("utf-16-be"), "utf-16"),
        (codecs.BOM_UTF16_BE + TWO.encode("utf-16-be"), "utf-16-be"),
        (codecs.BOM_UTF16_BE + TWO.encode("utf-16-be"), "utf-16-le"),
        (TWO.encode("utf-16-le"), "utf-16-le"),
        (TWO.encode("utf-16-be"), "utf-16"),
        (codecs.BOM_UTF32_LE + TWO.encode("utf-32-le"), "utf-32"),
    ],
)
def test_byte_order_marks(tmp_path: Path, content: bytes, encoding: str) -> None:
    assert ids(read(tmp_path, content, how={"encoding": encoding})) == ["C1", "C2"]


@pytest.mark.parametrize(
    ("content", "encoding", "cure"),
    [
        (codecs.BOM_UTF16_LE + TWO.encode("utf-16-le"), "utf-8", "set `encoding: utf-16`"),
        (TWO.encode("utf-16-le"), "utf-8", "set `encoding: utf-16-le`"),
        (TWO.encode("utf-16-be"), "latin-1", "set `encoding: utf-16-be`"),
        (TWO.encode("utf-16-be"), "utf-16-le", "set `encoding: utf-16-be`"),
        (codecs.BOM_UTF8 + TWO.encode(), "latin-1", "set `encoding: utf-8`"),
        (codecs.BOM_UTF8 + TWO.encode(), "utf-16", "set `encoding: utf-8`"),
        (TWO.encode(), "utf-16", "is `encoding: utf-8` right"),
    ],
)
def test_another_encoding_is_named(tmp_path: Path, content: bytes, encoding: str, cure: str) -> None:
    with pytest.raises(SourceUnreadable, match=cure):
        read(tmp_path, content, how={"encoding": encoding})


@pytest.mark.parametrize(
    "written",
    [unicodedata.normalize("NFD", "Größe"), "GRÖSSE", "GRÖSSE\ufeff", "Grö\u200bße"],
)
def test_names_of_columns_that_only_look_the_same(tmp_path: Path, written: str) -> None:
    content = f"{HEADER},{written}\n{row(1)},5\n"
    spec = fields(size={"type": "number", "column": "Größe"})
    table = read(tmp_path, content.encode(), fields=spec)
    assert json.loads(table.rows["raw"][0].as_py())["Größe"] == "5"
    assert "Größe is written with other accents" in detected(table)


def test_of_two_columns_that_could_be_meant_neither_is_taken(tmp_path: Path) -> None:
    content = f"{HEADER.replace('price', 'Price')},PRICE\n{row(1)},5\n"
    table = read(tmp_path, content.encode())
    assert "price" not in json.loads(table.rows["raw"][0].as_py())


# -- packed, and other kinds of files -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("packed", "packer"),
    [
        (gzip.compress(TWO.encode()), "gzip"),
        (bz2.compress(TWO.encode()), "bzip2"),
        (lzma.compress(TWO.encode()), "xz"),
        (pa.compress(TWO.encode(), codec="zstd", asbytes=True), "zstd"),
    ],
)
def test_what_is_packed_is_unpacked_under_any_name(tmp_path: Path, packed: bytes, packer: str) -> None:
    for name in ("a.csv", "a.csv.gz", "a.dat"):
        table = read(tmp_path, packed, name)
        assert ids(table) == ["C1", "C2"]
        assert f"packed with {packer}" in detected(table)
    with pytest.raises(SourceUnreadable, match=f"no whole {packer} file"):
        read(tmp_path, packed[:-12])


def test_a_name_that_says_gz_and_is_not(tmp_path: Path) -> None:
    assert ids(read(tmp_path, TWO.encode(), "a.csv.gz")) == ["C1", "C2"]


@pytest.mark.parametrize(
    ("name", "format_"), [("a.csv", "csv"), ("a.zip", "csv"), ("a.csv.gz", "csv"), ("a.x", "jsonl")]
)
def test_an_archive_is_named_and_not_read(tmp_path: Path, name: str, format_: str) -> None:
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as archive:
        archive.writestr("claims.csv", TWO)
    with pytest.raises(SourceUnreadable, match="is a zip archive; unpack it") as told:
        read(tmp_path, kept.getvalue(), name, {"format": format_})
    assert str(told.value).count("zip archive") == 1


# -- JSON -----------------------------------------------------------------------------------------------------

OBJECTS = [{"claim_id": f"C{n}", "price": 1.5, "customer": {"name": f"n{n}", "tags": ["a", "b"]}} for n in (1, 2)]


@pytest.mark.parametrize("indent", [None, 1])
def test_one_array_is_named_and_read_where_it_is_declared(tmp_path: Path, indent: int | None) -> None:
    content = json.dumps(OBJECTS, indent=indent).encode()
    with pytest.raises(SourceUnreadable, match=r"is one JSON array.*write one object per line"):
        read(tmp_path, content, "a.jsonl", {"format": "jsonl"})
    table = read(tmp_path, codecs.BOM_UTF8 + content, "a.json", {"format": "json"})
    assert ids(table) == ["C1", "C2"]
    assert table.rows["line"].to_pylist() == ([1, 1] if indent is None else [2, 13])


@pytest.mark.parametrize("content", [b"{}", b'[{"a": 1}', b'[{"a": 1} {"b": 2}]', b"[1] [2]", b'[{"a": 1}] x', b"["])
def test_what_is_no_whole_array_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SourceUnreadable, match="array"):
        read(tmp_path, content, "a.json", {"format": "json"})


def test_objects_over_several_lines_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="runs over several lines; write one object per line"):
        read(tmp_path, json.dumps(OBJECTS[0], indent=1).encode(), "a.jsonl", {"format": "jsonl"})


def test_a_key_twice_is_a_problem_of_its_row(tmp_path: Path) -> None:
    content = b'{"claim_id": "C1", "price": 1, "price": 900}\n\xef\xbb\xbf{"claim_id": "C2", "price": NaN}\n'
    table = read(tmp_path, content, "a.jsonl", {"format": "jsonl"})
    assert ids(table) == [None, "C2"]
    assert table.rows["problem"][0].as_py() == "names a key twice"
    assert "900" in table.rows["raw"][0].as_py()


@pytest.mark.parametrize("format_", ["json", "jsonl"])
def test_nested_names(tmp_path: Path, format_: str) -> None:
    spec = fields(
        who={"type": "category", "column": "customer.name"},
        tag={"type": "category", "column": "customer.tags.1"},
        none={"type": "category", "column": "customer.a.b", "required": False},
    )
    lines = json.dumps(OBJECTS) if format_ == "json" else "\n".join(map(json.dumps, OBJECTS))
    table = read(tmp_path, lines.encode(), "a.j", {"format": format_}, fields=spec)
    frame = read_rows(table.rows, claims(tmp_path, fields=spec).case_schema).frame
    assert frame["who"].tolist() == ["n1", "n2"]
    assert frame["tag"].tolist() == ["b", "b"]
    plain = read(tmp_path, lines.encode(), "a.j", {"format": format_})
    assert plain.rows["row_sha256"] == table.rows["row_sha256"], "what is declared of a row does not change what it is"


def test_swallowed_lines_come_back_as_rows_when_they_are_exported_and_given_back(tmp_path: Path) -> None:
    lines = [row(1, message='"5 inch'), row(2), row(3, message='"9 inch')]
    table = read(tmp_path, "\n".join([HEADER, *lines]).encode())
    assert ids(table) == [None] * 3
    back = tmp_path / "to_repair.csv"
    with back.open("w", newline="", encoding="utf-8") as file:
        # as `pipeline quarantine --export` writes them
        writer = csv.DictWriter(file, HEADER.split(","))
        writer.writeheader()
        writer.writerows(json.loads(raw) for raw in table.rows["raw"].to_pylist())
    spec = claims(tmp_path)
    settings = Settings(home=tmp_path / "home")
    add_repair(settings, spec, NIGHT, back)
    night = case_source(spec, settings, {}).read(WINDOW)
    assert ids(night) == [None, None, None, "C1", "C2", "C3"]
    assert json.loads(night.rows["raw"][3].as_py())["message"] == '"5 inch'
    assert unaccounted(night.readings, night.rows) == (0, 0)


def test_nights_in_compact_names(tmp_path: Path) -> None:
    write(tmp_path, row(1), name="claims_20250301.csv")
    write(tmp_path, row(2), name="claims_20250230.csv")
    source = {"kind": "files", "folder": "in", "pattern": "claims_{night:%Y%m%d}.csv"}
    cases = case_source(claims(tmp_path, source=source), Settings(home=tmp_path / "home"), {})
    assert cases.nights_landed() == [NIGHT]
    assert ids(cases.read(WINDOW)) == ["C1"]
