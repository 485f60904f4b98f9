"""What was read of a file is not read again, unless it is another one by now; no more is kept than may."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline_project.domain.core.errors import LakeDamaged
from resources.lake import decoded, delta
from resources.lake.decoded import DECODED, DecodedColumns
from resources.lake.lake import DeltaLake

NIGHTS = ["2025-03-01", "2025-03-02", "2025-03-03"]
AFTER = "2025-03-04"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[DeltaLake]:
    DECODED.begin_anew()
    lake = DeltaLake(str(tmp_path / "lake"))
    for number, night in enumerate(NIGHTS):
        lake.write_night("returns", "cases", night, pa.table({"case_id": [night, "x"], "price": [float(number), 1.5]}))
    yield lake
    DECODED.begin_anew()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many files were read at once, each time."""
    counts: list[int] = []
    verify = delta.verify_once

    def watched(parts: list[object]) -> None:
        counts.append(len(parts))
        verify(parts)

    monkeypatch.setattr("resources.lake.lake.verify_once", watched)
    return counts


def span(lake: DeltaLake, columns: list[str] | None = None, before: str = AFTER) -> list[dict[str, object]]:
    table = lake.read_span("returns", "cases", None, before, columns)
    assert table is not None
    return table.to_pylist()


def test_each_file_is_read_once(lake: DeltaLake, read: list[int]) -> None:
    first = span(lake)
    assert [row["night"] for row in first] == [night for night in NIGHTS for _ in range(2)]
    assert [row["price"] for row in first] == [0.0, 1.5, 1.0, 1.5, 2.0, 1.5]
    assert span(lake) == first
    assert span(lake, ["price"]) == [{"price": row["price"]} for row in first]
    assert span(lake, before=NIGHTS[2]) == first[:4]
    lake.write_night("returns", "cases", AFTER, pa.table({"case_id": ["new"], "price": [9.0]}))
    assert span(lake, before="2025-03-05") == [*first, {"night": AFTER, "case_id": "new", "price": 9.0}]
    lake.write_night("returns", "cases", NIGHTS[0], pa.table({"case_id": ["again"], "price": [7.0]}))
    assert span(lake, before=AFTER) == [{"night": NIGHTS[0], "case_id": "again", "price": 7.0}, *first[2:]]
    assert read == [3, 1, 1]


def test_a_new_column_is_read_and_empty_in_older_files(lake: DeltaLake) -> None:
    span(lake)
    wider = pa.table({"case_id": ["new"], "price": [9.0], "words": ["yes"]})
    lake.write_night("returns", "cases", AFTER, wider, evolve=True)
    assert [row["words"] for row in span(lake, ["words"], "2025-03-05")] == [None] * 6 + ["yes"]


def test_a_file_that_was_damaged_after_it_was_read_is_found(lake: DeltaLake, tmp_path: Path) -> None:
    span(lake)
    (file,) = (tmp_path / "lake/returns/cases/night=2025-03-02").glob("*.parquet")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    os.utime(file, ns=(1, 1))
    delta._VERIFIED.clear()
    with pytest.raises(LakeDamaged, match="night=2025-03-02"):
        span(lake)


def test_nights_without_rows_count(lake: DeltaLake) -> None:
    lake.write_night("returns", "cases", AFTER, pa.table({"case_id": ["a"], "price": [1.0]}).slice(0, 0))
    assert len(span(lake, before="2025-03-05")) == 6
    assert len(span(lake, before="2025-03-05")) == 6


def test_no_more_is_kept_than_may_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded, "MOST_BYTES", 2_000)
    held = DecodedColumns()
    field = pa.field("price", pa.float64())
    places = [("lake", str(number), 1, 1, field) for number in range(5)]
    column = pa.chunked_array([pa.array([0.0] * 100)])
    for place in places[:2]:
        held.keep([place], [column])
    assert held.find(places[:1])
    held.keep(places[2:3], [column])
    assert held.find(places[1:2]) is None
    assert held.find([places[0], places[2]])
    assert held.find(places[:2]) is None
