"""What `make bench-counts` counts is what happened, and more than a tenth (and two) above fails."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
from sqlalchemy import text

from benchmarks.counting import COUNTED, counted
from benchmarks.counts import HELD, too_many
from resources.lake import delta
from resources.lake.lake import DeltaLake
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import engine_of


def test_a_tenth_above_is_let_through_and_more_is_not() -> None:
    held = {"statements": 100, "connections": 4}
    assert too_many({"statements": 110, "connections": 4}, held) == []
    assert too_many({"statements": 111, "connections": 6}, held) == ["statements"]
    assert too_many({"statements": 100, "connections": 7}, held) == ["connections"]
    assert too_many({"openings": 1}, held) == ["openings"]


def test_each_count_is_held_to_something() -> None:
    assert list(json.loads(HELD.read_text())) == list(COUNTED)


def test_statements_connections_openings_and_rows_are_counted(ledger: PostgresLedger, tmp_path: Path) -> None:
    lake = DeltaLake(str(tmp_path))
    lake.write_night("returns", "cases", "2025-03-01", pa.table({"case_id": ["a", "b"]}))
    delta._OPEN.tables.clear()
    with counted() as counts:
        for _ in range(3):
            with engine_of(ledger.url).connect() as connection:
                connection.execute(text("SELECT 1"))
        lake.read_night("returns", "cases", "2025-03-01")
        lake.read_night("returns", "cases", "2025-03-01")
    names = ("statements", "connections", "Delta openings", "rows read from the lake")
    assert [counts[name] for name in names] == [3, 3, 1, 4]
    with engine_of(ledger.url).connect() as connection:
        connection.execute(text("SELECT 1"))
    assert counts["statements"] == 3
