"""`pipeline up` for real: the daemon carries out a backfill asked for over GraphQL, and Ctrl-C ends everything."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from resources.postgres.databases import close_idle
from resources.postgres.embedded import EmbeddedServer
from tests.integration import shop
from tests.integration.house import ROOT, House
from tests.integration.test_bad_nights import NO_MODEL, _with_many_refused

NIGHTS = [shop.night(offset) for offset in range(3)]
LAUNCH = """mutation($wanted: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $wanted) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
#: Comes with most of its rows unreadable.
BAD = shop.night(3)
RUN = """mutation($wanted: ExecutionParams!) { launchPipelineExecution(executionParams: $wanted) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
AGAIN = """mutation($wanted: ReexecutionParams!) { launchPipelineReexecution(reexecutionParams: $wanted) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
ENDED = """query($id: ID!) { runOrError(runId: $id) { ... on Run { status tags { key value } } } }"""
STATUS = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status error { message } } ... on PythonError { message } } }"""


@dataclass
class Up:
    """A house with `pipeline up` running in it."""

    house: House
    process: subprocess.Popen[str]
    port: int

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            found = json.load(answer)
        assert "errors" not in found, found
        data: dict[str, Any] = found["data"]
        return data

    def logs(self) -> str:
        files = sorted((self.house.home / "logs").glob("*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-3000:]}" for file in files)


def _until(what: str, ready: Callable[[], Any], up: Up, still: float = 300) -> Any:
    """What `ready` says once it says anything; with the logs once no service has written anything for `still` seconds.

    A slow machine takes its time, and goes on; only what stands still has failed.
    """
    written, moved = up.logs(), time.monotonic()
    while time.monotonic() < moved + still:
        if found := ready():
            return found
        assert up.process.poll() is None, f"`pipeline up` ended while waiting for {what}\n{up.logs()}"
        if written != (written := up.logs()):
            moved = time.monotonic()
        time.sleep(0.5)
    raise AssertionError(f"{what}: nothing was written for {still} seconds\n{up.logs()}")


def _answers(up: Up) -> bool:
    try:
        return bool(up.ask("{ version }"))
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    # short, so that the embedded server's socket fits, and outside of pytest's closed folders
    home = Path(tempfile.mkdtemp(prefix="pipeline-up-"))
    house = House("upstairs", home, None)
    house.declare(**NO_MODEL)
    shop.drop_nights(house.folder, NIGHTS, count=6)
    options = ("--port", "--mlflow-port", "--reports-port", "--desk-port", "--shop-port")
    ports = _free_ports(len(options))
    words = ["up", *(word for option, port in zip(options, ports, strict=True) for word in (option, str(port)))]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline_project.cli", *words],
        env={**kept, **house.environ}, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    running = Up(house, process, ports[0])
    try:
        _until("the webserver", lambda: _answers(running), running)
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(600)
        EmbeddedServer(home / "postgres").stop()
        shutil.rmtree(home)


@pytest.fixture(scope="module")
def backfilled(up: Up) -> Up:
    """Three nights, asked for in one backfill of the nightly job, as the UI does."""
    job = f"{up.house.name}_nightly"
    wanted = {
        "selector": {
            "repositorySelector": {
                "repositoryName": "__repository__",
                "repositoryLocationName": "pipeline_project",
            },
            "partitionSetName": f"{job}_partition_set",
        },
        "partitionNames": NIGHTS,
    }
    launched = up.ask(LAUNCH, wanted=wanted)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched

    def over() -> str | None:
        found = up.ask(STATUS, id=launched["backfillId"])["partitionBackfillOrError"]
        status = str(found["status"])
        return status if status.startswith(("COMPLETED", "FAILED", "CANCELED")) else None

    assert _until("the backfill", over, up) == "COMPLETED_SUCCESS", up.logs()
    return up


def test_the_daemon_carries_a_backfill_out(backfilled: Up) -> None:
    for night in NIGHTS:
        assert len(backfilled.house.decisions(night)) == 6, night
        assert len(backfilled.house.table("decisions", night) or []) == 6, night
        assert night in backfilled.house.page(night)


def test_the_ui_knows_partitions_and_groups(backfilled: Up) -> None:
    query = """query($key: [String!]!) { assetNodeOrError(assetKey: {path: $key}) { ... on AssetNode {
      groupName kinds owners { ... on TeamAssetOwner { team } }
      assetPartitionStatuses { ... on TimePartitionStatuses { ranges { startKey endKey status } } } } } }"""
    node = backfilled.ask(query, key=[backfilled.house.name, "decisions"])["assetNodeOrError"]
    assert node["groupName"] == backfilled.house.name
    assert node["owners"] == [{"team": "claims-desk"}]
    assert {"deltalake", "postgres"} <= set(node["kinds"])
    ranges = node["assetPartitionStatuses"]["ranges"]
    assert [(r["startKey"], r["endKey"], r["status"]) for r in ranges] == [(NIGHTS[0], NIGHTS[-1], "MATERIALIZED")]


def test_the_checks_of_a_night_are_stored_for_that_night(backfilled: Up) -> None:
    for asset_name, name in (
        ("cases", "night_is_sound"),
        ("cases", "nothing_vanished"),
        ("decisions", "decisions_contract"),
    ):
        for night in NIGHTS:
            assert backfilled.house.checks(asset_name, night).get(name) is True, (night, name)


def _launched(up: Up, query: str, wanted: dict[str, Any]) -> str:
    """The id of a run that the UI's own mutation launches."""
    (answer,) = up.ask(query, wanted=wanted).values()
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return str(answer["run"]["runId"])


