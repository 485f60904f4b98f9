"""The processes as containers start them: each says that it is well, and ends on SIGTERM with its work in hand done."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest
import yaml
from sqlalchemy import create_engine, text

from pipeline_project.commands.desk import frame_at
from pipeline_project.commands.shared.app_context import AppContext, prepare
from pipeline_project.dagster_internals import DAEMON
from pipeline_project.dagster_internals.code_server import carries_out
from pipeline_project.serving.probe import is_well
from resources.postgres.embedded import EmbeddedServer
from tests.commands.test_up import free_ports
from tests.integration.house import ROOT, House

pytestmark = pytest.mark.night
#: A slow machine takes its time; what hangs has failed.
PATIENCE = 300.0


def until(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < deadline, f"{what} within {PATIENCE} seconds"
        time.sleep(0.2)


@dataclass
class Started:
    """One process, and where it says that it is well."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        return is_well(self.address)

    def ended_on_sigterm(self) -> int:
        """The exit code; nothing that it started may be left."""
        started = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        assert psutil.wait_procs(started, timeout=PATIENCE)[1] == []
        return code


@dataclass
class Containers:
    """A home whose processes are started one by one, as deploy/compose.yaml does."""

    context: AppContext
    folder: Path

    def start(self, name: str, address: str, *words: str) -> Started:
        # whoever runs this in the background ignores SIGINT, and with it Dagster's processes ignore SIGTERM; this one
        # as well, once it has executed a run itself
        command = ["env", "--default-signal=INT,TERM", sys.executable, "-m", *words]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")}
        environ = {
            **kept, **self.context.environ, "MLFLOW_BACKEND_STORE_URI": self.context.databases.mlflow_url,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }  # fmt: skip
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=out, stderr=out, start_new_session=True)
        return Started(address, process, log)


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    home = Path(tempfile.mkdtemp(prefix="pipeline-drained-"))
    house = House("drained", home, None)
    house.declare()
    try:
        with house.entered():
            yield Containers(prepare(), home)
    finally:
        EmbeddedServer(home / "postgres").stop()
        shutil.rmtree(home)


def test_every_process_says_that_it_is_well_and_ends_on_sigterm(containers: Containers) -> None:
    web, mlflow, reports, code, health, worker = free_ports(6)
    here, models = "127.0.0.1", str(containers.folder / "models")
    workspace = containers.folder / "workspace.yaml"
    servers = [{"grpc_server": {"host": here, "port": code, "location_name": "pipeline_project"}}]
    workspace.write_text(yaml.safe_dump({"load_from": servers}))
    pages = containers.folder / "reports"
    guarded, definitions = "pipeline_project.serving.guarded", "pipeline_project.definitions"
    started = [
        containers.start("code", f"grpc://{here}:{code}", "dagster", "api", "grpc", "-h", here, "-p", str(code),
                         "-m", definitions, "--location-name", "pipeline_project"),
        containers.start("web", f"http://{here}:{web}/healthz", guarded, "dagster", "-w", str(workspace), "-h", here,
                         "-p", str(web)),
        containers.start("mlflow", f"http://{here}:{mlflow}/healthz", guarded, "mlflow", "--host", here,
                         "--port", str(mlflow), "--workers", "1", "--artifacts-destination", models),
        containers.start("reports", f"http://{here}:{reports}/healthz", guarded, "reports", str(pages), str(reports)),
        containers.start("dispatcher", f"http://{here}:{health}/healthz", "pipeline_project.cli", "dispatch",
                         "--health", f"{here}:{health}"),
        containers.start("worker", f"http://{here}:{worker}/healthz", "pipeline_project.cli", "worker",
                         "--health", f"{here}:{worker}"),
    ]  # fmt: skip
    daemon = containers.start("daemon", "", DAEMON, "run", "-w", str(workspace))
    try:
        for one in started:
            until(one.is_ready, f"{one.log.stem} is well")
        # of a code server that was started anew: it has never heard of the runs of the one before
        assert carries_out({"host": here, "port": code}, "a run of before", 30) is False
        until(lambda: _daemon_lives(containers), "the daemon's heart beats")
        # Dagster's servers end as on Ctrl-C; uvicorn ends by the signal it was sent
        ended = {one.log.stem: one.ended_on_sigterm() for one in [*started, daemon]}
        assert ended == {
            "code": 0,
            "web": 0,
            "mlflow": 0,
            "reports": -signal.SIGTERM,
            "dispatcher": 0,
            "worker": 0,
            "daemon": 0,
        }
    finally:
        for one in [*started, daemon]:
            one.process.kill()


def _daemon_lives(containers: Containers) -> bool:
    checked = containers.start("liveness", "", DAEMON, "liveness-check")
    return checked.process.wait(PATIENCE) == 0


def test_the_desk_answers_what_it_was_asked_before_it_ends(containers: Containers) -> None:
    (port,) = free_ports(1)
    at = f"http://127.0.0.1:{port}"
    desk = containers.start("desk", f"{at}/healthz", "pipeline_project.cli", "desk", "--port", str(port))
    answers: list[int] = []

    def ask() -> None:
        cookie = frame_at(containers.context, port).cookie
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request("GET", "/", headers={"cookie": f"{cookie}=nobodys"})
        answers.append(connection.getresponse().status)
        connection.close()

    engine = create_engine(containers.context.databases.ledger_url)
    try:
        until(desk.is_ready, "the desk is well")
        assert is_well(f"{at}/livez")
        asking = threading.Thread(target=ask)
        with engine.connect() as holding:
            # a question that takes its time: what the desk looks up first is locked
            holding.execute(text("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE"))
            asking.start()
            with engine.connect() as looking:
                waits = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
                until(lambda: looking.execute(waits).scalar_one() == 1, "the request waits")
            desk.process.send_signal(signal.SIGTERM)
            until(lambda: not is_well(f"{at}/livez", 1), "nothing new is taken")
            assert (desk.process.poll(), answers) == (None, [])
        asking.join(PATIENCE)
        assert answers == [303], "it leads to the sign-in, as if nothing were"
        assert desk.process.wait(PATIENCE) == -signal.SIGTERM
    finally:
        desk.process.kill()
        engine.dispose()
