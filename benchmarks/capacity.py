"""`python -m benchmarks.capacity`: what 100 thousand, a million and 10 million cases a night take; what breaks first.

Computed from `benchmarks/costs.json`, which `benchmarks.costs` measured, and from `benchmarks/prices.csv`, which has
examples of list prices: put in your own. Lines through nights of at most some thousand cases are drawn out a thousand
times as far: what a table says there is a calculation, not a measurement.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.costs import Costs, held
from benchmarks.tables import table

PRICES = Path(__file__).with_name("prices.csv")
HOUR, DAY, MONTH_NIGHTS, GIB, PAGE = 3600.0, 24.0, 30.0, 2.0**30, 8192.0
WRITING = frozenset({"PUT", "POST", "DELETE", "LIST"})
#: Cases up to which clustering was measured (docs/bench.md).
CLUSTERED = 200_000


@dataclass(frozen=True)
class Assumed:
    """What the calculation takes for granted; each can be said otherwise.

    Attributes:
        window: hours in which a night has to be decided. busy: the share of a core that may be used.
        host_cores, host_gib: of one host. workflow_cases: of one workflow's night; more cases are more workflows.
        asking: the share of cases that people are asked about. answer_seconds: of one. shift: hours of a person a day.
        kept_nights: that the stores keep.
    """

    window: float = 6.0
    busy: float = 0.6
    host_cores: int = 16
    host_gib: float = 64.0
    workflow_cases: int = 25_000
    asking: float = 0.25
    answer_seconds: float = 60.0
    shift: float = 7.0
    kept_nights: int = 365


@dataclass(frozen=True)
class Needed:
    """What so many cases a night need; money in the prices' currency, a night."""

    cases: int
    workflows: int
    core_hours: float
    hosts: int
    database_core_hours: float
    rows: float
    row_rate: float
    pages_a_second: float
    statements: float
    events: float
    requests: float
    ledger_gib: float
    lake_gib: float
    people: int
    machine_money: float
    store_money: float
    people_money: float


def prices(path: Path = PRICES) -> dict[str, float]:
    """By item.

    Raises:
        ValueError: a price is no number.
    """
    with path.open(encoding="utf-8", newline="") as file:
        return {row["item"]: float(row["price"]) for row in csv.DictReader(file)}


def needed(costs: Costs, price: dict[str, float], assumed: Assumed, cases: int) -> Needed:
    """The calculation for one size."""
    workflows = math.ceil(cases / assumed.workflow_cases)
    each = cases / workflows
    seconds = workflows * (sum(line.at(each) for line in costs.steps.values()) + costs.beyond.at(each))
    database = workflows * costs.database.at(each)
    window = assumed.window * HOUR
    # a run's process is full where its memory is: hosts are counted by whichever runs out first
    at_once = max(1, math.ceil(seconds / (window * assumed.busy)))
    memory = at_once * costs.bytes["memory at its peak"].at(each) / GIB
    hosts = max(math.ceil(at_once / assumed.host_cores), math.ceil(memory / assumed.host_gib))
    rows = workflows * sum(line.at(each) for line in costs.rows.values())
    ledger, lake = (workflows * costs.bytes[name].at(each) / GIB for name in ("ledger", "lake"))
    asked = {name: workflows * line.at(each) for name, line in costs.requests.items()}
    people_hours = cases * assumed.asking * assumed.answer_seconds / HOUR
    stored = (ledger * price["block_month"] + lake * price["object_month"]) * assumed.kept_nights / MONTH_NIGHTS
    requested = sum(count / 1000 * price["writes" if method in WRITING else "reads"] for method, count in asked.items())
    return Needed(
        cases=cases,
        workflows=workflows,
        core_hours=seconds / HOUR,
        hosts=hosts,
        database_core_hours=database / HOUR,
        rows=rows,
        row_rate=rows / window,
        # the row's page and its log; what an index adds is in the measured bytes
        pages_a_second=2 * ledger * GIB / PAGE / window,
        statements=workflows * costs.counts["statements"].at(each),
        events=workflows * costs.counts["Dagster events"].at(each),
        requests=sum(asked.values()),
        ledger_gib=ledger,
        lake_gib=lake,
        people=math.ceil(people_hours / assumed.shift),
        machine_money=(hosts * assumed.host_cores * assumed.window + 16 * DAY) * price["core"],
        store_money=stored + requested,
        people_money=people_hours * price["person"],
    )


