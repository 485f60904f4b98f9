"""The processes of `pipeline up`: what each runs, when it is ready, where its output goes, how it ends."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from pipeline_project.commands.ground import DAGSTER_PORT, MLFLOW_PORT, REPORTS_PORT, ROOT, Ground

HERE = "127.0.0.1"
STOP_SECONDS = 30
LOG_BYTES, LOG_FILES = 5_000_000, 3
_DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { required healthy lastHeartbeatTime } } } }"


@dataclass(frozen=True)
class Ports:
    dagster: int = DAGSTER_PORT
    mlflow: int = MLFLOW_PORT
    reports: int = REPORTS_PORT

    def in_use(self) -> dict[str, int]:
        """By option, the ports that another program listens on, or that are given twice."""
        taken: dict[str, int] = {}
        seen: set[int] = set()
        for field in fields(self):
            port = getattr(self, field.name)
            if port in seen or not _free(port):
                taken["--port" if field.name == "dagster" else f"--{field.name}-port"] = port
            seen.add(port)
        return taken


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # as the servers do: a connection that was just closed does not keep its port
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HERE, port))
        except OSError:
            return False
    return True


def _alive(_: float) -> bool:
    return True


@dataclass(frozen=True)
class Service:
    """One process of the house.

    Attributes:
        address: what people open, if anything.
        ready: whether it answers; given the time at which it was started, in seconds since 1970.
    """

    name: str
    command: Sequence[str]
    address: str | None = None
    ready: Callable[[float], bool] = _alive


def services(ground: Ground, ports: Ports) -> list[Service]:
    """What `up` starts, in order, bound to this machine alone."""
    workspace = str(ROOT / "workspace.yaml")
    home = ground.settings.home
    reports = home / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    dagster, mlflow, pages = (f"http://{HERE}:{port}" for port in (ports.dagster, ports.mlflow, ports.reports))

    def python(*words: str) -> list[str]:
        return [sys.executable, "-m", *words]

    return [
        Service(
            "dagster-webserver",
            python("dagster_webserver", "-w", workspace, "-h", HERE, "-p", str(ports.dagster)),
            dagster,
            lambda _: _answers(f"{dagster}/server_info"),
        ),
        Service(
            "dagster-daemon",
            python("dagster._daemon", "run", "-w", workspace),
            ready=lambda since: _daemons_beat(dagster, since),
        ),
        Service(
            "mlflow",
            python("mlflow", "server", "--host", HERE, "--port", str(ports.mlflow), "--workers", "1")
            + ["--artifacts-destination", str(home / "models")],
            mlflow,
            lambda _: _answers(f"{mlflow}/health"),
        ),
        Service(
            "reports",
            python("http.server", str(ports.reports), "--bind", HERE, "--directory", str(reports)),
            pages,
            lambda _: _answers(f"{pages}/"),
        ),
    ]


def _answers(url: str | urllib.request.Request) -> bool:
    return _asked(url) is not None


def _asked(url: str | urllib.request.Request) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            content: bytes = answer.read()
            return content
    except (urllib.error.URLError, OSError):
        return None


def _daemons_beat(dagster: str, since: float) -> bool:
    """Whether every daemon that the instance needs has told the database that it lives, after `since`."""
    body = json.dumps({"query": _DAEMONS}).encode()
    headers = {"Content-Type": "application/json"}
    answer = _asked(urllib.request.Request(f"{dagster}/graphql", data=body, headers=headers))
    if answer is None:
        return False
    found = json.loads(answer)["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
    needed = [daemon for daemon in found if daemon["required"]]
    return all(daemon["healthy"] and (daemon["lastHeartbeatTime"] or 0) >= since for daemon in needed)


class Running:
    """A started service, its output kept in files that do not grow for ever."""

    def __init__(self, service: Service, environ: Mapping[str, str], logs: Path) -> None:
        self.service, self.started = service, time.time()
        self.log = logs / f"{service.name}.log"
        # a session of its own, so that Ctrl-C reaches it once, from us, in order
        self.process = subprocess.Popen(
            service.command,
            env=dict(environ),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self._writer = threading.Thread(target=_keep, args=(self.process.stdout, self.log), daemon=True)
        self._writer.start()

    @property
    def died(self) -> bool:
        return self.process.poll() is not None

    @property
    def ready(self) -> bool:
        return self.service.ready(self.started)

    def ask_to_stop(self) -> None:
        if not self.died:
            self.process.send_signal(signal.SIGINT)

    def wait_until(self, deadline: float) -> bool:
        """Waits for the end; what then still lives of its processes is killed. False when it had to be."""
        try:
            self.process.wait(max(0.1, deadline - time.monotonic()))
            in_time = True
        except subprocess.TimeoutExpired:
            in_time = False
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            in_time = True
        self.process.wait()
        self._writer.join(timeout=5)
        return in_time


def _keep(stream: IO[bytes], path: Path) -> None:
    """Writes a service's output to files of limited size until it ends."""
    log = logging.Logger(path.stem)
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8")
    log.addHandler(handler)
    with stream, handler.lock or threading.RLock():
        for line in stream:
            log.info("%s", line.decode("utf-8", "replace").rstrip("\n"))
    handler.close()
