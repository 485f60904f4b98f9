"""The processes of `pipeline up`: what each runs, when it is ready, where its output goes, how it ends."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Any, cast

from pipeline_project.domain.core.locations import is_url
from pipeline_project.serving.ports import HERE, Ports
from pipeline_project.serving.signed_in import PROBE_HEADER
from pipeline_project.settings import ROOT, Settings
from pipeline_project.tenants import ports_of, tenant_names

#: Where the sample workflow's shop is; unset, a fake one is started.
SHOP_URL = "PIPELINE_SHOP_URL"
STOP_SECONDS = 30
#: Servers without a sign-in, behind a guard against other pages.
GUARDED = ("pipeline_project.serving.guarded",)
LOG_BYTES, LOG_FILES = 5_000_000, 3
_LOCATIONS = "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"
_DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { required healthy lastHeartbeatTime } } } }"


@dataclass(frozen=True)
class Service:
    """One process of the house.

    Attributes:
        address: what people open, if anything.
        ready: whether it answers; given the time at which it was started, in seconds since 1970.
        variables: beside those of all services.
        replaceable: when it dies it is started again, because what it was doing stands in the database.
    """

    name: str
    command: Sequence[str]
    ready: Callable[[float], bool]
    address: str | None = None
    replaceable: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)


def services(chosen: Settings, ports: Ports, probe: str = "") -> list[Service]:
    """What `up` starts, in order, bound to this machine alone.

    Args:
        probe: the token that lets `up` ask pages with a sign-in whether they are ready.
    """
    tenants = [
        service for name in tenant_names(chosen.tenants) for service in _of_tenant(chosen.of_tenant(name), probe)
    ]
    return [*_tools(chosen, ports, probe), *_own(ports), *tenants]


def _of_tenant(chosen: Settings, probe: str) -> list[Service]:
    """A tenant's reports, desk and dispatcher; Dagster, MLflow's pages and run workers are the house's.

    All of them are replaceable: what ends one tenant's desk does not end the house with everybody else's.
    """
    name, variables = chosen.tenant, {"PIPELINE_TENANT": chosen.tenant}
    desk, reports = ports_of(chosen.workflow_folders[0].parent, name)
    _make_folder(chosen.reports)
    pages = [sys.executable, "-m", *GUARDED, "reports", chosen.reports, str(reports)]
    return [
        Service(
            f"reports-{name}", pages, lambda _: _answers(f"http://{HERE}:{reports}/", probe), chosen.reports_url,
            replaceable=True, variables=variables,
        ),
        Service(
            f"desk-{name}", _pipeline("desk", "--port", str(desk)),
            lambda _: _answers(f"http://{HERE}:{desk}/healthz"), chosen.desk_url, replaceable=True, variables=variables,
        ),
        Service(
            f"dispatcher-{name}", _pipeline("dispatch"), lambda _: True, replaceable=True, variables=variables
        ),
    ]  # fmt: skip


def _pipeline(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pipeline_project.cli", *arguments]


def _make_folder(place: str) -> None:
    if not is_url(place):
        Path(place).mkdir(parents=True, exist_ok=True)


def _own(ports: Ports) -> list[Service]:
    """The desk, a run worker, the dispatcher, and a fake shop where no real one is named."""
    at = ports.addresses()
    desk, shop = at["desk"], at["shop"]
    made_up = Service("shop", _pipeline("shop", "--port", str(ports.shop)), lambda _: _answers(f"{shop}/healthz"), shop)
    return [
        *([] if os.environ.get(SHOP_URL) else [made_up]),
        Service("desk", _pipeline("desk", "--port", str(ports.desk)), lambda _: _answers(f"{desk}/healthz"), desk),
        # what it had in hand is run again
        Service("worker", _pipeline("worker"), lambda _: True, replaceable=True),
        Service("dispatcher", _pipeline("dispatch"), lambda _: True, replaceable=True),
    ]


def _tools(chosen: Settings, ports: Ports, probe: str) -> list[Service]:
    """Dagster, MLflow and the pages of the night reports."""
    from pipeline_project.dagster_internals import DAEMON

    workspaces = [argument for path in chosen.workspaces for argument in ("-w", str(path))]
    _make_folder(chosen.reports)
    # one worker and no job execution are two processes instead of fifteen
    mlflow_terms = ["--workers", "1", "--artifacts-destination", chosen.models]
    at = ports.addresses()
    dagster, mlflow, pages = at["dagster"], at["mlflow"], at["reports"]

    def python(*arguments: str) -> list[str]:
        return [sys.executable, "-m", *arguments]

    return [
        Service(
            "dagster-webserver",
            python(*GUARDED, "dagster", *workspaces, "-h", HERE, "-p", str(ports.dagster)),
            lambda _: _definitions_loaded(dagster, probe),
            dagster,
        ),
        Service(
            "dagster-daemon",
            python(DAEMON, "run", *workspaces),
            lambda since: _daemons_beat(dagster, since, probe),
        ),
        Service(
            "mlflow",
            python(*GUARDED, "mlflow", "--host", HERE, "--port", str(ports.mlflow), *mlflow_terms),
            lambda _: _answers(f"{mlflow}/health", probe),
            mlflow,
        ),
        Service(
            "reports",
            python(*GUARDED, "reports", chosen.reports, str(ports.reports)),
            lambda _: _answers(f"{pages}/", probe),
            pages,
        ),
    ]


def _answers(url: str, probe: str = "") -> bool:
    return _asked(url, probe=probe) is not None


def _asked(url: str, question: Mapping[str, str] | None = None, probe: str = "") -> Any:
    """What an address answers, as JSON where a GraphQL question was put; None when it does not."""
    body = json.dumps(question).encode() if question else None
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json", PROBE_HEADER: probe})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            content = answer.read()
            return json.loads(content)["data"] if question else content
    except (OSError, ValueError, KeyError, HTTPException):
        return None


def _definitions_loaded(dagster: str, probe: str) -> bool:
    answer = _asked(f"{dagster}/graphql", {"query": _LOCATIONS}, probe)
    entries = (answer["workspaceOrError"].get("locationEntries") if answer else None) or []
    return len(entries) > 0 and all(entry["loadStatus"] == "LOADED" for entry in entries)


def _daemons_beat(dagster: str, since: float, probe: str) -> bool:
    """Whether every daemon that the instance needs has told the database that it lives, after `since`."""
    answer = _asked(f"{dagster}/graphql", {"query": _DAEMONS}, probe)
    if not answer:
        return False
    needed = [daemon for daemon in answer["instance"]["daemonHealth"]["allDaemonStatuses"] if daemon["required"]]
    return all(daemon["healthy"] and (daemon["lastHeartbeatTime"] or 0) >= since for daemon in needed)


class _Log(RotatingFileHandler):
    """Output in files that do not grow for ever."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk loses lines, never the service that wrote them."""


