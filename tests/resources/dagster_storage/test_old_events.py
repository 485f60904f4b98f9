"""What the event log loses: what steps told of themselves, long after their run ended; never what a night hangs on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from dagster import DagsterEventType
from sqlalchemy import text

from resources.dagster_storage import BatchedStorage
from resources.dagster_storage.old_events import ended_runs, old_rows, remove_old_rows
from resources.postgres.databases import engine_of

NOW = datetime.now(UTC)
STEP, MADE, PLANNED = (
    DagsterEventType.STEP_OUTPUT.value,
    DagsterEventType.ASSET_MATERIALIZATION.value,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value,
)
KEPT = {
    MADE, DagsterEventType.ASSET_OBSERVATION.value, DagsterEventType.STEP_FAILURE.value,
    DagsterEventType.RUN_START.value, DagsterEventType.RUN_SUCCESS.value, DagsterEventType.RUN_FAILURE.value,
}  # fmt: skip
#: By run: its status, and how many days ago it ended.
RUNS = {"went": ("SUCCESS", 10), "failed": ("FAILURE", 10), "young": ("SUCCESS", 2), "runs": ("STARTED", None)}


@pytest.fixture
def log(new_database: Callable[[], str]) -> str:
    url = new_database()
    BatchedStorage(url)
    types = [STEP, DagsterEventType.ENGINE_EVENT.value, None, PLANNED, *sorted(KEPT)]
    with engine_of(url).begin() as connection:
        for run, (status, days) in RUNS.items():
            end = None if days is None else (NOW - timedelta(days=days)).timestamp()
            connection.execute(
                text(
                    "INSERT INTO runs (run_id, pipeline_name, status, run_body, end_time) VALUES (:r, 'j', :s, '', :e)"
                ),
                {"r": run, "s": status, "e": end},
            )
            for kind in types:
                connection.execute(
                    text(
                        "INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp) "
                        "VALUES (:r, '12345', :k, now())"
                    ),
                    {"r": run, "k": kind},
                )
            connection.execute(
                text("INSERT INTO asset_check_executions (asset_key, check_name, run_id) VALUES ('a', 'c', :r)"),
                {"r": run},
            )
    return url


def types_of(url: str, run: str) -> set[str | None]:
    with engine_of(url).connect() as connection:
        return set(connection.scalars(text("SELECT dagster_event_type FROM event_logs WHERE run_id = :r"), {"r": run}))


def test_steps_of_ended_runs_go_and_what_a_night_hangs_on_stays(log: str) -> None:
    before = NOW - timedelta(days=5)
    counted = old_rows(log, before)
    assert [(old.table, old.rows) for old in counted] == [("event_logs", 7), ("asset_check_executions", 2)]
    assert counted[0].size == 7 * 5
    everything = types_of(log, "runs")

    assert remove_old_rows(log, before) == counted
    assert types_of(log, "went") == KEPT
    # of a run that failed it is still said what it was to make
    assert types_of(log, "failed") == {*KEPT, PLANNED}
    assert types_of(log, "young") == types_of(log, "runs") == everything
    with engine_of(log).connect() as connection:
        checks = list(connection.scalars(text("SELECT run_id FROM asset_check_executions ORDER BY id")))
    assert checks == ["young", "runs"]
    assert remove_old_rows(log, before) == []
    assert ended_runs(log, before) == {"went", "failed"}


def test_the_last_word_of_a_check_stays_however_old_it_is(log: str) -> None:
    with engine_of(log).begin() as connection:
        connection.execute(text("DELETE FROM asset_check_executions WHERE run_id IN ('young', 'runs')"))
    assert [old.rows for old in remove_old_rows(log, NOW)] == [11, 1]


def test_a_database_without_tables_has_nothing_to_lose(new_database: Callable[[], str]) -> None:
    url = new_database()
    assert remove_old_rows(url, NOW) == [] and ended_runs(url, NOW) == set()