@dataclass(frozen=True)
class Limit:
    """Something that ends before the cases do: `at` so many a night."""

    what: str
    at: float
    why: str


def limits(costs: Costs, assumed: Assumed) -> list[Limit]:
    """What breaks, the first first."""
    window = assumed.window * HOUR
    steps = {name: line for name, line in costs.steps.items() if line.a_case > 0}
    run_case = sum(line.a_case for line in costs.steps.values()) + costs.beyond.a_case + costs.database.a_case
    run_night = sum(line.a_night for line in costs.steps.values()) + costs.beyond.a_night + costs.database.a_night
    slowest = max(steps, key=lambda name: steps[name].a_case)
    peak = costs.bytes["memory at its peak"]
    found = [
        Limit(
            "one workflow's night in one process",
            (window - run_night) / run_case,
            f"steps come one after the other, most of them on one core; the dearest is `{slowest}`: "
            f"{steps[slowest].a_case * 1000:.1f} ms a case",
        ),
        Limit(
            "clusters of one workflow",
            float(CLUSTERED),
            "the largest night that was measured (docs/bench.md); beyond it nothing is shown",
        ),
    ]
    if peak.a_case > 0:
        fits = (assumed.host_gib * GIB - peak.a_night) / peak.a_case
        why = f"{peak.a_case / 1024:.0f} KiB a case on a host of {assumed.host_gib:g} GiB"
        found.append(Limit("memory of one workflow's night", fits, why))
    if costs.database.a_case > 0:
        of_one = window / costs.database.a_case
        why = f"{costs.database.a_case * 1000:.2f} ms of the server's processor a case; the chain is one writer's"
        found.append(Limit("one PostgreSQL, one core of it", of_one, why))
    per_day = assumed.shift * HOUR / assumed.answer_seconds
    hundred = 100 * per_day / assumed.asking
    found.append(Limit("a hundred people at the desk", hundred, f"{assumed.asking:.0%} of the cases are asked"))
    return sorted(found, key=lambda limit: limit.at)


def report(costs: Costs, price: dict[str, float], assumed: Assumed, sizes: Sequence[int]) -> str:
    """The tables."""
    found = [needed(costs, price, assumed, size) for size in sizes]
    lines: dict[str, list[object]] = {
        "workflows": [of.workflows for of in found],
        "core hours": [of.core_hours for of in found],
        f"hosts of {assumed.host_cores} cores": [of.hosts for of in found],
        "GPU hours": ["not measured"] * len(found),
        "core hours of the database": [of.database_core_hours for of in found],
        "rows of the ledger": [round(of.rows) for of in found],
        "rows a second, in the window": [of.row_rate for of in found],
        "pages of 8 KiB written a second": [of.pages_a_second for of in found],
        "statements": [round(of.statements) for of in found],
        "Dagster's events": [round(of.events) for of in found],
        "requests to the object store": [round(of.requests) if of.requests else "not measured" for of in found],
        "ledger, GiB a night": [of.ledger_gib for of in found],
        "lake, GiB a night": [of.lake_gib for of in found],
        "people, a shift each": [of.people for of in found],
        "machines, USD a night": [of.machine_money for of in found],
        f"stores that hold {assumed.kept_nights} nights, USD a night": [of.store_money for of in found],
        "people, USD a night": [of.people_money for of in found],
        "machines, USD a thousand cases": [1000 * of.machine_money / of.cases for of in found],
    }
    heads = ["cases a night", *(f"{size:,}" for size in sizes)]
    broken = [(limit.what, round(limit.at), limit.why) for limit in limits(costs, assumed)]
    told = [
        table("A night", heads, [(name, *values) for name, values in lines.items()]),
        table("What breaks, the first first", ["", "cases a night", "why"], broken),
    ]
    return "\n".join(told)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=__doc__)
    parser.add_argument("--cases", default="100000,1000000,10000000", help="a night (default: %(default)s)")
    parser.add_argument("--window", type=float, default=Assumed.window, help="hours (default: %(default)s)")
    parser.add_argument("--asking", type=float, default=Assumed.asking, help="share for people (default: %(default)s)")
    parser.add_argument("--prices", type=Path, default=PRICES, help="a file like benchmarks/prices.csv")
    given = parser.parse_args()
    costs, assumed = held(), Assumed(window=given.window, asking=given.asking)
    print(f"## Capacity\n\nFrom nights measured on {costs.machine}.\n")
    print(report(costs, prices(given.prices), assumed, [int(size) for size in given.cases.split(",")]))


if __name__ == "__main__":
    main()
