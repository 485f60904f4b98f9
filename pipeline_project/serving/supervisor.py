"""Keeps the services of `pipeline up` running: starts them, waits for them, starts again what may be, stops them."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from pipeline_project.serving.processes import STOP_SECONDS, Running, Service

READY_SECONDS = 180
#: A service that may be replaced is started again at most this often.
RESTART_SECONDS = 5
#: How often it looks whether its code is outdated.
OUTDATED_SECONDS = 10


class StopSignal:
    """Remembers that somebody asked to stop."""

    def __init__(self) -> None:
        self.received = False
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # nohup asks to outlive the terminal
            if name != signal.SIGHUP or signal.getsignal(name) != signal.SIG_IGN:
                signal.signal(name, self._receive)

    def _receive(self, _: int, __: FrameType | None) -> None:
        self.received = True


@dataclass
class Supervisor:
    """The services of one home.

    Attributes:
        environ: their variables.
        logs: the folder of their output.
        report: prints a line for whoever started them.
        stopping: set when somebody asks to stop.
    """

    environ: Mapping[str, str]
    logs: Path
    report: Callable[[str], None]
    stopping: StopSignal
    running: list[Running] = field(default_factory=list)

    def start(self, services: Sequence[Service]) -> None:
        """Starts them in order."""
        self.report(f"Starting {', '.join(service.name for service in services)}; logs are in {self.logs}")
        for service in services:
            self.running.append(self._start(service))

    def _start(self, service: Service) -> Running:
        return Running(service, self.environ, self.logs)

    def all_ready(self) -> bool:
        """Waits until everything answers; False when something died, took too long, or somebody asked to stop."""
        deadline = time.monotonic() + READY_SECONDS
        waiting = list(self.running)
        while waiting and not self.stopping.received:
            if self.one_died():
                return False
            # one that may be replaced is started again later; the others do not wait for what ends at once each time
            waiting = [child for child in waiting if not (child.died and child.service.replaceable) and not child.ready]
            if waiting and time.monotonic() > deadline:
                logs = ", ".join(str(child.log) for child in waiting)
                self.report(f"not ready within {READY_SECONDS} seconds; read {logs}")
                return False
            time.sleep(0.3)
        return not self.stopping.received

    def watch(self, outdated: Callable[[], str | None] = lambda: None) -> bool:
        """Waits until somebody asks to stop; False when a service died by itself before, or this code is outdated.

        Args:
            outdated: why this version of the code does nothing more, or None; asked again and again.
        """
        looked = time.monotonic()
        while not self.stopping.received:
            if time.monotonic() - looked > OUTDATED_SECONDS:
                looked = time.monotonic()
                if why := outdated():
                    self.report(why)
                    return False
            self.replace_dead()
            if self.one_died():
                return False
            time.sleep(0.5)
        return True

    def replace_dead(self) -> None:
        """Starts again what died and may: a service that dies at once every time still gets a pause in between."""
        for i, child in enumerate(self.running):
            if child.died and child.service.replaceable and time.monotonic() - child.began > RESTART_SECONDS:
                self.report(
                    f"{child.service.name} ended with code {child.process.returncode} and is started again; "
                    f"see {child.log}"
                )
                child.end(time.monotonic())
                self.running[i] = self._start(child.service)

    def one_died(self) -> bool:
        """Whether a service that may not be replaced has ended by itself."""
        dead = [child for child in self.running if child.died and not child.service.replaceable]
        for child in dead:
            self.report(f"{child.service.name} ended by itself with code {child.process.returncode}; read {child.log}")
        return bool(dead)

    def stop(self) -> None:
        """Asks all of them to end, the last one first, and kills what has not in time."""
        for child in reversed(self.running):
            child.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS
        for child in self.running:
            if not child.end(deadline):
                self.report(f"{child.service.name} did not stop within {STOP_SECONDS} seconds and was killed")
