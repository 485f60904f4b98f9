"""`pipeline up`: database, Dagster and MLflow in one go, and all of them down again on Ctrl-C; `pipeline down`."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline_project.commands.app_context import Ground, prepare, settings, usable
from pipeline_project.commands.console import Exit, complain, emit, facts, say
from pipeline_project.commands.services import SHOP_URL, STOP_SECONDS, Ports, Running, Service, services
from pipeline_project.commands.signed_in import PROBE
from pipeline_project.domain.core.errors import DatabaseUnreachable
from resources.files.small_files import read_object

READY_SECONDS = 180
SESSION_SECONDS = 3
#: A service that may be replaced is started again at most this often.
RESTART_SECONDS = 5


def run_until_stopped(ports: Ports, as_json: bool) -> int:
    """Starts everything, prints the addresses, waits for Ctrl-C or for a service to die, and stops everything.

    Returns:
        The exit code: 0 after Ctrl-C or SIGTERM, 1 when a service died or did not become ready, 2 when a port is in
        use or this home is up already.
    """
    home = usable(settings().home)
    with _only_one(home) as lock:
        if lock is None:
            complain(f"{home} is up already, {_addresses(home)}; `pipeline down` stops it")
            return Exit.WRONG_CALL
        lock.write_text(json.dumps({"process": os.getpid(), "addresses": ports.addresses()}))
        taken = ports.in_use()
        if taken:
            words = ", ".join(f"{port} (give another one with {option})" for option, port in taken.items())
            complain(f"in use on this machine: port {words}; nothing was started")
            return Exit.WRONG_CALL
        stopping = _StopSignal()
        ground = prepare()
        try:
            return _serve(ground, ports, stopping, as_json)
        finally:
            _stop_database(ground)
            complain("Stopped.")


def stop_all(as_json: bool) -> int:
    """Stops `pipeline up` of this home, if it runs, and the embedded database; a server of your own is left alone."""
    chosen, stopped = settings(), []
    process = _serving(chosen.home)
    if process is not None:
        os.kill(process, signal.SIGTERM)
        if not _ends(chosen.home, 2 * STOP_SECONDS):
            complain(f"`pipeline up` (process {process}) has not stopped within {2 * STOP_SECONDS} seconds")
            return Exit.NIGHT_FAILED
        stopped.append("pipeline up")
    if chosen.postgres_url is None:
        from resources.postgres.databases import embedded

        if embedded(chosen).is_running():
            embedded(chosen).stop()
            stopped.append("the embedded database")
    if as_json:
        emit({"home": str(chosen.home), "stopped": stopped})
    else:
        say(f"Stopped {' and '.join(stopped)}." if stopped else f"Nothing of {chosen.home} was running.")
    return Exit.DONE


def _serve(ground: Ground, ports: Ports, stopping: _StopSignal, as_json: bool) -> int:
    logs = ground.settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    probe = secrets.token_urlsafe(32)
    environ = {
        **os.environ,
        **ground.environ,
        PROBE: probe,
        "PYTHONUNBUFFERED": "1",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # not on the command line, where every user of the machine could read the password
        "MLFLOW_BACKEND_STORE_URI": ground.databases.mlflow_url,
        **_own_addresses(ports),
    }
    wanted = services(ground, ports, probe)
    running: list[Running] = []
    try:
        complain(f"Starting {', '.join(service.name for service in wanted)}; logs are in {logs}")
        for service in wanted:
            running.append(Running(service, environ, logs))
        if not _all_ready(running, stopping):
            return Exit.DONE if stopping.received else Exit.NIGHT_FAILED
        if as_json:
            emit({"addresses": ports.addresses(), "logs": str(logs)})
        else:
            say("Ready:")
            facts(ports.addresses().items())
            say("Ctrl-C stops all of it.")
        return _wait(running, stopping, lambda service: Running(service, environ, logs))
    finally:
        _stop(running)


def _all_ready(running: Sequence[Running], stopping: _StopSignal) -> bool:
    deadline = time.monotonic() + READY_SECONDS
    waiting = list(running)
    while waiting and not stopping.received:
        if _one_died(running):
            return False
        waiting = [each for each in waiting if not each.ready]
        if waiting and time.monotonic() > deadline:
            logs = ", ".join(str(each.log) for each in waiting)
            complain(f"not ready within {READY_SECONDS} seconds; read {logs}")
            return False
        time.sleep(0.3)
    return not stopping.received


def _own_addresses(ports: Ports) -> dict[str, str]:
    """Where people reach the pages, when it is not the usual place."""
    usual, chosen = Ports().addresses(), ports.addresses()
    named = {"reports": "PIPELINE_REPORTS_URL", "desk": "PIPELINE_DESK_URL", "shop": SHOP_URL}
    return {
        variable: chosen[name]
        for name, variable in named.items()
        if chosen[name] != usual[name] and not (name == "shop" and os.environ.get(SHOP_URL))
    }


def _wait(running: list[Running], stopping: _StopSignal, start: Callable[[Service], Running]) -> int:
    while not stopping.received:
        _replace(running, start)
        if _one_died(running):
            return Exit.NIGHT_FAILED
        time.sleep(0.5)
    return Exit.DONE


def _replace(running: list[Running], start: Callable[[Service], Running]) -> None:
    """Starts again what died and may: a service that dies at once every time still gets a pause in between."""
    for i, each in enumerate(running):
        if each.died and each.service.replaceable and time.time() - each.started > RESTART_SECONDS:
            complain(
                f"{each.service.name} ended with code {each.process.returncode} and is started again; see {each.log}"
            )
            each.end(time.monotonic())
            running[i] = start(each.service)


def _one_died(running: Sequence[Running]) -> bool:
    dead = [each for each in running if each.died and not each.service.replaceable]
    for each in dead:
        complain(f"{each.service.name} ended by itself with code {each.process.returncode}; read {each.log}")
    return bool(dead)


def _stop(running: Sequence[Running]) -> None:
    for each in reversed(running):
        each.ask_to_stop()
    deadline = time.monotonic() + STOP_SECONDS
    for each in running:
        if not each.end(deadline):
            complain(f"{each.service.name} did not stop within {STOP_SECONDS} seconds and was killed")


def _stop_database(ground: Ground) -> None:
    """Stops the embedded database unless another command works with it at this moment."""
    if ground.settings.postgres_url is not None:
        return
    from resources.postgres.databases import embedded

    deadline = time.monotonic() + SESSION_SECONDS
    while (others := _sessions(ground)) and time.monotonic() < deadline:
        time.sleep(0.1)
    if others:
        complain(f"The database runs on: other commands use it ({others} sessions). `pipeline down` stops it.")
    else:
        embedded(ground.settings).stop()


def _sessions(ground: Ground) -> int:
    """Sessions on the server beside this one; those of services just stopped are gone in a moment."""
    from sqlalchemy import text

    from resources.ledger.unit_of_work import unit_of_work
    from resources.postgres.databases import engine_of

    query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    try:
        with unit_of_work(engine_of(ground.databases.ledger_url)) as connection:
            return int(connection.execute(text(query)).scalar_one())
    except DatabaseUnreachable:
        return 0


class _StopSignal:
    """Remembers that somebody asked to stop."""

    def __init__(self) -> None:
        self.received = False
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # nohup asks to outlive the terminal
            if name != signal.SIGHUP or signal.getsignal(name) != signal.SIG_IGN:
                signal.signal(name, self._receive)

    def _receive(self, _: int, __: FrameType | None) -> None:
        self.received = True


# -- one `up` a home -----------------------------------------------------------------------------------------------


@contextmanager
def _only_one(home: Path) -> Iterator[Path | None]:
    """The file that says who serves this home, locked; None when another process holds it."""
    path = home / "up.lock"
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield path


def _serving(home: Path) -> int | None:
    """The process that serves this home, or None."""
    if not (home / "up.lock").exists():
        return None
    with _only_one(home) as lock:
        if lock is not None:
            return None
    process: int | None = _written(home).get("process")
    return process


def _ends(home: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with _only_one(home) as lock:
            if lock is not None:
                return True
        time.sleep(0.2)
    return False


def _addresses(home: Path) -> str:
    return "at " + ", ".join(_written(home).get("addresses", {}).values())


def _written(home: Path) -> dict[str, Any]:
    """What the process that holds the lock has written: it does so before it starts anything."""
    return read_object(home / "up.lock") or {}
