"""The lake in an object store: no lock table, two writers at once, and what a store does that is not well."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pyarrow as pa
import pytest

from pipeline_project.domain.core.errors import LakeRefused, LakeUnavailable
from resources.lake import delta
from resources.lake.delta import DeltaStore
from resources.lake.lake import DeltaLake
from tests.s3_server import S3Process

#: What a host does: waits until it is told to, writes its nights, and those of both.
HOST = """
import sys
import pyarrow as pa
from resources.lake.lake import DeltaLake
url, host, *nights = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
for night in nights:
    rows = pa.table({"case_id": [f"{host}{number}" for number in range(3)]})
    DeltaLake(url).write_night("returns", "cases", night, rows, note={"host": host})
"""
MINE = {"a": [f"2025-03-{day:02}" for day in range(1, 6)], "b": [f"2025-04-{day:02}" for day in range(1, 6)]}
BOTH = ["2025-05-01", "2025-05-02", "2025-05-03"]


@pytest.fixture
def lake(s3_process: S3Process) -> Iterator[DeltaLake]:
    yield DeltaLake(f"{s3_process.bucket()}/house/lake")


def rows(*cases: str) -> pa.Table:
    return pa.table({"case_id": list(cases)})


def test_two_hosts_write_to_one_table_and_nothing_is_lost(lake: DeltaLake, s3_process: S3Process) -> None:
    hosts = [
        subprocess.Popen(
            [sys.executable, "-c", HOST, lake.store.url, host, *nights, *BOTH],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for host, nights in MINE.items()
    ]  # fmt: skip
    for host in hosts:
        assert host.stdout is not None and host.stdout.readline() == "ready\n"
    for host in hosts:
        assert host.stdin is not None
        host.stdin.write("go\n")
        host.stdin.flush()
    told = [host.communicate(timeout=300)[1] for host in hosts]
    assert [host.returncode for host in hosts] == [0, 0], told

    assert lake.nights("returns", "cases") == {*MINE["a"], *MINE["b"], *BOTH}
    for name, nights in MINE.items():
        for night in nights:
            stored = lake.read_night("returns", "cases", night)
            assert stored is not None and stored["case_id"].to_pylist() == [f"{name}{number}" for number in range(3)]
    # each of the shared nights is whole, of whoever wrote it last
    commits = [commit for commit in lake.history("returns", "cases") if commit.night is not None]
    for night in BOTH:
        stored = lake.read_night("returns", "cases", night)
        assert stored is not None and len(stored) == 3 and len({case[0] for case in stored["case_id"].to_pylist()}) == 1
        last = max((commit for commit in commits if commit.night == night), key=lambda commit: commit.version)
        assert stored["case_id"][0].as_py()[0] == last.note["host"]
    # every writing has a version of its own: none took another's place in the log
    assert len({commit.version for commit in commits}) == len(commits) == 2 * (5 + len(BOTH))
    written = [
        condition for method, path, condition in s3_process.refuse() if method == "PUT" and "_delta_log/0" in path
    ]
    assert written and set(written) == {"*"}, "each commit is created, never put over another one"


def test_a_store_that_is_told_not_to_check_conditions_is_no_lake(
    s3_process: S3Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without them the commit of one host would silently take the place of another's."""
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
    with pytest.raises(LakeUnavailable, match="AWS_CONDITIONAL_PUT"):
        DeltaLake(f"{s3_process.bucket()}/lake").write_night("returns", "cases", "2025-03-01", rows("C1"))


def test_a_store_that_fails_for_a_while_is_asked_again(lake: DeltaLake, s3_process: S3Process) -> None:
    s3_process.refuse("503 Slow Down", "SlowDown", times=2)
    lake.write_night("returns", "cases", "2025-03-01", rows("C1"))
    s3_process.refuse("500 Internal Server Error", "InternalError", times=2)
    stored = lake.read_night("returns", "cases", "2025-03-01")
    assert stored is not None and stored["case_id"].to_pylist() == ["C1"]


REFUSALS = [
    ("403 Forbidden", "AccessDenied", "may not .403 AccessDenied."),
    ("400 Bad Request", "ExpiredToken", "have expired.*renew"),
    ("403 Forbidden", "InvalidAccessKeyId", "does not know these credentials"),
    ("507 Insufficient Storage", "QuotaExceeded", "no room is left.*quota"),
    ("503 Slow Down", "SlowDown", "come back later"),
]


@pytest.mark.parametrize(("status", "code", "words"), REFUSALS)
def test_what_a_store_refuses_says_what_to_do_and_changes_nothing(
    lake: DeltaLake, s3_process: S3Process, status: str, code: str, words: str
) -> None:
    lake.write_night("returns", "cases", "2025-03-01", rows("C1"))
    hasty = DeltaLake("", store=DeltaStore(lake.store.url, {"max_retries": "1", "retry_timeout": "2s"}))
    s3_process.refuse(status, code)
    with pytest.raises(LakeUnavailable, match=words) as told:
        hasty.write_night("returns", "cases", "2025-03-01", rows("C2"))
    assert isinstance(told.value, LakeRefused) is status.startswith(("400", "403")), "these wait for a person"
    s3_process.refuse()
    stored = lake.read_night("returns", "cases", "2025-03-01")
    assert stored is not None and stored["case_id"].to_pylist() == ["C1"]
    # with the store well again the night is written as if nothing had been
    lake.write_night("returns", "cases", "2025-03-01", rows("C3"))
    again = lake.read_night("returns", "cases", "2025-03-01")
    assert again is not None and again["case_id"].to_pylist() == ["C3"]


def test_a_slow_store_is_not_waited_for(lake: DeltaLake) -> None:
    store = DeltaStore("s3://slow/lake", {"timeout": "1ms", "connect_timeout": "1s", "max_retries": "1"})
    with pytest.raises(LakeUnavailable, match="did not answer whole and in time"):
        DeltaLake("", store=store).nights("returns", "cases")


@pytest.mark.parametrize("after", range(0, 24, 2))
def test_whenever_a_store_stops_letting_in_a_reader_is_told(lake: DeltaLake, s3_process: S3Process, after: int) -> None:
    """What a table is asked for it may have to fetch, at whatever moment."""
    lake.write_night("returns", "cases", "2025-03-01", rows("C1"))
    delta._OPEN.tables.clear()
    s3_process.refuse("400 Bad Request", "ExpiredToken", after=after)
    reads = (
        lambda: lake.nights("returns", "cases"),
        lambda: lake.read_night("returns", "cases", "2025-03-01"),
        lambda: lake.read_span("returns", "cases", None, "2026-01-01"),
        lambda: lake.content("returns", "cases", "2025-03-01"),
        lambda: lake.history("returns", "cases"),
    )
    told = []
    for read in reads:
        try:
            read()
        except LakeRefused as error:
            told.append(str(error))
    assert told and all("have expired" in words for words in told)
