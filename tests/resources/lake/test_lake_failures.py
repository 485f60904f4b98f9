"""Writers that fail, die or meet: the night before stands, and nobody's night is lost."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline_project.domain.core.errors import LakeUnavailable
from resources.lake import delta
from resources.lake.delta import DeltaStore
from resources.lake.lake import DeltaLake
from tests.present import present

FIRST, SECOND = "2024-03-01", "2024-03-02"
ROOT = Path(__file__).parents[3]


def cases(*ids: str) -> pa.Table:
    return pa.table({"case_id": pa.array(ids, pa.string())})


def ids(table: pa.Table | None) -> list[str]:
    assert table is not None
    return table["case_id"].to_pylist()


@pytest.fixture
def lake(tmp_path: Path) -> DeltaLake:
    return DeltaLake(str(tmp_path / "lake"))


def in_process(code: str, lake: DeltaLake, *arguments: str) -> subprocess.Popen[str]:
    """Runs code that finds the lake in `lake` and `cases`, in a process of its own."""
    head = """
        import sys
        import pyarrow as pa
        from resources.lake.lake import DeltaLake
        lake = DeltaLake(sys.argv[1])
        cases = lambda *ids: pa.table({"case_id": pa.array(ids, pa.string())})
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(code), lake.store.url, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def meet_once(monkeypatch: pytest.MonkeyPatch, other: Callable[[], object]) -> None:
    """Lets `other` commit between the first writer's file and its commit."""
    add_file = DeltaStore.add_file
    met: list[bool] = []

    def interrupted(store: DeltaStore, *arguments: object, **options: object) -> object:
        added = add_file(store, *arguments, **options)  # type: ignore[arg-type]
        if not met:
            met.append(True)
            other()
        return added

    monkeypatch.setattr(DeltaStore, "add_file", interrupted)


def test_a_write_that_fails_midway_leaves_the_night_as_it_was(lake: DeltaLake, monkeypatch: pytest.MonkeyPatch) -> None:
    version = lake.write_night("returns", "cases", FIRST, cases("old"))

    def pulled_the_plug(*_: object, **__: object) -> None:
        raise RuntimeError("between the file and the commit")

    monkeypatch.setattr("deltalake.DeltaTable.create_write_transaction", pulled_the_plug)
    with pytest.raises(RuntimeError):
        lake.write_night("returns", "cases", FIRST, cases("new"))
    assert ids(lake.read_night("returns", "cases", FIRST)) == ["old"]
    assert lake.version("returns", "cases") == version


