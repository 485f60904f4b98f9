"""A run worker: takes the runs that Dagster launched and has warm processes execute them (`pipeline worker`).

Any number of workers may run, on any number of machines. A run is in hand while the worker's connection holds its lock;
a worker that dies lets go of it, and Dagster's run monitor has the run done again.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import InterfaceError, OperationalError

from pipeline_project.domain.core.errors import DatabaseUnreachable
from pipeline_project.domain.core.run_tags import KILLED, TENANT, memory_words, times_killed
from pipeline_project.serving.run_slot import HEAVY, code_stamp, execute_runs
from resources.run_workers.in_hand import RunsInHand, left_to_workers, stop_taking, taking_runs

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

#: How often a worker looks without having been told, in seconds.
LOOK = 5.0
#: A process that had nothing to do for so long ends; an idle house then holds no memory for it.
IDLE = 600.0
#: How long a run that was ended by somebody may take to notice, in seconds; then its process is ended.
DEAF = 30.0
#: A worker that has not gone round for so long hangs: it looks every few seconds, and nothing in between takes longer.
HANGS = 120.0
#: Runs that a process executes before another one takes its place.
RUNS_OF_A_PROCESS = 100

_spawn = multiprocessing.get_context("spawn")


@dataclass
class Slot:
    """One process that executes runs.

    Attributes:
        stamp: of the code as it stood before the process began.
        tenant: whose runs it executes; "" for the house's.
        since: when it last had something to do, by the monotonic clock.
        run_id: what it executes at the moment.
        interrupted: when that was asked to end.
    """

    process: Any
    pipe: Connection
    stamp: str
    since: float
    tenant: str = ""
    run_id: str | None = None
    executed: int = 0
    interrupted: float | None = None

    @classmethod
    def start(cls, folders: Sequence[Path], tenant: str = "", modules: Sequence[str] = ()) -> Slot:
        stamp = code_stamp(folders, tenant)
        ours, theirs = _spawn.Pipe()
        process = _spawn.Process(target=execute_runs, args=(theirs, HEAVY, tenant, modules))
        process.start()
        theirs.close()
        return cls(process, ours, stamp, time.monotonic(), tenant)

    @property
    def alive(self) -> bool:
        return bool(self.process.is_alive())

    def give(self, run_id: str) -> None:
        # a process that has just died is noticed at the next look, the run with it
        self.run_id = run_id
        with suppress(BrokenPipeError):
            self.pipe.send(run_id)

    def done_with(self) -> str | None:
        """The run that the process has just said to be done with, if any."""
        done = None
        # a process that ended has closed its end
        with suppress(EOFError, ConnectionResetError):
            while self.pipe.poll():
                done, self.run_id, self.since = self.pipe.recv(), None, time.monotonic()
                self.executed += 1
        return done

    def interrupt(self) -> None:
        """Asks the run in hand to end, as Dagster does."""
        self.interrupted = time.monotonic()
        # it may have ended at this moment
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGINT)

    def end(self) -> None:
        """Ends the process, whatever it does."""
        self.pipe.close()
        self.process.kill()
        self.process.join()


@dataclass
class RunWorker:
    """Takes runs while it is not stopped.

    Attributes:
        slots: how many runs at once.
        folders: the users' own folders of workflows.
        tenants: whose runs it takes, with the folders of their workflows; the house's alone where nothing stands here.
        stopping: asked again and again.
        report: prints a line for whoever started it.
        grace: seconds that runs in hand get to end by themselves once it is stopped.
        outdated: why this version of the code takes no more runs, or None; asked again and again.
        modules: whose jobs it executes beside those of the package's definitions.
        executed: runs that came to their end, good or bad.
        turned: when it last went round, by the monotonic clock.
    """

    url: str = field(repr=False)
    instance: DagsterInstance
    slots: int
    folders: Sequence[Path]
    stopping: Callable[[], bool]
    report: Callable[[str], None]
    grace: float
    outdated: Callable[[], str | None] = lambda: None
    tenants: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    modules: Sequence[str] = ()
    running: list[Slot] = field(default_factory=list)
    executed: int = 0
    turned: float = field(default_factory=time.monotonic, init=False)
    #: what `outdated` answered, once it did
    refused: str | None = field(default=None, init=False)

    @property
    def goes_round(self) -> bool:
        """Whether it looks for runs and after those in hand; not whether the database answers, for which it waits."""
        return time.monotonic() - self.turned < HANGS

    def work(self, who: str) -> None:
        """Until it is stopped, or its code is outdated. What is in hand by then ends by itself within the grace, or is
        handed back."""
        # what is imported before the first run comes is not waited for
        self.running.append(self._started(next(iter(self._served))))
        try:
            while not self._over():
                try:
                    with taking_runs(self.url, who, self._served) as in_hand:
                        self._take_again(in_hand)
                        self._take_until_stopped(in_hand)
                        stop_taking(in_hand, self._served)
                        self._drain(in_hand)
                except (DatabaseUnreachable, OperationalError, InterfaceError) as error:
                    reason = error if isinstance(error, DatabaseUnreachable) else type(error).__name__
                    self.report(f"Dagster's database: {reason}; trying again in {LOOK:.0f} s")
                    time.sleep(LOOK)
                    self.turned = time.monotonic()
        finally:
            for slot in self.running:
                slot.end()

    def _take_until_stopped(self, in_hand: RunsInHand) -> None:
        while not self._over():
            self._collect(in_hand)
            self._take(in_hand)
            self._end_cancelled(in_hand)
            self._end_idle()
            self._wait(in_hand, LOOK)

    def _over(self) -> bool:
        if self.refused is None and (refused := self.outdated()):
            self.refused = refused
            self.report(refused)
        return self.refused is not None or self.stopping()

    def _take_again(self, in_hand: RunsInHand) -> None:
        """After the connection was lost: what somebody else has taken meanwhile is theirs."""
        for slot in self._busy():
            if not in_hand.take(str(slot.run_id)):
                self._drop(slot)

    def _take(self, in_hand: RunsInHand) -> None:
        free = self.slots - len(self._busy())
        if free <= 0:
            return
        # whoever has a lock gets it again; a run waits until its process has begun with it
        ours = {slot.run_id for slot in self._busy()}
        for waiting in left_to_workers(self.instance, self._served):
            if free and waiting.run_id not in ours and in_hand.take(waiting.run_id):
                if self._still_waits(waiting):
                    self._free_slot(waiting.tags.get(TENANT, "")).give(waiting.run_id)
                    free -= 1
                else:
                    in_hand.let_go(waiting.run_id)

    def _still_waits(self, waiting: DagsterRun) -> bool:
        """Whether it is as it was before its lock was ours; another worker may have been done with it since."""
        run = self.instance.get_run_by_id(waiting.run_id)
        return run is not None and run.status is waiting.status

    @property
    def _served(self) -> Mapping[str, Sequence[Path]]:
        return self.tenants or {"": self.folders}

    def _started(self, tenant: str) -> Slot:
        return Slot.start(self._served[tenant], tenant, self.modules)

    def _free_slot(self, tenant: str) -> Slot:
        """A process of the tenant's that works by the code as it stands; a new one where there is none.

        Other tenants' processes stay warm as far as there is room beside it.
        """
        stamp = code_stamp(self._served[tenant], tenant)
        for slot in [slot for slot in self._idle() if slot.tenant == tenant]:
            if slot.stamp == stamp and slot.executed < RUNS_OF_A_PROCESS:
                return slot
            self._drop(slot)
        if len(self.running) >= self.slots and (idle := self._idle()):
            self._drop(min(idle, key=lambda slot: slot.since))
        self.running.append(self._started(tenant))
        return self.running[-1]

    def _collect(self, in_hand: RunsInHand) -> None:
        """Lets go of what is done, and says of runs whose process died that they ended with it."""
        for slot in [*self.running]:
            alive = slot.alive
            # what a process said last came before its end
            if done := slot.done_with():
                self.executed += 1
                in_hand.let_go(done)
            if not alive:
                self._drop(slot)
                if slot.run_id is not None:
                    self._died(slot)
                    in_hand.let_go(slot.run_id)

    def _died(self, slot: Slot) -> None:
        run = self.instance.get_run_by_id(str(slot.run_id))
        if run is not None and not run.is_finished:
            self.report(f"the process of run {slot.run_id} ended with {slot.process.exitcode}")
            why = f"The run's process ended with {slot.process.exitcode}; the log of the run worker says more."
            if slot.process.exitcode == -signal.SIGKILL:
                killed = times_killed(run.tags) + 1
                # whoever goes on with it takes over its tags
                self.instance.add_run_tags(run.run_id, {KILLED: str(killed)})
                why = f"Memory: {memory_words(killed)}. Where it is run again, its batches are half as large."
            self.instance.report_run_failed(run, why)

    def _end_cancelled(self, in_hand: RunsInHand) -> None:
        """Interrupts runs that somebody ended; the process of one that does not notice is ended."""
        from dagster import DagsterRunStatus

        for slot in self._busy():
            run_id = str(slot.run_id)
            if slot.interrupted is None:
                run = self.instance.get_run_by_id(run_id)
                if run is not None and run.status is DagsterRunStatus.CANCELING:
                    slot.interrupt()
            elif time.monotonic() - slot.interrupted > DEAF:
                self._drop(slot)
                if (run := self.instance.get_run_by_id(run_id)) is not None and not run.is_finished:
                    self.instance.report_run_canceled(run, "Its process did not notice and was ended.")
                in_hand.let_go(run_id)

    def _end_idle(self) -> None:
        now = time.monotonic()
        for slot in self._idle():
            if now - slot.since > IDLE:
                self._drop(slot)

    def _drain(self, in_hand: RunsInHand) -> None:
        deadline = time.monotonic() + self.grace
        self._collect(in_hand)
        while self._busy() and time.monotonic() < deadline:
            self._wait(in_hand, min(LOOK, max(0.0, deadline - time.monotonic())))
            self._collect(in_hand)
        for slot in self._busy():
            self._drop(slot)
            run = self.instance.get_run_by_id(str(slot.run_id))
            if run is not None and not run.is_finished:
                self.report(f"handed back: run {run.run_id}")
                self.instance.report_run_failed(run, "Its run worker was stopped before it ended; it is run again.")

    def _wait(self, in_hand: RunsInHand, seconds: float) -> None:
        self.turned = time.monotonic()
        in_hand.wait(
            seconds, [*(slot.pipe for slot in self.running), *(slot.process.sentinel for slot in self.running)]
        )

    def _busy(self) -> list[Slot]:
        return [slot for slot in self.running if slot.run_id is not None]

    def _idle(self) -> list[Slot]:
        return [slot for slot in self.running if slot.run_id is None]

    def _drop(self, slot: Slot) -> None:
        slot.end()
        self.running.remove(slot)
