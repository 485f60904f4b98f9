"""The simulator against closed formulas, and against itself."""

from __future__ import annotations

from math import factorial
from random import Random

import pytest

from benchmarks.costs import Costs, Line
from benchmarks.queueing import House, Load, Night
from benchmarks.simulation import Give, Process, Resource, Simulation, Take, Wait

CUSTOMERS = 40_000


def mean_wait(servers: int, arriving: float, served: float) -> float:
    """Mean seconds in the queue of customers who come and are served at exponential times, once it has settled."""
    simulation, desk, random = Simulation(), Resource("desk", servers), Random(3)

    def customer() -> Process:
        yield Take(desk)
        yield Wait(random.expovariate(served))
        yield Give(desk)

    at = 0.0
    for _ in range(CUSTOMERS):
        at += random.expovariate(arriving)
        simulation.begin(customer(), at)
    simulation.run()
    settled = desk.waited[CUSTOMERS // 10 :]
    return sum(settled) / len(settled)


def erlang_wait(servers: int, arriving: float, served: float) -> float:
    """Mean seconds in the queue of M/M/c (Erlang C)."""
    load = arriving / served
    last = load**servers / factorial(servers) * servers / (servers - load)
    waits = last / (sum(load**k / factorial(k) for k in range(servers)) + last)
    return waits / (servers * served - arriving)


@pytest.mark.parametrize(("servers", "arriving"), [(1, 0.5), (1, 0.8), (3, 2.4)])
def test_waits_are_those_of_the_closed_formula(servers: int, arriving: float) -> None:
    assert mean_wait(servers, arriving, 1.0) == pytest.approx(erlang_wait(servers, arriving, 1.0), rel=0.1)


def test_one_server_is_the_formula_that_everybody_knows() -> None:
    assert erlang_wait(1, 0.8, 1.0) == pytest.approx(0.8 / (1.0 - 0.8))


def test_first_come_first_served_and_places_are_counted() -> None:
    simulation, two = Simulation(), Resource("two", 2)
    ends: list[tuple[str, float]] = []

    def work(name: str, seconds: float) -> Process:
        yield Take(two)
        yield Wait(seconds)
        yield Give(two)
        ends.append((name, simulation.now))

    for name, seconds in (("a", 5.0), ("b", 1.0), ("c", 1.0), ("d", 1.0)):
        simulation.begin(work(name, seconds))
    assert simulation.run() == 5.0
    assert ends == [("b", 1.0), ("c", 2.0), ("d", 3.0), ("a", 5.0)]
    assert two.waited == [0.0, 0.0, 1.0, 2.0] and two.busy == 8.0 and two.taken == 0


def test_a_place_that_nobody_gives_back_is_an_error() -> None:
    simulation, one = Simulation(), Resource("one", 1)

    def keeping() -> Process:
        yield Take(one)

    simulation.begin(keeping())
    simulation.begin(keeping(), 1.0)
    with pytest.raises(RuntimeError, match="for ever for one"):
        simulation.run()
    with pytest.raises(ValueError, match="is past"):
        simulation.begin(keeping(), -1.0)
    with pytest.raises(ValueError, match="give it one at least"):
        Resource("none", 0)


def costs(encoding: float) -> Costs:
    def line(a_night: float, a_case: float) -> Line:
        return Line(a_night, a_case)

    steps = {"arrivals": line(10.0, 0.0), "embeddings": line(0.0, encoding), "decisions": line(10.0, 0.0)}
    return Costs("here", [1], steps, line(0.0, 0.0), line(0.0, 0.0), {}, {}, {}, {})


def test_a_night_waits_for_its_worker_its_core_and_the_pool() -> None:
    house = House(workers=2, cores=2, pool=1, look_seconds=0.0)
    night = Night(costs(1.0), house, Load(workflows=2, cases=100, hours=0.0))
    # both read at once, encode one after the other, and decide by themselves
    assert night.run().decided == [pytest.approx(120 / 3600), pytest.approx(220 / 3600)]
    assert max(night.pool.waited) == pytest.approx(100.0) and max(night.workers.waited) == 0.0
    alone = Night(costs(1.0), House(workers=1, cores=2, look_seconds=0.0), Load(2, 100, hours=0.0))
    assert max(alone.run().decided) == pytest.approx(240 / 3600)


def test_the_same_night_ends_the_same_and_people_come_in_the_morning() -> None:
    load = Load(workflows=3, cases=4_000, hours=0.5)
    one, again = (Night(costs(0.01), House(people=5), load).run() for _ in range(2))
    assert one == again
    other = Night(costs(0.01), House(people=5), load, seed=8).run()
    assert other.decided == one.decided and other.answered != one.answered
    # 3 x 1,000 tasks of a minute, five people: ten hours from eight on
    assert one.answered == pytest.approx(8 + 10, rel=0.05)
    assert one.sent < 8
