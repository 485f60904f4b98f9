"""Dagster's event log in batches: the same rows as Dagster's own storage writes, nothing kept back from a reader."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest
from dagster_postgres import DagsterPostgresStorage
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from benchmarks.counting import counted
from resources.dagster_storage import BatchedStorage, event_log
from resources.dagster_storage.event_log import BatchedEventLog
from tests.dagster_internals import create_run_for_test

NIGHTS = dg.DailyPartitionsDefinition("2025-03-01")
NIGHT = "2025-03-02"
DATA_VERSION = "dagster/data_version"
TABLES = {
    "event_logs": "dagster_event_type, step_key, asset_key, partition",
    "asset_keys": "asset_key, last_run_id = '{run}', last_materialization IS NULL, "
    "last_materialization_timestamp IS NULL",
    "asset_event_tags": "asset_key, key, event_id IS NULL, CASE WHEN key LIKE '%data_version%' OR key LIKE '%pointer%' "
    "THEN '' ELSE value END",
    "asset_check_executions": "asset_key, check_name, partition, run_id = '{run}', execution_status, "
    "evaluation_event IS NULL, evaluation_event_storage_id IS NULL, materialization_event_storage_id IS NULL",
}


@dg.asset(partitions_def=NIGHTS)
def cases() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows": 3}, tags={"of": "cases"})


@dg.multi_asset(
    outs={name: dg.AssetOut(is_required=False) for name in ("scores", "reasons")},
    deps=[cases],
    partitions_def=NIGHTS,
    check_specs=[dg.AssetCheckSpec("scored", asset="scores", partitions_def=NIGHTS)],
)
def scoring() -> Iterator[Any]:
    yield dg.MaterializeResult(asset_key="scores")
    yield dg.MaterializeResult(asset_key="reasons")
    yield dg.AssetCheckResult(
        asset_key="scores", check_name="scored", passed=False, severity=dg.AssetCheckSeverity.WARN
    )


@dg.multi_asset_check(specs=[dg.AssetCheckSpec(f"rule_{n}", asset="cases", partitions_def=NIGHTS) for n in range(9)])
def rules() -> Iterator[dg.AssetCheckResult]:
    for n in range(9):
        yield dg.AssetCheckResult(check_name=f"rule_{n}", asset_key="cases", passed=n != 4)


DEFINITIONS = dg.Definitions(
    assets=[cases, scoring], asset_checks=[rules], jobs=[dg.define_asset_job("night", dg.AssetSelection.all())]
)


@contextmanager
def instance(url: str, storage: type = BatchedStorage) -> Iterator[dg.DagsterInstance]:
    of = {"module": storage.__module__, "class": storage.__name__, "config": {"postgres_url": url}}
    with dg.instance_for_test(overrides={"storage": {"custom": of}}) as made:
        yield made


def run(made: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    job = DEFINITIONS.resolve_job_def("night")
    return job.execute_in_process(quiet, partition_key=NIGHT, instance=made, raise_on_error=False)


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def stored(url: str, run_id: str) -> dict[str, Counter[tuple[Any, ...]]]:
    return {
        table: Counter(rows(url, f"SELECT {columns.format(run=run_id)} FROM {table}"))
        for table, columns in TABLES.items()
    }


def tags(made: dg.DagsterInstance, asset_name: str) -> dict[str, str]:
    last = made.fetch_materializations(dg.AssetKey(asset_name), limit=1).records[0].asset_materialization
    assert last is not None
    return dict(last.tags or {})


def log(made: dg.DagsterInstance) -> BatchedEventLog:
    kept = made.event_log_storage
    assert isinstance(kept, BatchedEventLog)
    return kept


def test_a_run_leaves_the_rows_that_dagsters_own_storage_writes(new_database: Callable[[], str]) -> None:
    left = {}
    for storage in (DagsterPostgresStorage, BatchedStorage):
        url = new_database()
        with instance(url, storage) as made:
            run(made)
            again = run(made)
            # what an asset was made of is the version that stands now, not the one of the run before
            of_cases = hashlib.sha256(tags(made, "cases")[DATA_VERSION].encode()).hexdigest()
            assert tags(made, "scores")["dagster/input_data_version/cases"] == of_cases
        left[storage] = stored(url, again.run_id)
        # in the order in which they happened, and each check with the event that says its result
        disordered = (
            "SELECT count(*) FROM event_logs a JOIN event_logs b USING (run_id) "
            "WHERE a.id < b.id AND a.timestamp > b.timestamp AND a.dagster_event_type NOT LIKE '%PLANNED'"
        )
        assert rows(url, disordered) == [(0,)]
        assert rows(
            url,
            "SELECT DISTINCT l.dagster_event_type, l.run_id = c.run_id, c.partition "
            "FROM asset_check_executions c JOIN event_logs l ON l.id = c.evaluation_event_storage_id",
        ) == [("ASSET_CHECK_EVALUATION", True, NIGHT)]
        assert rows(
            url,
            "SELECT DISTINCT l.dagster_event_type, l.asset_key = c.asset_key "
            "FROM asset_check_executions c JOIN event_logs l ON l.id = c.materialization_event_storage_id",
        ) == [("ASSET_MATERIALIZATION", True)]
    mine, theirs = left[BatchedStorage], left[DagsterPostgresStorage]
    for table in TABLES:
        assert mine[table] == theirs[table], table
    assert sum(mine["asset_check_executions"].values()) == 20


def test_it_takes_fewer_statements_and_one_connection(new_database: Callable[[], str]) -> None:
    counts = {}
    for storage in (DagsterPostgresStorage, BatchedStorage):
        with instance(new_database(), storage) as made:
            run(made)
            with counted() as found:
                run(made)
        counts[storage] = found
    assert counts[BatchedStorage]["statements"] * 3 < counts[DagsterPostgresStorage]["statements"]
    # the thread that writes what waited may need its own for the first time
    assert counts[BatchedStorage]["connections"] <= 1
    assert counts[DagsterPostgresStorage]["connections"] > 50


def messages(url: str) -> int:
    return int(rows(url, "SELECT count(*) FROM event_logs WHERE dagster_event_type = 'ENGINE_EVENT'")[0][0])


def test_what_only_tells_waits_for_a_reader(new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "WAITS_SECONDS", 3600)
    url = new_database()
    with instance(url) as made:
        made_run = create_run_for_test(made, "some")
        made.report_engine_event("something", made_run)
        assert messages(url) == 0
        assert [entry.dagster_event_type for entry in made.all_logs(made_run.run_id)] == [
            dg.DagsterEventType.ENGINE_EVENT
        ]
        assert messages(url) == 1
        made.report_engine_event("something more", made_run)
        made.report_run_failed(made_run)
        assert messages(url) == 2
        made.report_engine_event("the last thing", made_run)
    assert messages(url) == 3


def test_it_waits_a_second_at_most(new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    written = threading.Event()
    write = BatchedEventLog._write

    def watched(self: BatchedEventLog, events: Any) -> None:
        write(self, events)
        written.set()

    url = new_database()
    with instance(url) as made:
        made_run = create_run_for_test(made, "some")
        monkeypatch.setattr(BatchedEventLog, "_write", watched)
        made.report_engine_event("something", made_run)
        assert written.wait(60)
        assert messages(url) == 1


def test_what_could_not_be_written_is_written_later_and_once(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "WAITS_SECONDS", 3600)
    url = new_database()
    with instance(url) as made:
        made_run = create_run_for_test(made, "some")
        made.report_engine_event("something", made_run)
        rows_before = messages(url)
        lock = create_engine(url, poolclass=NullPool)
        with lock.begin() as connection:
            connection.execute(text("ALTER TABLE event_logs RENAME TO gone"))
        with pytest.raises(Exception, match="event_logs"):
            made.report_run_failed(made_run)
        with lock.begin() as connection:
            connection.execute(text("ALTER TABLE gone RENAME TO event_logs"))
        made.report_run_failed(made_run)
        types = [entry.dagster_event_type for entry in made.all_logs(made_run.run_id)]
        assert (rows_before, messages(url)) == (0, 1)
        assert types == [dg.DagsterEventType.ENGINE_EVENT, dg.DagsterEventType.RUN_FAILURE]


def test_what_is_remembered_within_a_run_is_asked_anew_once_the_asset_is_made_again(
    new_database: Callable[[], str],
) -> None:
    url = new_database()
    with instance(url) as made, instance(url) as other:

        def last(of: dg.DagsterInstance = made) -> int:
            asked = dg.AssetRecordsFilter(dg.AssetKey("cases"), asset_partitions=[NIGHT])
            return of.fetch_materializations(asked, limit=1).records[0].storage_id

        run(made)
        first = last()
        # nothing runs: whoever else makes the asset is seen at once
        run(other)
        second = last()
        assert second > first
        log(made)._running.add("a run")
        assert last() == second
        with counted() as found:
            assert last() == second
        assert found["statements"] == 0
        made.report_runless_asset_event(dg.AssetMaterialization("cases", partition=NIGHT))
        third = last()
        assert third > second
        log(made)._running.clear()
        run(made)
        assert last() > third
        assert log(made)._known == {}


def test_an_asset_that_was_wiped_is_gone_at_once(new_database: Callable[[], str]) -> None:
    with instance(new_database()) as made:
        run(made)
        log(made)._running.add("a run")
        assert made.fetch_materializations(dg.AssetKey("cases"), limit=1).records
        made.wipe_assets([dg.AssetKey("cases")])
        assert not made.fetch_materializations(dg.AssetKey("cases"), limit=1).records


def test_a_server_that_was_restarted_is_no_error(new_database: Callable[[], str], postgres_server: str) -> None:
    url = new_database()
    with instance(url) as made:
        run(made)
        name = url.rpartition("/")[2].partition("?")[0]
        ended = rows(
            postgres_server, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        assert ended
        assert run(made).run_id


def test_a_forked_child_has_connections_of_its_own_and_writes_nothing_of_its_parents(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "WAITS_SECONDS", 3600)
    url = new_database()
    with instance(url) as made:
        run(made)
        before = messages(url)
        made.report_engine_event("something", create_run_for_test(made, "some"))
        engine: Any = log(made)._engine
        with engine.connect() as connection:
            mine = connection.scalar(text("SELECT pg_backend_pid()"))
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            log(made).flush()
            with engine.connect() as connection:
                os.write(write, str(connection.scalar(text("SELECT pg_backend_pid()"))).encode())
            os._exit(0)
        os.waitpid(child, 0)
        assert int(os.read(read, 20)) != mine
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT pg_backend_pid()")) == mine
        assert messages(url) == before
        log(made).flush()
        assert messages(url) == before + 1
