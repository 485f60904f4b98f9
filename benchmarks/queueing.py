"""`python -m benchmarks.queueing`: a night's queueing, simulated with measured service times.

Every workflow's run comes at its hour, waits for a place at a run worker and holds it to its end; each of its steps
needs a core, those that encode the pool's place besides; what it decided goes to the dispatchers, what it asks to the
people at the desk, who come in the morning. Service times are the lines of `benchmarks/costs.json`.

`--check` runs nights here, takes service times from the first half of them, and compares the simulated end of each
night of the second half with the real one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import accumulate
from random import Random
from typing import Any

from benchmarks.child import WARM_UP, WORKFLOW
from benchmarks.costs import Costs, fitted, held
from benchmarks.home import bench_home, measured
from benchmarks.simulation import Give, Process, Resource, Simulation, Take, Wait
from benchmarks.tables import machine, percent, table
from pipeline_project.commands.shared.app_context import workflow

HOUR = 3600.0
#: Steps that touch a device and stand in the pool `gpu` (docs/gpu.md).
POOLED = frozenset({"embeddings", "scores", "shadow_scores", "challenger"})


@dataclass(frozen=True)
class House:
    """What there is to work with.

    Attributes:
        workers: places of run workers. cores: of all hosts together. pool: places in the pool `gpu`.
        dispatchers: processes. send_seconds: of one action, at its destination.
        people: at the desk. answer_seconds: of one task. morning: hours after the night began at which they come.
        look_seconds: until the queue of runs is looked at.
    """

    workers: int = 4
    cores: int = 16
    pool: int = 1
    dispatchers: int = 2
    send_seconds: float = 0.05
    people: int = 10
    answer_seconds: float = 60.0
    morning: float = 8.0
    look_seconds: float = 1.0


@dataclass(frozen=True)
class Load:
    """A night: so many workflows, their cases, when each comes (hours), the shares that act and that ask people."""

    workflows: int
    cases: int
    hours: float = 1.0
    acting: float = 0.75
    asking: float = 0.25


@dataclass
class Ended:
    """When things were over, in hours after the night began.

    Attributes:
        decided: each workflow's night. sent: the last action. answered: the last task.
    """

    decided: list[float] = field(default_factory=list)
    sent: float = 0.0
    answered: float = 0.0


@dataclass
class Night:
    """One night's simulation; the seed decides how tasks and actions vary around their means."""

    costs: Costs
    house: House
    load: Load
    seed: int = 7

    def __post_init__(self) -> None:
        self.simulation, self.random, self.ended = Simulation(), Random(self.seed), Ended()
        self.workers = Resource("run workers", self.house.workers)
        self.cores = Resource("cores", self.house.cores)
        self.pool = Resource("pool gpu", self.house.pool)
        self.dispatchers = Resource("dispatchers", self.house.dispatchers)
        self.people = Resource("people", self.house.people)

    @property
    def resources(self) -> tuple[Resource, ...]:
        return (self.workers, self.cores, self.pool, self.dispatchers, self.people)

    def run(self) -> Ended:
        apart = self.load.hours * HOUR / self.load.workflows
        for place in range(self.load.workflows):
            self.simulation.begin(self._run(), place * apart)
        self.simulation.run()
        return self.ended

    def _run(self) -> Process:
        yield Wait(self.house.look_seconds)
        yield Take(self.workers)
        for name, line in self.costs.steps.items():
            yield from self._step(line.at(self.load.cases), name in POOLED)
        yield from self._step(self.costs.beyond.at(self.load.cases) + self.costs.database.at(self.load.cases), False)
        yield Give(self.workers)
        self.ended.decided.append(self.simulation.now / HOUR)
        self._follow()

    def _step(self, seconds: float, pooled: bool) -> Process:
        if pooled:
            yield Take(self.pool)
        yield Take(self.cores)
        yield Wait(seconds)
        yield Give(self.cores)
        if pooled:
            yield Give(self.pool)

    def _follow(self) -> None:
        """Actions and tasks, in batches of a hundred: a batch holds one place for as long as its parts would."""
        morning = max(self.simulation.now, self.house.morning * HOUR)
        for _ in range(round(self.load.cases * self.load.acting / _BATCH)):
            self.simulation.begin(self._batch(self.dispatchers, self.house.send_seconds), self.simulation.now)
        for _ in range(round(self.load.cases * self.load.asking / _BATCH)):
            self.simulation.begin(self._batch(self.people, self.house.answer_seconds), morning)

    def _batch(self, resource: Resource, seconds: float) -> Process:
        yield Take(resource)
        # a sum of a hundred exponential times
        yield Wait(self.random.gammavariate(_BATCH, seconds))
        yield Give(resource)
        now = self.simulation.now / HOUR
        if resource is self.people:
            self.ended.answered = max(self.ended.answered, now)
        else:
            self.ended.sent = max(self.ended.sent, now)


