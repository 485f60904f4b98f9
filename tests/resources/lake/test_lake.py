"""A night is replaced whole, read back exactly, and read as it was at any version."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest

from pipeline_project.domain.core.errors import CadenceChanged, LakeSchemaChanged, LakeUnavailable
from pipeline_project.domain.core.schema import QUARANTINE
from pipeline_project.domain.core.stored_tables import versions_of
from resources.lake.columns import lake_schema
from resources.lake.lake import DeltaLake
from tests.present import present

FIRST, SECOND, THIRD = "2024-03-01", "2024-03-02", "2024-03-03"
NOW = datetime(2024, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)

EVERY_TYPE = pa.schema(
    [
        pa.field("night", pa.string(), nullable=False),
        pa.field("case_id", pa.string(), nullable=False),
        pa.field("reasons", pa.list_(pa.string())),
        pa.field("probabilities", pa.list_(pa.float64())),
        pa.field("vector", pa.binary()),
        pa.field("at", pa.timestamp("us", tz="UTC")),
        pa.field("nothing", pa.null()),
        pa.field("size", pa.int64()),
        pa.field("shared", pa.bool_()),
    ]
)


def cases(night: str, *ids: str, **columns: pa.Array) -> pa.Table:
    """A small table of one night."""
    return pa.table(
        {"night": pa.array([night] * len(ids), pa.string()), "case_id": pa.array(ids, pa.string()), **columns}
    )


def ids(table: pa.Table | None) -> list[str]:
    assert table is not None
    return table["case_id"].to_pylist()


@pytest.fixture
def lake(tmp_path: Path) -> DeltaLake:
    return DeltaLake(str(tmp_path / "lake"))


def test_every_type_reads_back_as_it_was_written(lake: DeltaLake) -> None:
    rows = [
        [FIRST, FIRST],
        ["a", "b"],
        [["x", None], None],
        [[0.5, None, float("inf")], []],
        [b"\x00\xff", None],
        [NOW, None],
        [None, None],
        [2**62, None],
        [True, None],
    ]
    table = pa.table([pa.array(row, f.type) for row, f in zip(rows, EVERY_TYPE, strict=True)], schema=EVERY_TYPE)
    lake.write_night("returns", "scores", FIRST, table)
    lake.write_night("returns", "scores", SECOND, EVERY_TYPE.empty_table())

    read = present(lake.read_night("returns", "scores", FIRST))
    empty = present(lake.read_night("returns", "scores", SECOND))
    assert read.schema.remove_metadata() == lake_schema(EVERY_TYPE) == empty.schema.remove_metadata()
    assert [f.type for f in read.schema] == [f.type for f in EVERY_TYPE]
    assert read.to_pydict() == table.to_pydict()
    assert empty.num_rows == 0


def test_an_empty_first_night_keeps_its_schema(lake: DeltaLake) -> None:
    lake.write_night("returns", "quarantine", FIRST, QUARANTINE.empty_table())
    read = present(lake.read_night("returns", "quarantine", FIRST))
    assert read.schema.remove_metadata() == lake_schema(QUARANTINE)


def test_types_that_delta_does_not_know_take_their_nearest(lake: DeltaLake) -> None:
    table = cases(
        FIRST,
        "a",
        kind=pa.array(["x"]).dictionary_encode(),
        large=pa.array(["x"], pa.large_string()),
        fixed=pa.array([b"ab"], pa.binary(2)),
        small=pa.array([255], pa.uint8()),
    )
    lake.write_night("returns", "cases", FIRST, table)
    lake.write_night("returns", "cases", FIRST, table)
    read = present(lake.read_night("returns", "cases", FIRST))
    assert read.select(["kind", "large", "fixed", "small"]).to_pylist() == [
        {"kind": "x", "large": "x", "fixed": b"ab", "small": 255}
    ]


def test_rows_keep_their_order_whatever_their_chunks(lake: DeltaLake) -> None:
    parts = [cases(FIRST, *(f"{chunk:03}-{i:03}" for i in range(500))) for chunk in range(60)]
    table = pa.concat_tables(parts)
    lake.write_night("returns", "cases", FIRST, table)
    assert ids(lake.read_night("returns", "cases", FIRST)) == ids(table)


def test_the_same_night_twice_is_the_same_content(lake: DeltaLake) -> None:
    once = lake.write_night("returns", "cases", FIRST, cases(FIRST, "a", "b"))
    before = lake.read_night("returns", "cases", FIRST)
    twice = lake.write_night("returns", "cases", FIRST, cases(FIRST, "a", "b"))
    after = present(lake.read_night("returns", "cases", FIRST))
    assert twice == once + 1
    assert after.equals(before)


def test_a_night_is_replaced_and_others_stay(lake: DeltaLake) -> None:
    lake.write_night("returns", "cases", FIRST, cases(FIRST, "a"))
    lake.write_night("returns", "cases", SECOND, cases(SECOND, "b"))
    lake.write_night("returns", "cases", FIRST, cases(FIRST, "c"))
    assert ids(lake.read_night("returns", "cases", FIRST)) == ["c"]
    assert ids(lake.read_night("returns", "cases", SECOND)) == ["b"]


def test_written_and_empty_is_not_never_written(lake: DeltaLake) -> None:
    assert lake.read_night("returns", "cases", FIRST) is None
    assert lake.version("returns", "cases") is None
    lake.write_night("returns", "cases", FIRST, cases(FIRST, "a"))
    lake.write_night("returns", "cases", FIRST, cases(FIRST))
    assert present(lake.read_night("returns", "cases", FIRST)).num_rows == 0
    assert lake.read_night("returns", "cases", SECOND) is None
    assert lake.nights("returns", "cases") == {FIRST}
    lake.write_night("returns", "cases", FIRST, cases(FIRST, "b"))
    assert ids(lake.read_night("returns", "cases", FIRST)) == ["b"]


def test_a_span_is_half_open_and_in_night_order(lake: DeltaLake) -> None:
    for night in (THIRD, FIRST, SECOND):
        lake.write_night("returns", "cases", night, cases(night, f"{night}-2", f"{night}-1"))
    span = lake.read_span("returns", "cases", FIRST, THIRD)
    assert ids(span) == [f"{FIRST}-2", f"{FIRST}-1", f"{SECOND}-2", f"{SECOND}-1"]
    assert ids(lake.read_span("returns", "cases", None, SECOND)) == [f"{FIRST}-2", f"{FIRST}-1"]
    assert present(lake.read_span("returns", "cases", "2025-01-01", "2025-02-01")).num_rows == 0
    assert lake.read_span("returns", "nowhere", None, THIRD) is None


def test_a_span_reads_only_the_files_and_columns_it_needs(lake: DeltaLake) -> None:
    for night in (FIRST, SECOND):
        lake.write_night("returns", "cases", night, cases(night, "a", price=pa.array([1.0])))
    for file in (Path(lake.uri("returns", "cases")) / f"night={FIRST}").iterdir():
        file.write_bytes(b"no parquet")
    span = present(lake.read_span("returns", "cases", SECOND, THIRD, ["price"]))
    assert span.to_pydict() == {"price": [1.0]}
    with pytest.raises(LakeSchemaChanged, match="no column weight; it has night, case_id, price"):
        lake.read_span("returns", "cases", SECOND, THIRD, ["weight"])


def test_a_version_is_read_as_it_was_and_says_so(lake: DeltaLake) -> None:
    old = lake.write_night("returns", "cases", FIRST, cases(FIRST, "a"))
    new = lake.write_night("returns", "cases", FIRST, cases(FIRST, "b"))
    late = lake.write_night("returns", "cases", SECOND, cases(SECOND, "c"))
    assert ids(lake.read_night("returns", "cases", FIRST, version=old)) == ["a"]
    assert ids(lake.read_night("returns", "cases", FIRST, version=new)) == ["b"]
    assert lake.read_night("returns", "cases", SECOND, version=new) is None
    assert ids(lake.read_span("returns", "cases", None, THIRD, version=old)) == ["a"]
    pinned = lake.stored_night("returns", "cases", FIRST, version=old)
    newest = lake.stored_night("returns", "cases", FIRST)
    assert pinned is not None and newest is not None
    assert versions_of([pinned]) == {"returns/cases": old}
    assert versions_of([newest]) == {"returns/cases": late} == {"returns/cases": lake.version("returns", "cases")}
    assert lake.nights("returns", "cases", version=new) == {FIRST}
    with pytest.raises(LakeUnavailable, match="version 99"):
        lake.read_night("returns", "cases", FIRST, version=99)


def test_history_says_what_was_written_with_which_note(lake: DeltaLake) -> None:
    assert lake.history("returns", "cases") == []
    assert lake.last_note("returns", "cases") == {}
    lake.write_night("returns", "cases", FIRST, cases(FIRST, "a", "b"), note={"spec_hash": "abc"})
    lake.write_night("returns", "cases", SECOND, cases(SECOND))
    newest, older, made = lake.history("returns", "cases")
    assert (newest.night, newest.rows, newest.note) == (SECOND, 0, {})
    assert (older.night, older.rows, older.note) == (FIRST, 2, {"spec_hash": "abc"})
    assert made.night is None
    assert [newest.version, older.version, made.version] == [2, 1, 0]
    assert newest.time.tzinfo is UTC


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (cases(FIRST, "a", price=pa.array([1.0]), extra=pa.array([1])), "new: extra"),
        (cases(FIRST, "a"), "missing: price"),
        (cases(FIRST, "a", price=pa.array(["1"])), r"price \(is double, would be string\)"),
    ],
)
def test_columns_do_not_change_by_accident(lake: DeltaLake, table: pa.Table, said: str) -> None:
    lake.write_night("returns", "cases", FIRST, cases(FIRST, "old", price=pa.array([1.0])))
    with pytest.raises(LakeSchemaChanged, match=said):
        lake.write_night("returns", "cases", FIRST, table)
    assert ids(lake.read_night("returns", "cases", FIRST)) == ["old"]


def test_columns_are_added_on_purpose_and_none_is_lost(lake: DeltaLake) -> None:
    old = lake.write_night("returns", "cases", FIRST, cases(FIRST, "a", price=pa.array([1.0])))
    lake.write_night("returns", "cases", SECOND, cases(SECOND, "b", extra=pa.array([2])), evolve=True)
    read = present(lake.read_span("returns", "cases", None, THIRD))
    assert read.to_pydict() == {
        "night": [FIRST, SECOND],
        "case_id": ["a", "b"],
        "price": [1.0, None],
        "extra": [None, 2],
    }
    before = present(lake.read_night("returns", "cases", FIRST, version=old))
    assert before.column_names == ["night", "case_id", "price"]
    with pytest.raises(LakeSchemaChanged, match="would change the type of extra"):
        lake.write_night("returns", "cases", THIRD, cases(THIRD, "c", extra=pa.array(["2"])), evolve=True)


def test_a_column_of_nulls_and_another_order_change_nothing(lake: DeltaLake) -> None:
    lake.write_night("returns", "cases", FIRST, cases(FIRST, "a", price=pa.array([1.0])))
    other = pa.table({"price": pa.nulls(1), "case_id": ["b"], "night": [SECOND]})
    lake.write_night("returns", "cases", SECOND, other)
    assert present(lake.read_night("returns", "cases", SECOND)).to_pydict() == {
        "night": [SECOND],
        "case_id": ["b"],
        "price": [None],
    }


def test_rows_belong_to_the_night_they_are_written_to(lake: DeltaLake) -> None:
    with pytest.raises(ValueError, match=SECOND):
        lake.write_night("returns", "cases", FIRST, cases(SECOND, "a"))
    lake.write_night("returns", "cases", FIRST, pa.table({"case_id": ["a"]}))
    assert present(lake.read_night("returns", "cases", FIRST))["night"].to_pylist() == [FIRST]


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "", ".hidden", "a b"])
def test_no_name_leads_out_of_the_lake(lake: DeltaLake, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a folder"):
        lake.write_night(name, "cases", FIRST, cases(FIRST, "a"))
    with pytest.raises(ValueError, match="cannot name a folder"):
        lake.read_night("returns", name, FIRST)


@pytest.mark.parametrize("night", ["2024-3-1", "../..", "20240301", "tonight"])
def test_a_night_is_a_key_and_no_other_text(lake: DeltaLake, night: str) -> None:
    with pytest.raises(ValueError, match="is no night"):
        lake.write_night("returns", "cases", night, pa.table({"case_id": ["a"]}))


def test_all_nights_of_a_table_are_of_one_cadence(lake: DeltaLake) -> None:
    hours = ("2024-03-01T09Z", "2024-03-01T10Z", "2024-03-02T00Z")
    for night in reversed(hours):
        lake.write_night("hourly", "cases", night, cases(night, night))
    assert ids(lake.read_span("hourly", "cases", hours[0], hours[2])) == [*hours[:2]]
    version = lake.version("hourly", "cases")
    for other in (FIRST, "2024-W09-1"):
        with pytest.raises(CadenceChanged, match="keeps the cadence it began with"):
            lake.write_night("hourly", "cases", other, cases(other, "a"))
    assert lake.version("hourly", "cases") == version
    lake.write_night("daily", "cases", FIRST, cases(FIRST, "a"))


def test_a_lake_is_found_by_url_and_crosses_process_borders(tmp_path: Path) -> None:
    written = DeltaLake(f"file://{tmp_path}/lake")
    written.write_night("returns", "cases", FIRST, cases(FIRST, "a"))
    read = pickle.loads(pickle.dumps(DeltaLake(str(tmp_path / "lake"), {"timeout": "30s"})))
    assert ids(read.read_night("returns", "cases", FIRST)) == ["a"]


def test_credentials_are_not_shown() -> None:
    lake = DeltaLake("s3://bucket/lake", {"AWS_SECRET_ACCESS_KEY": "hidden-value"})
    assert "hidden-value" not in repr(lake.store)
    assert lake.uri("returns", "cases") == "s3://bucket/lake/returns/cases"


def second_file(lake: DeltaLake, night: str, rows: pa.Table) -> None:
    """What a writer leaves that knew nothing of the one before it: a second file for the night."""
    uri = lake.uri("w", "cases")
    table = lake.store.open(uri)
    assert table is not None
    added = lake.store.add_file(uri, rows, {"night": night}, compression="zstd")
    table.create_write_transaction([added], mode="append", schema=table.schema(), partition_by=["night"])


def test_of_two_files_of_one_night_one_is_read_and_the_next_write_ends_both(tmp_path: Path) -> None:
    lake = DeltaLake(str(tmp_path))
    lake.write_night("w", "cases", FIRST, pa.table({"n": [1, 1]}))
    second_file(lake, FIRST, pa.table({"n": [2, 2]}))
    night = lake.read_night("w", "cases", FIRST)
    assert night is not None
    assert night["n"].to_pylist() in ([1, 1], [2, 2])
    lake.write_night("w", "cases", FIRST, pa.table({"n": [3]}))
    assert lake._files(lake.uri("w", "cases"), FIRST) == 1


def test_a_writer_that_finds_another_s_file_beside_its_own_writes_again(tmp_path: Path) -> None:
    lake = DeltaLake(str(tmp_path))
    lake.write_night("w", "cases", FIRST, pa.table({"n": [0]}))
    commit_night = DeltaLake._commit_night
    calls: list[bool] = []

    def met(self: DeltaLake, *args: Any) -> int:
        version = commit_night(self, *args)
        calls.append(True)
        if len(calls) == 1:
            second_file(lake, SECOND, pa.table({"n": [9, 9]}))
        return version

    with mock.patch.object(DeltaLake, "_commit_night", met):
        lake.write_night("w", "cases", SECOND, pa.table({"n": [1]}))
    assert len(calls) == 2
    night = lake.read_night("w", "cases", SECOND)
    assert night is not None
    assert night["n"].to_pylist() == [1]
    assert lake._files(lake.uri("w", "cases"), SECOND) == 1


def test_a_note_stands_in_the_very_commit_of_its_rows(lake: DeltaLake) -> None:
    assert lake.note("w", "cases", "none") == {}
    contents = {}
    for word in ("first", "second"):
        lake.write_night("w", "cases", FIRST, cases(FIRST, word), note={"read": word, "spec_hash": "abc"})
        contents[word] = str(lake.content("w", "cases", FIRST))
        for number in range(9):  # other nights come in between
            lake.write_night("w", "cases", f"2025-04-{number + 1:02}", cases(f"2025-04-{number + 1:02}"))
    for word, content in contents.items():
        assert lake.note("w", "cases", content) == {"read": word, "spec_hash": "abc"}
    assert lake.note("w", "cases", str(lake.content("w", "cases", "2025-04-01"))) == {}
    assert lake.note("w", "cases", "") == {}
    night = lake.stored_night("w", "cases", FIRST)
    assert night is not None and night.content == contents["second"]


def test_the_commits_of_each_night_say_when_it_was_replaced(lake: DeltaLake) -> None:
    assert lake.night_commits("w", "cases") == {}
    for night in (FIRST, SECOND, FIRST):
        lake.write_night("w", "cases", night, cases(night, "a"))
    found = lake.night_commits("w", "cases")
    versions = {night: [version for version, _ in told] for night, told in found.items()}
    assert len(versions[FIRST]) == 2
    assert versions[FIRST][0] < versions[SECOND][0] < versions[FIRST][1]
    assert lake.version("w", "cases") == versions[FIRST][1]
    times = [time for _, time in found[FIRST]]
    assert times == sorted(times)
    assert ids(lake.read_night("w", "cases", FIRST, versions[FIRST][0])) == ["a"]
