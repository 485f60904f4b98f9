"""Tables whose rows find their own night, and queries: the same night is the same night when read again."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.nights import window_of
from pipeline_project.settings import Settings
from resources.sources import case_source
from resources.sources import table as table_module
from resources.sources.arrivals import read_file
from tests.resources.sources.claim_specs import NIGHT, WINDOW, claims, row, write


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def read(folder: Path, settings: Settings, environ: dict[str, str] | None = None, **changes: Any) -> pa.Table:
    return case_source(claims(folder, **changes), settings, environ or {}).read(WINDOW).rows


def cells(table: pa.Table) -> list[dict[str, str]]:
    return [json.loads(raw) for raw in table["raw"].to_pylist()]


# -- tables ---------------------------------------------------------------------------------------------------


def test_table_rows_find_their_night_in_the_workflows_zone(tmp_path: Path, settings: Settings) -> None:
    lines = [
        "C1,2025-03-01T23:59:59,1,shoes,,", "C2,2025-03-01T23:30:00Z,1,shoes,,", "C3,2025-03-02,1,shoes,,",
        "C4,never,1,shoes,,",
    ]  # fmt: skip
    write(tmp_path, *lines, name="all.csv")
    source = case_source(claims(tmp_path, source={"kind": "table", "files": [{"path": "in/all.csv"}]}), settings, {})
    assert source.nights_landed() == ["2025-02-01", NIGHT, "2025-03-02"]
    table = source.read(WINDOW).rows
    assert [cell["claim_id"] for cell in cells(table)] == ["C1"]
    assert table["night"].to_pylist() == [NIGHT]
    assert table["line"].to_pylist() == [2]
    # The row whose time cannot be read is not lost: the first night has it.
    first = source.read(window_of("2025-02-01", "Europe/Berlin")).rows
    assert [cell["claim_id"] for cell in cells(first)] == ["C4"]
    assert source.read(window_of("2025-02-02", "Europe/Berlin")).rows.num_rows == 0


def test_table_is_parsed_once_until_it_changes(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, row(1), name="all.csv")
    reads: list[Path] = []

    def counted(path: Path, *rest: Any, **named: Any) -> pa.Table:
        reads.append(path)
        return read_file(path, *rest, **named)

    monkeypatch.setattr(table_module, "read_file", counted)
    spec = claims(tmp_path, source={"kind": "table", "files": [{"path": "in/all.csv"}]})
    before = case_source(spec, settings, {}).fingerprint(WINDOW)
    assert case_source(spec, settings, {}).read(WINDOW).rows.num_rows == 1
    assert len(reads) == 1
    path.write_text(path.read_text() + row(2) + "\n")
    assert case_source(spec, settings, {}).read(WINDOW).rows.num_rows == 2
    assert case_source(spec, settings, {}).fingerprint(WINDOW) != before
    path.unlink()
    with pytest.raises(SourceUnreadable, match="put it there"):
        case_source(spec, settings, {}).read(WINDOW)


def test_spread_places_every_row_on_one_night_always_the_same(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path, *(row(n) for n in range(200)), name="all.csv")
    spread = {"first": "2025-03-01", "last": "2025-03-04"}
    source = {"kind": "table", "files": [{"path": "in/all.csv", "spread": spread}]}
    cases = case_source(claims(tmp_path, source=source), settings, {})
    nights = cases.nights_landed()
    assert nights == ["2025-03-01", "2025-03-02", "2025-03-03", "2025-03-04"]
    ids = [[cell["claim_id"] for cell in cells(cases.read(window_of(n, "Europe/Berlin")).rows)] for n in nights]
    assert sorted(case for night in ids for case in night) == sorted(f"C{n}" for n in range(200))
    assert min(map(len, ids)) > 25
    assert "C0" in ids[1]
    assert {"C1", "C2"} <= set(ids[3])


# -- queries --------------------------------------------------------------------------------------------------


@pytest.fixture
def sql() -> dict[str, Any]:
    query = "SELECT claim_id, at AS claimed_at, price FROM claim WHERE at >= :start AND at < :end"
    return {"kind": "sql", "url_variable": "PIPELINE_SOURCE_SHOP", "query": query}


def test_query_by_night_in_a_fixed_order(tmp_path: Path, settings: Settings, sql: dict[str, Any]) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE claim (claim_id TEXT, at TEXT, price REAL)")
        rows = [("C2", "2025-03-01 10:00:00", 1.5), ("C1", "2025-03-01 11:00:00", None), ("C3", "2025-03-03", 2)]
        database.executemany("INSERT INTO claim VALUES (?, ?, ?)", rows)
    environ = {"PIPELINE_SOURCE_SHOP": f"sqlite:///{tmp_path / 'shop.db'}"}
    source = case_source(claims(tmp_path, source=sql), settings, environ)
    table = source.read(WINDOW).rows
    assert [(cell["claim_id"], cell["price"]) for cell in cells(table)] == [("C1", ""), ("C2", "1.5")]
    before = source.fingerprint(WINDOW)
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("UPDATE claim SET price = 3 WHERE claim_id = 'C2'")
    assert source.fingerprint(WINDOW) != before


def test_query_errors_say_what_to_do_and_hold_no_password(
    tmp_path: Path, settings: Settings, sql: dict[str, Any]
) -> None:
    with pytest.raises(SourceUnreadable, match="set PIPELINE_SOURCE_SHOP to the URL"):
        read(tmp_path, settings, source=sql)
    with pytest.raises(SourceUnreadable) as refused:
        read(tmp_path, settings, {"PIPELINE_SOURCE_SHOP": "postgresql://shop:s3cret@127.0.0.1:1/shop"}, source=sql)
    assert "postgresql+psycopg2://shop:***@127.0.0.1:1/shop" in str(refused.value)
    assert "s3cret" not in repr(refused.value.__cause__) + str(refused.value)
    with pytest.raises(SourceUnreadable) as invalid:
        read(tmp_path, settings, {"PIPELINE_SOURCE_SHOP": "s3cret"}, source=sql)
    assert "s3cret" not in str(invalid.value)