def _ended(up: Up, run: str) -> tuple[str, dict[str, str]]:
    """How a run ended, and its tags."""

    def over() -> dict[str, Any] | None:
        found: dict[str, Any] = up.ask(ENDED, id=run)["runOrError"]
        return found if found["status"] in ("SUCCESS", "FAILURE", "CANCELED") else None

    found = _until(f"run {run}", over, up)
    return str(found["status"]), {tag["key"]: tag["value"] for tag in found["tags"]}


def _of(up: Up, job: str, *asset_names: str) -> dict[str, Any]:
    """What the UI sends to launch a job, or assets without their checks, for the bad night."""
    selected = {
        "assetSelection": [{"path": [up.house.name, asset_name]} for asset_name in asset_names],
        "assetCheckSelection": [],
    }
    return {
        "selector": {
            "repositoryName": "__repository__",
            "repositoryLocationName": "pipeline_project",
            "pipelineName": job,
            **(selected if asset_names else {}),
        },
        "mode": "default",
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": BAD}]},
    }


def test_a_blocked_night_stays_blocked_whatever_the_ui_launches(backfilled: Up) -> None:
    up, house = backfilled, backfilled.house
    shop.drop_nights(house.folder, [BAD], count=8)
    _with_many_refused(house.folder / "in" / "claims" / f"{BAD}.csv")
    failed = _launched(up, RUN, _of(up, f"{house.name}_nightly"))
    assert _ended(up, failed)[0] == "FAILURE"
    graph = _launched(up, RUN, _of(up, "__ASSET_JOB", "scores", "shadow_scores", "decisions", "release"))
    again = _launched(up, AGAIN, {"parentRunId": failed, "strategy": "FROM_FAILURE"})
    status, tags = _ended(up, graph)
    assert (status, _ended(up, again)[0]) == ("FAILURE", "FAILURE")
    # the queue knew whose night it was, although the asset graph gives its runs no tag
    assert (tags["pipeline/workflow"], tags["pipeline/turn"]) == (house.name, f"{house.name}/{BAD}")
    assert house.decisions(BAD) == []
    assert house.table("decisions", BAD) is None
    assert house.work(BAD) == {"actions": [], "review_tasks": [], "releases": []}


def _runs(process: psutil.Process) -> bool:
    with process.oneshot():
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_ctrl_c_ends_everything(backfilled: Up) -> None:
    process, home = backfilled.process, backfilled.house.home
    # one that ended a moment ago still has a number, and no command any more
    others = [child for child in psutil.Process(process.pid).children(recursive=True) if _runs(child)]
    names = " ".join(" ".join(child.cmdline()) for child in others)
    for service in ("dagster._daemon", "serving.guarded", "mlflow"):
        assert service in names
    # a session of somebody else's, as these are to `up`, keeps the database running
    close_idle()
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=600)
    assert process.returncode == 0, told
    assert "Stopped." in told
    _, alive = psutil.wait_procs(others, timeout=300)
    assert [" ".join(child.cmdline()) for child in alive] == []
    assert not EmbeddedServer(home / "postgres").is_running()
