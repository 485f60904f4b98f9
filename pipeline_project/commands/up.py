"""`pipeline up`: database, Dagster and MLflow in one go, and all of them down again on Ctrl-C; `pipeline down`."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from pipeline_project.commands.console import Exit, complain, emit, facts, say
from pipeline_project.commands.ground import Ground, prepare, settings, usable
from pipeline_project.commands.services import STOP_SECONDS, Ports, Running, Service, services

READY_SECONDS = 180

__all__ = ["Ports", "Service", "run_until_stopped", "services", "stop_all"]


def run_until_stopped(ports: Ports, as_json: bool) -> int:
    """Starts everything, prints the addresses, waits for Ctrl-C or for a service to die, and stops everything.

    Returns:
        The exit code: 0 after Ctrl-C or SIGTERM, 1 when a service died or did not become ready, 2 when a port is in
        use or this home is up already.
    """
    home = usable(settings().home)
    with _only_one(home) as lock:
        if lock is None:
            complain(f"{home} is up already: {_told(home)}; `pipeline down` stops it")
            return Exit.WRONG_CALL
        taken = ports.in_use()
        if taken:
            words = ", ".join(f"{port} (give another one with {option})" for option, port in taken.items())
            complain(f"in use on this machine: port {words}; nothing was started")
            return Exit.WRONG_CALL
        stopping = _StopSignal()
        ground = prepare()
        try:
            return _serve(ground, ports, lock, stopping, as_json)
        finally:
            _stop_database(ground)
            complain("Stopped.")


def stop_all(as_json: bool) -> int:
    """Stops `pipeline up` of this home, if it runs, and the embedded database; a server of your own is left alone."""
    chosen, stopped = settings(), []
    with _only_one(chosen.home) if chosen.home.is_dir() else _nobody() as lock:
        running = _read(chosen.home).get("process") if lock is None else None
    if running is not None:
        os.kill(running, signal.SIGTERM)
        stopped.append("pipeline up")
        if not _ended(chosen.home, STOP_SECONDS * 2):
            complain(f"`pipeline up` (process {running}) has not stopped within {STOP_SECONDS * 2} seconds")
            return Exit.NIGHT_FAILED
    if chosen.postgres_url is None:
        from resources.postgres import embedded

        if embedded(chosen).is_running():
            embedded(chosen).stop()
            stopped.append("the embedded database")
    if as_json:
        emit({"home": str(chosen.home), "stopped": stopped})
    else:
        say(f"Stopped {' and '.join(stopped)}." if stopped else f"Nothing of {chosen.home} was running.")
    return Exit.DONE


def _serve(ground: Ground, ports: Ports, lock: Path, stopping: _StopSignal, as_json: bool) -> int:
    logs = ground.settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    environ = {
        **os.environ,
        **ground.environ,
        "PYTHONUNBUFFERED": "1",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # not on the command line, where every user of the machine could read the password
        "MLFLOW_BACKEND_STORE_URI": ground.databases.mlflow_url,
    }
    wanted = services(ground, ports)
    addresses = {service.name: service.address for service in wanted if service.address}
    lock.write_text(json.dumps({"process": os.getpid(), "addresses": addresses}))
    running: list[Running] = []
    try:
        complain(f"Starting {', '.join(service.name for service in wanted)}; logs are in {logs}")
        running += [Running(service, environ, logs) for service in wanted]
        if not _all_ready(running, stopping):
            return Exit.DONE if stopping.received else Exit.NIGHT_FAILED
        if as_json:
            emit({"addresses": addresses, "logs": str(logs)})
        else:
            say("Ready:")
            facts(addresses.items())
            say("Ctrl-C stops all of it.")
        return _wait(running, stopping)
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


def _wait(running: Sequence[Running], stopping: _StopSignal) -> int:
    while not stopping.received:
        if _one_died(running):
            return Exit.NIGHT_FAILED
        time.sleep(0.5)
    return Exit.DONE


def _one_died(running: Sequence[Running]) -> bool:
    dead = [each for each in running if each.died]
    for each in dead:
        complain(f"{each.service.name} ended by itself with code {each.process.returncode}; read {each.log}")
    return bool(dead)


def _stop(running: Sequence[Running]) -> None:
    for each in reversed(running):
        each.ask_to_stop()
    deadline = time.monotonic() + STOP_SECONDS
    for each in running:
        if not each.wait_until(deadline):
            complain(f"{each.service.name} did not stop within {STOP_SECONDS} seconds and was killed")


def _stop_database(ground: Ground) -> None:
    """Stops the embedded database unless another command works with it at this moment."""
    if ground.settings.postgres_url is not None:
        return
    from resources.postgres import embedded, sessions

    others = sessions(ground.databases)
    if others:
        complain(f"the database runs on, {others} sessions of other commands use it; `pipeline down` stops it")
    else:
        embedded(ground.settings).stop()


class _StopSignal:
    """Remembers that somebody asked to stop."""

    def __init__(self) -> None:
        self.received = False
        for name in (signal.SIGINT, signal.SIGTERM):
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