_BATCH = 100


def report(costs: Costs, house: House, loads: Sequence[Load]) -> str:
    """When each load's nights, actions and tasks were over, and how busy what there is was."""
    ends, used = [], []
    for load in loads:
        night = Night(costs, house, load)
        ended = night.run()
        title = f"{load.workflows} x {load.cases:,}"
        ends.append((title, max(ended.decided), ended.sent, ended.answered))
        over = max(ended.decided) * HOUR
        busy = [percent(resource.busy / (resource.places * over)) for resource in night.resources[:3]]
        used.append((title, *busy, max(night.workers.waited) / HOUR, max(night.pool.waited) / HOUR))
    shape = f"{house.workers} run workers, {house.cores} cores, {house.pool} in the pool, {house.people} people"
    return "\n".join(
        [
            table(f"Hours after the night began: {shape}", ["workflows x cases", "decided", "sent", "answered"], ends),
            table(
                "How busy until all was decided, and the longest waits in hours",
                ["workflows x cases", "run workers", "cores", "pool", "for a worker", "for the pool"],
                used,
            ),
        ]
    )


def check(nights: int, cases: int) -> str:
    """Nights of sizes that follow the day of the week, one after the other in one process, real and simulated."""
    first = workflow(WORKFLOW).nights.decide_from - timedelta(days=WARM_UP)
    last = first + timedelta(days=WARM_UP + nights)
    with bench_home() as home:
        # how many come follows the day of the week, so the line has something to rest on
        measured(home, "sample", first=str(first), last=str(last), cases=cases)
        there = measured(home, "growth", first=str(first), last=str(last), named=WORKFLOW)["nights"][WARM_UP + 1 :]
    half = len(there) // 2
    known, asked = there[:half], there[half:]
    # by the clock, and by the processor, whose seconds other work on the machine hardly changes
    kinds = (lambda night: night["seconds"], lambda night: night["processor"] + night["database"])
    by_kind = [_beside(known, asked, took) for took in kinds]
    rows = [
        (f"{place}: {night['cases']:,} cases", *clock, *processor)
        for place, (night, clock, processor) in enumerate(zip(asked, *by_kind, strict=True), start=1)
    ]
    title = f"The end of each of {len(asked)} nights that wait for one worker, service times of {half} nights before"
    columns = ["night", "real, s", "simulated, s", "error", "real, processor s", "simulated", "error"]
    return table(title, columns, rows)


def _beside(
    known: Sequence[dict[str, Any]], asked: Sequence[dict[str, Any]], took: Callable[[dict[str, Any]], float]
) -> list[tuple[float, float, str]]:
    """The real and the simulated end of each night asked about, and how far the second lies off."""
    line = fitted([night["cases"] for night in known], [took(night) for night in known])
    worker, simulation, ends = Resource("run workers", 1), Simulation(), []

    def run(seconds: float) -> Process:
        yield Take(worker)
        yield Wait(seconds)
        yield Give(worker)
        ends.append(simulation.now)

    for night in asked:
        simulation.begin(run(line.at(night["cases"])))
    simulation.run()
    real = accumulate(took(night) for night in asked)
    return [(one, other, percent(other / one - 1)) for one, other in zip(real, ends, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queueing", description=__doc__)
    parser.add_argument("--loads", default="4x25000,20x5000,100x1000", help="workflows x cases (default: %(default)s)")
    parser.add_argument("--house", default="{}", help='as JSON: {"workers": 8, "cores": 32}')
    parser.add_argument("--check", type=int, metavar="NIGHTS", help="so many real nights beside simulated ones")
    parser.add_argument("--cases", type=int, default=100, help="of a night of --check (default: %(default)s)")
    given = parser.parse_args()
    print(f"## A night's queueing\n\n{machine()}.\n", flush=True)
    if given.check:
        print(check(given.check, given.cases))
        return
    loads = [Load(*(int(part) for part in load.split("x"))) for load in given.loads.split(",")]
    print(report(held(), House(**json.loads(given.house)), loads))


if __name__ == "__main__":
    main()
