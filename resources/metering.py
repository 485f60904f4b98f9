"""Processor seconds of the steps of runs in this process.

A process knows what all its threads spent together, and what one of them spent. A step's own thread is its own; what
helper threads (of BLAS, torch, Arrow) spent belongs to the steps that are open, evenly where there are several. So what
steps are given adds up to what the process spent while a step was open. What other processes spend (the databases,
workers on Ray) is not in it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from dagster import DagsterEventType

from pipeline_project.domain.core.devices import CPU, settled
from pipeline_project.ports.metering import DEVICE_POOL, StepProcessor

_BEGINS = frozenset({DagsterEventType.STEP_START, DagsterEventType.STEP_RESTARTED})
_ENDS = frozenset({DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_UP_FOR_RETRY})
#: Runs whose steps are remembered; a night's page asks for its own run's.
_RUNS = 64

Step = tuple[str, str]


@dataclass
class _Open:
    """A step that runs: which thread it runs in, what that had spent, and what the step was given so far."""

    thread: int
    clock: float
    began: float
    seconds: float = 0.0
    shared: bool = False


@dataclass(frozen=True)
class Lap:
    """What a step took since it began, or since its lap before: seconds of the process's cores, and by the clock."""

    processor: float
    seconds: float


class StepMeter:
    """Follows the events of steps as they are stored."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Step, _Open] = {}
        self._laps: dict[Step, tuple[float, float]] = {}
        self._ended: dict[str, dict[str, StepProcessor]] = {}
        self._process = 0.0

    def observe(self, kind: DagsterEventType, run_id: str, step: str) -> None:
        """A step of a run began or ended, in the thread that calls."""
        if kind in _BEGINS:
            self._begin((run_id, step))
        elif kind in _ENDS:
            self._end((run_id, step))

    def lap(self, run_id: str, step: str) -> Lap | None:
        """What a step that runs has taken for its next output; None where it did not begin here."""
        with self._lock:
            self._settle()
            running = self._open.get((run_id, step))
            if running is None:
                return None
            now, before = (running.seconds, time.monotonic()), self._laps.get((run_id, step), (0.0, running.began))
            self._laps[(run_id, step)] = now
            return Lap(now[0] - before[0], now[1] - before[1])

    def steps(self, run_id: str) -> Mapping[str, StepProcessor]:
        """What the steps of a run that have ended spent, all their tries together."""
        with self._lock:
            return dict(self._ended.get(run_id, {}))

    def _begin(self, step: Step) -> None:
        thread = threading.get_ident()
        with self._lock:
            self._settle()
            # a thread carries out one step at a time: what it had open was broken off without an event
            for over in [other for other, running in self._open.items() if running.thread == thread]:
                self._forget(over)
            self._open[step] = _Open(thread, time.thread_time(), time.monotonic())
            for running in self._open.values():
                running.shared |= len(self._open) > 1

    def _end(self, step: Step) -> None:
        with self._lock:
            self._settle()
            ended = self._forget(step)
            if ended is None:
                return
            run_id, key = step
            steps = self._ended.setdefault(run_id, {})
            before = steps.get(key, StepProcessor(0.0, shared=False))
            steps[key] = StepProcessor(before.seconds + ended.seconds, before.shared or ended.shared)
            while len(self._ended) > _RUNS:
                del self._ended[next(iter(self._ended))]

    def _forget(self, step: Step) -> _Open | None:
        self._laps.pop(step, None)
        return self._open.pop(step, None)

    def _settle(self) -> None:
        """Gives what was spent since the last event to the steps that were open."""
        process = time.process_time()
        spent, self._process = process - self._process, process
        # a system that tells of the calling thread alone would have others' seconds given twice
        for running in self._open.values() if hasattr(time, "pthread_getcpuclockid") else ():
            clock = _of_thread(running.thread)
            if clock is not None:
                by_itself, running.clock = clock - running.clock, clock
                running.seconds += by_itself
                spent -= by_itself
        for running in self._open.values():
            running.seconds += max(0.0, spent) / len(self._open)


def _of_thread(ident: int) -> float | None:
    """Processor seconds of a thread of this process; None where it is gone."""
    if ident == threading.get_ident():
        return time.thread_time()
    # asking for a thread that is gone may end the process
    if ident not in {one.ident for one in threading.enumerate()}:
        return None
    return time.clock_gettime(time.pthread_getcpuclockid(ident))


@dataclass(frozen=True)
class RunMeter:
    """`ports.metering.Meter` over a process's meter.

    Attributes:
        named: the device as the settings have it; `auto` is settled when it is asked for, which may import torch.
    """

    meter: StepMeter
    named: str

    @property
    def device(self) -> str:
        return settled(self.named)

    def steps(self, run_id: str) -> Mapping[str, StepProcessor]:
        return self.meter.steps(run_id)

    def output_metadata(self, run_id: str, step: str, pool: str | None) -> dict[str, float]:
        """What making an output took, as metadata; nothing where its step was not measured here."""
        lap = self.meter.lap(run_id, step)
        if lap is None:
            return {}
        held = {"device_seconds": lap.seconds} if pool == DEVICE_POOL and self.device != CPU else {}
        return {"processor_seconds": lap.processor, **held}


#: The process's own.
METER = StepMeter()
