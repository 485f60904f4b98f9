"""Tables stay open from one look to the next, and what somebody else did to their folders meanwhile is seen."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks.counting import counted
from resources.lake import delta
from resources.lake.lake import DeltaLake

FIRST, SECOND, THIRD = "2025-03-01", "2025-03-02", "2025-03-03"


@pytest.fixture
def lake(tmp_path: Path) -> DeltaLake:
    delta._OPEN.tables.clear()
    return DeltaLake(str(tmp_path / "lake"))


def write(lake: DeltaLake, night: str, *ids: str) -> int:
    return lake.write_night("returns", "cases", night, pa.table({"case_id": [*ids]}))


def ids(lake: DeltaLake, night: str, version: int | None = None) -> list[str] | None:
    table = lake.read_night("returns", "cases", night, version)
    return None if table is None else table["case_id"].to_pylist()


def test_a_table_is_opened_once(lake: DeltaLake) -> None:
    with counted() as counts:
        for night in (FIRST, SECOND, THIRD):
            write(lake, night, night)
            assert ids(lake, night) == [night]
            assert lake.version("returns", "cases") is not None
            assert len(lake.history("returns", "cases"))
    # that there is none, when it is made, and when it was made
    assert counts["Delta openings"] <= 3


def test_what_others_commit_is_seen(lake: DeltaLake) -> None:
    write(lake, FIRST, "mine")
    assert ids(lake, FIRST) == ["mine"]
    with ThreadPoolExecutor(1) as other:
        # another thread has handles of its own, as another process has
        version = other.submit(write, lake, FIRST, "theirs").result()
    assert ids(lake, FIRST) == ["theirs"]
    assert lake.version("returns", "cases") == version
    assert ids(lake, FIRST, version - 1) == ["mine"]


def test_a_pinned_version_stays_what_it_was(lake: DeltaLake) -> None:
    old = write(lake, FIRST, "old")
    write(lake, FIRST, "new")
    assert (ids(lake, FIRST, old), ids(lake, FIRST), ids(lake, FIRST, old)) == (["old"], ["new"], ["old"])


@pytest.mark.parametrize("further", [0, 1, 3], ids=["behind", "level", "ahead"])
def test_a_backup_that_was_put_back_is_seen(lake: DeltaLake, tmp_path: Path, further: int) -> None:
    """Also where it has gone on by itself to the very version that is open here, or beyond."""
    write(lake, FIRST, "kept")
    shutil.copytree(tmp_path / "lake", tmp_path / "backup")
    write(lake, SECOND, "lost")
    assert ids(lake, SECOND) == ["lost"]
    shutil.rmtree(tmp_path / "lake")
    shutil.copytree(tmp_path / "backup", tmp_path / "lake")
    with ThreadPoolExecutor(1) as other:
        for number in range(further):
            other.submit(write, lake, THIRD, f"since {number}").result()
    assert ids(lake, SECOND) is None
    assert ids(lake, FIRST) == ["kept"]
    assert ids(lake, THIRD) == ([f"since {further - 1}"] if further else None)
    write(lake, SECOND, "again")
    assert ids(lake, SECOND) == ["again"]


def test_a_folder_that_is_gone_is_no_table(lake: DeltaLake, tmp_path: Path) -> None:
    write(lake, FIRST, "a")
    shutil.rmtree(tmp_path / "lake" / "returns" / "cases")
    assert ids(lake, FIRST) is None
    write(lake, FIRST, "b")
    assert ids(lake, FIRST) == ["b"]


def test_no_more_stay_open_than_may(lake: DeltaLake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta, "OPEN_TABLES", 2)
    for asset in ("cases", "scores", "decisions"):
        lake.write_night("returns", asset, FIRST, pa.table({"case_id": [asset]}))
    assert len(delta._OPEN.tables) == 2
    for asset in ("cases", "scores", "decisions"):
        table = lake.read_night("returns", asset, FIRST)
        assert table is not None and table["case_id"].to_pylist() == [asset]


def test_a_tidied_table_is_read_on(lake: DeltaLake) -> None:
    for night in (FIRST, SECOND, THIRD):
        write(lake, night, "old")
        write(lake, night, night)
    lake.tidy("returns", "cases", keep_days=1)
    assert [ids(lake, night) for night in (FIRST, SECOND, THIRD)] == [[FIRST], [SECOND], [THIRD]]
