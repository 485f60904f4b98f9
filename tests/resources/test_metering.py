"""Processor seconds of steps: a step's own thread is its own, helpers' go to who runs, nothing is counted twice."""

from __future__ import annotations

import resource
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import numpy as np
import pytest

from pipeline_project.ports.metering import StepProcessor
from resources import metering
from resources.metering import METER, RunMeter, StepMeter

START, SUCCESS = dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_SUCCESS
FAILED, RETRY = dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.STEP_UP_FOR_RETRY
RESTARTED = dg.DagsterEventType.STEP_RESTARTED


@dataclass
class Clocks:
    """A process of two threads that run steps, with helpers beside them; `spend` lets one of them work."""

    threads: dict[int, float] = field(default_factory=lambda: {1: 0.0, 2: 0.0})
    helpers: float = 0.0
    current: int = 1
    wall: float = 0.0

    def process_time(self) -> float:
        return sum(self.threads.values()) + self.helpers

    def thread_time(self) -> float:
        return self.threads[self.current]

    def monotonic(self) -> float:
        return self.wall

    def pthread_getcpuclockid(self, ident: int) -> int:
        return ident

    def clock_gettime(self, clock: int) -> float:
        return self.threads[clock]

    def get_ident(self) -> int:
        return self.current

    def enumerate(self) -> list[Any]:
        return [type("Alive", (), {"ident": ident})() for ident in self.threads]

    Lock = staticmethod(threading.Lock)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks()
    monkeypatch.setattr(metering, "time", made)
    monkeypatch.setattr(metering, "threading", made)
    return made


def seconds(meter: StepMeter, run_id: str = "run") -> dict[str, StepProcessor]:
    return dict(meter.steps(run_id))


def test_a_step_alone_has_its_own_thread_and_all_helpers(clocks: Clocks) -> None:
    meter = StepMeter()
    clocks.threads[1] += 50  # before any step
    meter.observe(START, "run", "embeddings")
    clocks.threads[1] += 2
    clocks.helpers += 5
    meter.observe(SUCCESS, "run", "embeddings")
    clocks.helpers += 70  # between steps
    meter.observe(START, "run", "clusters")
    clocks.threads[1] += 1
    meter.observe(SUCCESS, "run", "clusters")
    assert seconds(meter) == {"embeddings": StepProcessor(7, shared=False), "clusters": StepProcessor(1, shared=False)}


def test_of_two_at_once_each_has_its_own_thread_and_half_of_the_helpers(clocks: Clocks) -> None:
    meter = StepMeter()
    meter.observe(START, "run", "one")
    clocks.threads[1] += 3
    clocks.helpers += 1
    clocks.current = 2
    meter.observe(START, "other", "two")
    clocks.threads[1] += 10
    clocks.threads[2] += 20
    clocks.helpers += 8
    clocks.current = 1
    meter.observe(SUCCESS, "run", "one")
    clocks.threads[2] += 5
    clocks.helpers += 2
    clocks.current = 2
    meter.observe(SUCCESS, "other", "two")
    assert seconds(meter) == {"one": StepProcessor(3 + 1 + 10 + 4, shared=True)}
    assert seconds(meter, "other") == {"two": StepProcessor(20 + 4 + 5 + 2, shared=True)}
    assert clocks.process_time() == 18 + 31


def test_where_threads_cannot_be_told_apart_all_is_split(clocks: Clocks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Clocks, "pthread_getcpuclockid")
    meter = StepMeter()
    meter.observe(START, "run", "one")
    clocks.current = 2
    meter.observe(START, "run", "two")
    clocks.threads[1] += 10
    meter.observe(SUCCESS, "run", "two")
    clocks.current = 1
    meter.observe(SUCCESS, "run", "one")
    assert sum(step.seconds for step in seconds(meter).values()) == 10


def test_tries_of_a_step_add_up_and_one_that_was_broken_off_ends_with_the_next_of_its_thread(clocks: Clocks) -> None:
    meter = StepMeter()
    meter.observe(START, "run", "cases")
    clocks.threads[1] += 1
    meter.observe(RETRY, "run", "cases")
    clocks.threads[1] += 40  # waits for its next try
    meter.observe(RESTARTED, "run", "cases")
    clocks.threads[1] += 2
    meter.observe(FAILED, "run", "cases")
    meter.observe(START, "run", "broken_off")
    clocks.threads[1] += 30
    meter.observe(START, "again", "cases")
    clocks.threads[1] += 4
    meter.observe(SUCCESS, "again", "cases")
    meter.observe(SUCCESS, "again", "never_begun")
    assert seconds(meter) == {"cases": StepProcessor(3, shared=False)}
    assert seconds(meter, "again") == {"cases": StepProcessor(4, shared=False)}


def test_outputs_of_a_step_share_what_it_took_in_the_order_in_which_they_are_written(clocks: Clocks) -> None:
    meter = StepMeter()
    on_cpu, on_gpu = RunMeter(meter, "cpu"), RunMeter(meter, "cuda")
    assert on_cpu.output_metadata("run", "clusters", None) == {}
    meter.observe(START, "run", "clusters")
    clocks.threads[1] += 3
    clocks.wall += 10
    assert on_cpu.output_metadata("run", "clusters", "gpu") == {"processor_seconds": 3}
    clocks.threads[1] += 1
    clocks.wall += 2
    assert on_gpu.output_metadata("run", "clusters", "gpu") == {"processor_seconds": 1, "device_seconds": 2}
    clocks.threads[1] += 5
    assert on_gpu.output_metadata("run", "clusters", None) == {"processor_seconds": 5}
    meter.observe(SUCCESS, "run", "clusters")
    assert seconds(meter) == {"clusters": StepProcessor(9, shared=False)}


def test_runs_long_over_are_forgotten(clocks: Clocks) -> None:
    meter = StepMeter()
    for run in range(200):
        meter.observe(START, f"run {run}", "cases")
        meter.observe(SUCCESS, f"run {run}", "cases")
    assert len(meter._ended) <= 64
    assert seconds(meter, "run 199") and not seconds(meter, "run 0")


def test_what_real_steps_are_given_is_what_the_system_says_the_process_spent() -> None:
    """Against another clock, the kernel's account of the process: two steps at once, with helpers of their own."""
    meter, begun, go_on = StepMeter(), threading.Barrier(2), threading.Barrier(2)

    def work() -> None:
        np.sort(np.random.default_rng(0).normal(size=1_000_000))

    def step(name: str) -> None:
        meter.observe(START, "run", name)
        begun.wait()
        with ThreadPoolExecutor(1) as helper:
            helper.submit(work).result()
        work()
        go_on.wait()
        meter.observe(SUCCESS, "run", name)

    before = resource.getrusage(resource.RUSAGE_SELF)
    threads = [threading.Thread(target=step, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    given = seconds(meter)
    assert given["one"].shared and given["two"].shared
    assert 0 < sum(one.seconds for one in given.values()) <= spent + 0.01


def test_the_event_log_lets_the_meter_know(new_database: Any) -> None:
    from tests.resources.dagster_storage.test_event_log import instance, run

    with instance(new_database()) as made:
        done = run(made)
    steps = METER.steps(done.run_id)
    assert set(steps) == {"cases", "scoring", "rules"}
    assert all(step.seconds > 0 for step in steps.values())
