"""Runs whose process is gone with its code server are known to be dead, and only those."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster import DagsterRun, DagsterRunStatus, instance_for_test

from pipeline_project.dagster_internals import GRPC_INFO_TAG, WorkerStatus
from pipeline_project.dagster_internals.code_server import carries_out
from resources.run_workers.launching import WatchedRunLauncher
from tests.dagster_internals import create_run_for_test, monitor_started_run

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def server() -> Iterator[tuple[str, socket.socket]]:
    """Where a code server listens; sockets have short names, and pytest's folders long ones."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
        path = f"{folder}/server"
        listening.bind(path)
        listening.listen()
        yield path, listening


def run_at(**address: object) -> DagsterRun:
    return DagsterRun(job_name="nightly", tags={GRPC_INFO_TAG: json.dumps({"host": "localhost", **address})})


def health(run: DagsterRun) -> WorkerStatus:
    return WatchedRunLauncher().check_run_worker_health(run).status


def test_a_run_lives_as_long_as_its_code_server_listens(server: tuple[str, socket.socket]) -> None:
    path, listening = server
    assert health(run_at(socket=path)) is WorkerStatus.RUNNING
    listening.close()
    assert health(run_at(socket=path)) is WorkerStatus.NOT_FOUND, "the file is left, and nobody listens"
    Path(path).unlink()
    assert health(run_at(socket=path)) is WorkerStatus.NOT_FOUND


@pytest.mark.parametrize(
    ("answer", "status"),
    [(True, WorkerStatus.RUNNING), (False, WorkerStatus.NOT_FOUND), (None, WorkerStatus.RUNNING)],
    ids=["it carries the run out", "it was started again without it", "it does not say"],
)
def test_the_same_of_a_code_server_at_a_port_where_the_next_one_may_listen(
    answer: bool | None, status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tests/integration/test_drained.py` asks a real one."""
    asked: list[tuple[int, str]] = []

    def told(address: dict[str, int], run_id: str, _: int) -> bool | None:
        asked.append((address["port"], run_id))
        return answer

    monkeypatch.setattr("pipeline_project.dagster_internals.code_server.carries_out", told)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        run = run_at(port=port, host="127.0.0.1")
        assert health(run) is status
    assert asked == [(port, run.run_id)]
    assert health(run) is WorkerStatus.NOT_FOUND


def test_what_listens_and_is_no_code_server_says_nothing_of_a_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert carries_out({"host": "127.0.0.1", "port": listening.getsockname()[1]}, "a run", 1) is None


def test_a_name_that_is_not_found_for_now_is_not_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr("resources.run_workers.launching.socket.create_connection", lost)
    monkeypatch.setattr("pipeline_project.dagster_internals.code_server.carries_out", lambda *_: None)
    assert health(run_at(port=1, host="code")) is WorkerStatus.RUNNING


def test_a_server_that_does_not_take_a_connection_in_time_is_not_dead(
    server: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("resources.run_workers.launching.socket.create_connection", slow)
    monkeypatch.setattr("pipeline_project.dagster_internals.code_server.carries_out", lambda *_: None)
    assert health(run_at(port=1)) is WorkerStatus.RUNNING


def test_a_run_that_a_command_executes_is_left_to_the_commands() -> None:
    assert health(DagsterRun(job_name="nightly")) is WorkerStatus.RUNNING


def test_the_instance_has_this_launcher_and_the_monitor_ends_a_dead_run(monkeypatch: pytest.MonkeyPatch) -> None:
    # a run that was left to no worker is not looked for there
    monkeypatch.setenv("PIPELINE_DAGSTER_POSTGRES_URL", "postgresql://nobody@nowhere/none")
    said = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    overrides = {"run_launcher": said["run_launcher"], "run_monitoring": said["run_monitoring"]}
    with instance_for_test(overrides=overrides) as instance:
        run = create_run_for_test(
            instance, "nightly", tags={GRPC_INFO_TAG: json.dumps({"socket": "/gone"})}, status=DagsterRunStatus.STARTED
        )
        record = instance.get_run_record_by_id(run.run_id)
        assert record is not None
        monitor_started_run(instance, None, record, dg.get_dagster_logger())  # type: ignore[arg-type]
        ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is DagsterRunStatus.FAILURE