class Running:
    """A started service and its output."""

    def __init__(self, service: Service, environ: Mapping[str, str], logs: Path) -> None:
        self.service, self.started, self.began = service, time.time(), time.monotonic()
        self.log = logs / f"{service.name}.log"
        log = _Log(self.log)
        # a session of its own, so that Ctrl-C reaches it once, from us, in order
        self.process = subprocess.Popen(
            service.command,
            env={**environ, **service.variables},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._writer = threading.Thread(target=_keep, args=(cast(IO[bytes], self.process.stdout), log), daemon=True)
        self._writer.start()

    @property
    def died(self) -> bool:
        return self.process.poll() is not None

    @property
    def ready(self) -> bool:
        return self.service.ready(self.started)

    def ask_to_stop(self) -> None:
        """Asks it to end, or the children that it left behind when it died."""
        with suppress(ProcessLookupError):
            if self.died:
                os.killpg(self.process.pid, signal.SIGTERM)
            else:
                self.process.send_signal(signal.SIGINT)

    def end(self, deadline: float) -> bool:
        """Waits until it and its children have ended and kills what has not; False when something had to be killed."""
        while not (gone := self.died and not self._group_lives()) and time.monotonic() < deadline:
            time.sleep(0.1)
        if not gone:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._writer.join(timeout=5)
        return gone

    def _group_lives(self) -> bool:
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True


def _keep(stream: IO[bytes], log: _Log) -> None:
    with stream:
        for line in stream:
            message = line.decode("utf-8", "replace").rstrip("\n")
            log.handle(logging.LogRecord("service", logging.INFO, "", 0, message, None, None))
    log.close()