def test_another_nights_commit_in_between_is_no_conflict(lake: DeltaLake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.write_night("returns", "cases", FIRST, cases("old"))
    meet_once(monkeypatch, lambda: lake.write_night("returns", "cases", SECOND, cases("other")))
    version = lake.write_night("returns", "cases", FIRST, cases("mine"))
    assert ids(lake.read_night("returns", "cases", FIRST, version=version)) == ["mine"]
    assert ids(lake.read_night("returns", "cases", SECOND)) == ["other"]
    assert version == 3


def test_a_conflict_is_tried_again_after_a_growing_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    store = DeltaStore(str(tmp_path / "lake"), sleep=waited.append, jitter=lambda: 0.5)
    lake = DeltaLake("", store=store)
    lake.write_night("returns", "cases", FIRST, cases("old"))
    meet_once(monkeypatch, lambda: lake.write_night("returns", "cases", FIRST, cases("theirs", "too")))
    lake.write_night("returns", "cases", FIRST, cases("mine"))
    assert ids(lake.read_night("returns", "cases", FIRST)) == ["mine"]
    assert waited == [0.01]


@pytest.mark.parametrize("before", [None, SECOND], ids=["a new table", "a new night"])
def test_two_writers_of_a_night_never_written_do_not_both_stay(
    lake: DeltaLake, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    if before:
        lake.write_night("returns", "cases", before, cases("other"))
    meet_once(monkeypatch, lambda: lake.write_night("returns", "cases", FIRST, cases("theirs", "too")))
    lake.write_night("returns", "cases", FIRST, cases("mine"))
    assert ids(lake.read_night("returns", "cases", FIRST)) == ["mine"]


def test_waits_double_and_end(tmp_path: Path) -> None:
    from deltalake.exceptions import CommitFailedError

    waited: list[float] = []
    store = DeltaStore(str(tmp_path), attempts=4, sleep=waited.append, jitter=lambda: 1.0)

    def never(_: object) -> None:
        raise CommitFailedError("somebody else was first")

    with pytest.raises(LakeUnavailable, match="4 times in a row"):
        store.commit(store.uri("t"), never)
    assert waited == [0.02, 0.04, 0.08, 0.16]


def test_a_schema_that_changed_meanwhile_is_seen(lake: DeltaLake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.write_night("returns", "cases", FIRST, cases("old"))
    wider = pa.table({"case_id": ["theirs"], "extra": [1]})
    meet_once(monkeypatch, lambda: lake.write_night("returns", "cases", SECOND, wider, evolve=True))
    lake.write_night("returns", "cases", FIRST, cases("mine"), evolve=True)
    assert present(lake.read_night("returns", "cases", FIRST)).to_pydict() == {
        "night": [FIRST],
        "case_id": ["mine"],
        "extra": [None],
    }


def test_threads_writing_nights_of_a_new_table_all_land(lake: DeltaLake) -> None:
    problems: list[BaseException] = []

    def write(thread: int) -> None:
        try:
            for day in range(1, 6):
                lake.write_night(
                    "returns", "cases", f"2024-{thread:02}-{day:02}", cases(*[f"{thread}-{day}"] * (day - 1))
                )
        except BaseException as error:  # noqa: BLE001
            problems.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert lake.nights("returns", "cases") == {f"2024-{t:02}-{d:02}" for t in range(1, 5) for d in range(1, 6)}
    assert present(lake.read_span("returns", "cases", None, "2025-01-01")).num_rows == 4 * (0 + 1 + 2 + 3 + 4)


def test_threads_writing_one_night_leave_one_of_them_whole(lake: DeltaLake) -> None:
    def write(thread: int) -> None:
        for _ in range(3):
            lake.write_night("returns", "cases", FIRST, cases(*[str(thread)] * thread))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = ids(lake.read_night("returns", "cases", FIRST))
    assert len(read) == int(read[0]) and len(set(read)) == 1
    assert len([commit for commit in lake.history("returns", "cases") if commit.night == FIRST]) == 9


def test_processes_writing_different_nights_both_land(lake: DeltaLake) -> None:
    code = """
        for day in range(1, 9):
            lake.write_night("returns", "cases", f"2024-{sys.argv[2]}-{day:02}", cases(sys.argv[2]))
    """
    writers = [in_process(code, lake, month) for month in ("01", "02")]
    for writer in writers:
        _, said = writer.communicate(timeout=600)
        assert writer.returncode == 0, said
    assert len(lake.nights("returns", "cases")) == 16
    assert sorted(set(ids(lake.read_span("returns", "cases", None, "2025-01-01")))) == ["01", "02"]


def test_a_writer_killed_at_work_leaves_a_readable_table(lake: DeltaLake) -> None:
    lake.write_night("returns", "cases", FIRST, cases("old"))
    code = """
        print("ready", flush=True)
        k = 0
        while True:
            k += 1
            lake.write_night("returns", "cases", sys.argv[2], cases(*[str(k)] * 3000))
    """
    for attempt in range(3):
        night = f"2024-04-0{attempt + 1}"
        writer = in_process(code, lake, night)
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
        while lake.read_night("returns", "cases", night) is None:
            threading.Event().wait(0.002)
        threading.Event().wait(0.017 * attempt)
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate(timeout=600)
        killed = ids(lake.read_night("returns", "cases", night))
        assert len(killed) == 3000 and len(set(killed)) == 1
        assert ids(lake.read_night("returns", "cases", FIRST)) == ["old"]
        lake.write_night("returns", "cases", night, cases("after"))
        assert ids(lake.read_night("returns", "cases", night)) == ["after"]


def test_a_writer_killed_before_its_commit_is_not_seen_and_its_file_goes(lake: DeltaLake) -> None:
    lake.write_night("returns", "cases", FIRST, cases("old"))
    code = """
        import os, signal
        import deltalake
        deltalake.DeltaTable.create_write_transaction = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
        lake.write_night("returns", "cases", "2024-03-01", cases("half"))
    """
    writer = in_process(code, lake)
    writer.communicate(timeout=600)
    assert writer.returncode == -signal.SIGKILL
    folder = Path(lake.uri("returns", "cases")) / f"night={FIRST}"
    assert len(list(folder.iterdir())) == 2
    assert ids(lake.read_night("returns", "cases", FIRST)) == ["old"]
    long_ago = 1_600_000_000
    for file in folder.iterdir():
        os.utime(file, (long_ago, long_ago))
    lake.tidy("returns", "cases", keep_days=1)
    assert len(list(folder.iterdir())) == 1
    assert ids(lake.read_night("returns", "cases", FIRST)) == ["old"]


def test_no_room_says_so_and_the_night_is_as_it_was(lake: DeltaLake) -> None:
    lake.write_night("returns", "cases", FIRST, cases("old"))
    code = """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
        try:
            lake.write_night("returns", "cases", "2024-03-01", cases(*[str(i * 7919) for i in range(50_000)]))
        except Exception as error:
            print(type(error).__name__, error)
    """
    said, error = in_process(code, lake).communicate(timeout=600)
    assert said.startswith("LakeUnavailable"), said + error
    assert lake.uri("returns", "cases") in said
    assert "no room left" in said
    assert ids(lake.read_night("returns", "cases", FIRST)) == ["old"]
    lake.write_night("returns", "cases", FIRST, cases("new"))
    assert ids(lake.read_night("returns", "cases", FIRST)) == ["new"]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "no room left"),
        (errno.EDQUOT, "no room left"),
        (errno.EACCES, "this user may not"),
        (errno.EROFS, "this user may not"),
        (errno.ECONNREFUSED, "check PIPELINE_LAKE_URL"),
    ],
)
def test_what_the_disk_says_becomes_advice(
    lake: DeltaLake, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    from deltalake.exceptions import DeltaError

    lake.write_night("returns", "cases", FIRST, cases("old"))

    def refused(*_: object, **__: object) -> None:
        raise DeltaError(f"Generic LocalFileSystem error: Unable to copy data to file: x (os error {number})")

    monkeypatch.setattr("deltalake.DeltaTable.create_write_transaction", refused)
    with pytest.raises(LakeUnavailable, match=advice) as raised:
        lake.write_night("returns", "cases", FIRST, cases("new"))
    assert lake.uri("returns", "cases") in str(raised.value)
    assert ids(lake.read_night("returns", "cases", FIRST)) == ["old"]


def test_a_lake_that_cannot_be_a_folder_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    lake = DeltaLake(str(tmp_path / "file"))
    with pytest.raises(LakeUnavailable, match="this user may not"):
        lake.write_night("returns", "cases", FIRST, cases("a"))
    with pytest.raises(LakeUnavailable, match="this user may not"):
        lake.read_night("returns", "cases", FIRST)


def test_the_error_of_a_store_is_short_and_plain() -> None:
    loud = "\x1b[31mKernel error\x1b[0m\n" + "\n".join(f"   {i}: <unknown>" for i in range(40))
    with pytest.raises(LakeUnavailable) as raised, delta.reachable("s3://bucket/t", "read"):
        raise OSError(loud)
    assert "\x1b" not in str(raised.value)
    assert "<unknown>" not in str(raised.value).replace("0: <unknown> 1: <unknown>", "")


def test_tidy_deletes_only_what_is_old_enough(lake: DeltaLake, tmp_path: Path) -> None:
    old = lake.write_night("returns", "cases", FIRST, cases("old"))
    lake.write_night("returns", "cases", FIRST, cases("new"), note={"spec_hash": "abc"})
    lake.tidy("returns", "cases", keep_days=30)
    assert ids(lake.read_night("returns", "cases", FIRST, version=old)) == ["old"]
    assert lake.last_note("returns", "cases") == {"spec_hash": "abc"}
    with pytest.raises(ValueError, match="at least 1 day"):
        lake.tidy("returns", "cases", keep_days=0)


def test_a_version_that_was_tidied_away_says_so(lake: DeltaLake) -> None:
    old = lake.write_night("returns", "cases", FIRST, cases("old"))
    for file in (Path(lake.uri("returns", "cases")) / f"night={FIRST}").iterdir():
        file.unlink()
    lake.write_night("returns", "cases", FIRST, cases("new"))
    with pytest.raises(LakeUnavailable, match=f"version {old} of .*tidy"):
        lake.read_night("returns", "cases", FIRST, version=old)
    assert ids(lake.read_night("returns", "cases", FIRST)) == ["new"]
