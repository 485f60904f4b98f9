"""`pipeline up`: database, Dagster and MLflow in one go, and all of them down again on Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline_project.commands.console import complain, say
from pipeline_project.commands.ground import ROOT, Ground
from resources.postgres import embedded

STOP_SECONDS = 30


@dataclass(frozen=True)
class Ports:
    dagster: int
    mlflow: int
    reports: int


@dataclass(frozen=True)
class Service:
    """One process of the house; `address` is what people open, if anything."""

    name: str
    command: Sequence[str]
    address: str | None = None


def services(ground: Ground, ports: Ports) -> list[Service]:
    """What `up` starts, in order, bound to this machine alone."""
    python, here = sys.executable, "127.0.0.1"
    workspace = str(ROOT / "workspace.yaml")
    reports = ground.settings.home / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    return [
        Service("dagster-daemon", [python, "-m", "dagster._daemon", "run", "-w", workspace]),
        Service(
            "dagster-webserver",
            [python, "-m", "dagster_webserver", "-w", workspace, "-h", here, "-p", str(ports.dagster)],
            f"http://{here}:{ports.dagster}",
        ),
        Service(
            "mlflow",
            [
                python, "-m", "mlflow", "server", "--host", here, "--port", str(ports.mlflow), "--workers", "1",
                "--artifacts-destination", str(ground.settings.home / "models"),
            ],
            f"http://{here}:{ports.mlflow}",
        ),
        Service(
            "reports",
            [python, "-m", "http.server", str(ports.reports), "--bind", here, "--directory", str(reports)],
            f"http://{here}:{ports.reports}",
        ),
    ]  # fmt: skip


def run_until_stopped(ground: Ground, ports: Ports) -> int:
    """Starts everything, prints the addresses, waits for Ctrl-C or for a service to die, and stops everything.

    Returns:
        The exit code: 0 after Ctrl-C, 1 when a service died by itself.
    """
    logs = ground.settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    environ = {
        **_inherited(),
        **ground.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_BACKEND_STORE_URI": ground.databases.mlflow_url,
    }
    stopping = _StopSignal()
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for service in services(ground, ports):
            running[service.name] = _start(service, environ, logs)
        say("Starting; logs are in " + str(logs))
        for service in services(ground, ports):
            if service.address:
                say(f"  {service.name:<18} {service.address}")
        say("Ctrl-C stops all of it.")
        return _wait(running, stopping, logs)
    finally:
        _stop(running)
        if ground.settings.postgres_url is None:
            embedded(ground.settings).stop()
        say("Stopped.")


def _start(service: Service, environ: Mapping[str, str], logs: Path) -> subprocess.Popen[bytes]:
    with (logs / f"{service.name}.log").open("ab") as log:
        # A session of its own, so that Ctrl-C reaches it once, from us, in order.
        return subprocess.Popen(
            service.command, env=dict(environ), cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )


def _wait(running: Mapping[str, subprocess.Popen[bytes]], stopping: _StopSignal, logs: Path) -> int:
    while not stopping.received:
        for name, process in running.items():
            if process.poll() is not None:
                complain(f"{name} ended by itself with code {process.returncode}; read {logs / name}.log")
                return 1
        time.sleep(0.5)
    return 0


def _stop(running: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for process in reversed(list(running.values())):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS
    for name, process in running.items():
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            complain(f"{name} did not stop within {STOP_SECONDS} seconds and is killed")
            process.kill()
            process.wait()


class _StopSignal:
    """Remembers that somebody asked to stop."""

    def __init__(self) -> None:
        self.received = False
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self._receive)

    def _receive(self, *_: object) -> None:
        self.received = True


def _inherited() -> dict[str, str]:
    import os

    return dict(os.environ)
