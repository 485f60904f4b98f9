"""Reference tables as their sources give them: whole and as known in a night, or an error that says what to do."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.nights import window_of
from pipeline_project.domain.intake.lookups.versions import ReadTable
from pipeline_project.settings import Settings
from resources.sources import lookup_source
from tests.resources.sources.claim_specs import NIGHT, WINDOW, claims, fields

PRICES = "category,since,price,internal\nshoes,2025-01-01,10,x\nlamp,2025-01-01,20,y\n"
FILE: dict[str, Any] = {
    "kind": "file", "path": "prices.csv", "key": {"category": "category"}, "valid_from": "since",
}  # fmt: skip
TAKEN = {"list_price": {"type": "number", "lookup": "prices", "column": "price", "required": False}}


def read(folder: Path, environ: dict[str, str] | None = None, night: str = NIGHT, **changes: Any) -> ReadTable:
    spec = claims(folder, fields=fields(**TAKEN), lookups={"prices": {**FILE, **changes}})
    window = window_of(night, "Europe/Berlin")
    return lookup_source(spec, Settings(home=folder / "home"), environ or {}).read(window)["prices"]


def cells(table: ReadTable) -> list[dict[str, str]]:
    return [json.loads(raw) for raw in table.rows["raw"].to_pylist()]


def put(folder: Path, text: str | bytes = PRICES, name: str = "prices.csv") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_what_no_field_asks_for_is_left_where_it_is(tmp_path: Path) -> None:
    put(tmp_path)
    table = read(tmp_path)
    assert cells(table) == [
        {"category": "shoes", "since": "2025-01-01", "price": "10"},
        {"category": "lamp", "since": "2025-01-01", "price": "20"},
    ]
    assert table.files == ("prices.csv",)


def test_its_content_is_what_its_rows_say_in_any_order_and_format(tmp_path: Path) -> None:
    put(tmp_path)
    first = read(tmp_path).content
    lines = PRICES.splitlines()
    put(tmp_path, "\n".join([lines[0], lines[2], lines[1]]) + "\n")
    assert read(tmp_path).content == first
    rows = {"category": ["shoes", "lamp"], "since": ["2025-01-01"] * 2, "price": ["10", "20"]}
    pq.write_table(pa.table(rows), tmp_path / "prices.parquet")
    assert read(tmp_path, path="prices.parquet", format="parquet").content == first
    put(tmp_path, PRICES.replace("20", "21"))
    assert read(tmp_path).content != first


def test_a_night_reads_the_newest_file_that_was_there_by_then(tmp_path: Path) -> None:
    for night, price in (("2025-02-10", "1"), (NIGHT, "2"), ("2025-03-09", "3")):
        put(tmp_path, f"category,price\nshoes,{price}\n", f"in/prices_{night}.csv")
    by_night = {"kind": "files", "folder": "in", "pattern": "prices_{night}.csv", "valid_from": None, "path": None}
    changes = {key: value for key, value in {**FILE, **by_night}.items() if value is not None}
    spec = claims(tmp_path, fields=fields(**TAKEN), lookups={"prices": changes})
    source = lookup_source(spec, Settings(home=tmp_path / "home"), {})
    prices = {
        night: cells(source.read(window_of(night, "Europe/Berlin"))["prices"])[0]["price"]
        for night in ("2025-02-10", "2025-02-28", NIGHT, "2025-03-08", "2025-03-09")
    }
    assert list(prices.values()) == ["1", "1", "2", "2", "3"]
    with pytest.raises(SourceUnreadable, match=r"no file of 2025-02-09 or of a night before"):
        source.read(window_of("2025-02-09", "Europe/Berlin"))


def test_a_query_is_asked_what_was_known_by_the_end_of_the_night(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "shop.db")
    database.execute("CREATE TABLE prices (category TEXT, price REAL, entered TEXT)")
    entered = [("shoes", 10.5, "2025-03-01 22:59:00"), ("lamp", 20, "2025-03-01 23:00:01")]
    database.executemany("INSERT INTO prices VALUES (?, ?, ?)", entered)
    database.commit()
    query = "SELECT category, price FROM prices WHERE entered < :end"
    spec = claims(
        tmp_path,
        fields=fields(**TAKEN),
        lookups={"prices": {"kind": "sql", "url_variable": "PIPELINE_SECRET_SHOP", "query": query,
                            "key": {"category": "category"}}},
    )  # fmt: skip
    environ = {"PIPELINE_SECRET_SHOP": f"sqlite:///{tmp_path / 'shop.db'}"}
    source = lookup_source(spec, Settings(home=tmp_path / "home"), environ)
    assert cells(source.read(WINDOW)["prices"]) == [{"category": "shoes", "price": "10.5"}]


def test_when_rows_became_known_is_kept_with_them(tmp_path: Path) -> None:
    put(tmp_path, "category,price,entered\nshoes,10,2025-02-28 09:00\n")
    table = read(tmp_path, valid_from=None, known_at="entered")
    assert table.rows["known_at"].to_pylist() == [datetime(2025, 2, 28, 8, tzinfo=UTC)]
    put(tmp_path, "category,price,entered\nshoes,10,2025-02-28 09:00\nlamp,20,\n")
    with pytest.raises(SourceUnreadable, match="1 of 2 values of entered are missing or cannot be read as a time"):
        read(tmp_path, valid_from=None, known_at="entered")


BAD: list[tuple[str | bytes, dict[str, Any], str]] = [
    ("category,since,price\n", {}, "prices.csv has no row"),
    ("", {}, "prices.csv has no row"),
    ("category,since,prise\nshoes,2025-01-01,10\n", {}, "one is called 'prise'; set `fields.list_price.column`"),
    ("kind,since,price\nshoes,2025-01-01,10\n", {}, "correct the file, or `lookups.prices.key`"),
    ("category,price\nshoes,10\n", {}, "`lookups.prices.valid_from`"),
    ("category,since,price\nshoes,2025-01-01,10,1,2\n", {}, "1 of 1 rows of prices.csv cannot be read"),
    ("category,since,price\nschön,2025-01-01,10\n".encode("latin-1"), {}, "encoding"),
    ("category,since,price\nschön,2025-01-01,10\n".encode("utf-16"), {"encoding": "ascii"}, "set `encoding: utf-16`"),
    ("<!DOCTYPE html><html><body>Sign in</body></html>", {}, "HTML page"),
]


@pytest.mark.parametrize(("text", "changes", "sentence"), BAD)
def test_what_cannot_be_used_whole_is_an_error(
    tmp_path: Path, text: str | bytes, changes: dict[str, Any], sentence: str
) -> None:
    put(tmp_path, text)
    with pytest.raises(SourceUnreadable) as raised:
        read(tmp_path, **changes)
    assert sentence in str(raised.value)
    assert "shoes" not in str(raised.value)


def test_another_encoding_is_read_where_it_is_declared(tmp_path: Path) -> None:
    put(tmp_path, "category,since,price\nschön,2025-01-01,10\n".encode("cp1252"))
    assert cells(read(tmp_path, encoding="cp1252"))[0]["category"] == "schön"


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match=r"lookups\.prices: there is no file .*prices\.csv"):
        read(tmp_path)
