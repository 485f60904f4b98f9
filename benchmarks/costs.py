"""`python -m benchmarks.costs`: what a case costs, by a straight line through nights of several sizes.

Each night is decided in a process of its own after a small one that pays for what a process pays once. `--write` keeps
the figures in `benchmarks/costs.json`, from which `benchmarks.capacity` and `benchmarks.queueing` compute.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from scipy import stats

from benchmarks.child import WARM_UP, WORKFLOW
from benchmarks.home import bench_home, measured
from benchmarks.tables import machine, table
from pipeline_project.commands.shared.app_context import workflow

FEW, USUAL = 200, 70
HELD = Path(__file__).with_name("costs.json")
#: The share of the lines that hold what was measured, were it measured again.
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Line:
    """`a_night` + `a_case` x cases, of what was measured at several sizes.

    Attributes:
        low, high: of `a_case`, at `CONFIDENCE`; nothing where there are too few nights to tell.
    """

    a_night: float
    a_case: float
    low: float | None = None
    high: float | None = None

    def at(self, cases: float) -> float:
        return max(0.0, self.a_night + self.a_case * cases)


@dataclass(frozen=True)
class Costs:
    """What nights were measured to take.

    Attributes:
        machine: where. sizes: cases of each night.
        steps: processor seconds of each step. database: of the server. beyond: of the process, outside of any step.
        rows: of each table of the ledger. bytes: of each store. counts: statements, events.
        requests: of one night to an object store by method, of a fresh process; empty where that was not measured.
    """

    machine: str
    sizes: Sequence[int]
    steps: Mapping[str, Line]
    database: Line
    beyond: Line
    rows: Mapping[str, Line]
    bytes: Mapping[str, Line]
    counts: Mapping[str, Line]
    requests: Mapping[str, Line]


def fitted(sizes: Sequence[float], values: Sequence[float]) -> Line:
    """The straight line of least squares.

    Raises:
        ValueError: fewer than two sizes.
    """
    if len(set(sizes)) < 2:
        raise ValueError("a line needs nights of two sizes at least; give more --sizes")
    line = stats.linregress(sizes, values)
    a_night, a_case = float(line.intercept), float(line.slope)
    if len(sizes) == 2:
        return Line(a_night, a_case)
    # where every night had the same there is nothing to be unsure of, and scipy says so by no number
    unsure = 0.0 if math.isnan(line.stderr) else float(line.stderr)
    around = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(sizes) - 2)) * unsure
    return Line(a_night, a_case, a_case - around, a_case + around)


def held() -> Costs:
    """The figures that were written last."""
    found = json.loads(HELD.read_text())

    def lines(of: Mapping[str, Mapping[str, float]]) -> dict[str, Line]:
        return {name: Line(**line) for name, line in of.items()}

    return Costs(
        found["machine"],
        found["sizes"],
        lines(found["steps"]),
        Line(**found["database"]),
        Line(**found["beyond"]),
        *(lines(found[name]) for name in ("rows", "bytes", "counts", "requests")),
    )


def measure(sizes: Sequence[int], repeats: int, requests: bool) -> Costs:
    """Nights of each size in one home, and two with its lake and reports in an object store."""
    spec = workflow(WORKFLOW)
    where = machine()
    with bench_home() as home:
        start, first = spec.nights.decide_from - timedelta(days=WARM_UP), spec.nights.decide_from
        _write(home, start, first, FEW)
        measured(home, "nights", first=str(start), last=str(first))
        nights, day = [], first
        for size in [size for _ in range(repeats) for size in sizes]:
            night: dict[str, Any] = {}
            # a night with a training before it has that in its figures: the next one of that size has none
            while not night or night["rows"].get("model_versions"):
                before, day = day + timedelta(days=1), day + timedelta(days=2)
                _write(home, before, before, USUAL)
                _write(home, day, day, size)
                night = measured(home, "cost", before=str(before), measured=str(day))
            nights.append(night)
    asked = _requested(sizes[:2]) if requests else []
    return _lines(where, nights, asked)


def _lines(where: str, nights: Sequence[dict[str, Any]], asked: Sequence[tuple[int, Mapping[str, int]]]) -> Costs:
    sizes = [night["cases"] for night in nights]

    def of(part: str) -> dict[str, Line]:
        names = sorted({name for night in nights for name in night[part]})
        return {name: fitted(sizes, [night[part].get(name, 0.0) for night in nights]) for name in names}

    beyond = [max(0.0, night["processor"] - sum(night["steps"].values())) for night in nights]
    methods = sorted({name for _, counts in asked for name in counts})
    wanted = [size for size, _ in asked]
    return Costs(
        where,
        sizes,
        of("steps"),
        fitted(sizes, [night["database"] for night in nights]),
        fitted(sizes, beyond),
        of("rows"),
        of("bytes"),
        of("counts"),
        {name: fitted(wanted, [counts.get(name, 0) for _, counts in asked]) for name in methods},
    )


def _requested(sizes: Sequence[int]) -> list[tuple[int, Mapping[str, int]]]:
    """What a fresh process asks of an object store for a decided night: its lake and its reports lie there."""
    from tests.s3_server import S3Process

    spec, store = workflow(WORKFLOW), S3Process.start()
    asked: list[tuple[int, Mapping[str, int]]] = []
    try:
        with bench_home() as home:
            variables = {**store.environ, "PIPELINE_LAKE_URL": store.bucket(), "PIPELINE_REPORTS": store.bucket()}
            start, day = spec.nights.decide_from - timedelta(days=WARM_UP), spec.nights.decide_from
            _write(home, start, day, USUAL)
            measured(home, "nights", variables, first=str(start), last=str(day))
            for size in sizes:
                day += timedelta(days=1)
                cases = _write(home, day, day, size)
                store.refuse()
                measured(home, "nights", variables, first=str(day), last=str(day))
                counts: dict[str, int] = {}
                for method, _, _ in store.refuse():
                    counts[method] = counts.get(method, 0) + 1
                asked.append((cases, counts))
    finally:
        store.stop()
    return asked


def _write(home: Path, first: date, last: date, cases: int) -> int:
    return int(measured(home, "sample", first=str(first), last=str(last), cases=cases)["cases"])


def report(costs: Costs) -> str:
    """The lines as tables."""
    whole = [("database", costs.database), ("outside of the steps", costs.beyond)]
    dearest = sorted(costs.steps.items(), key=lambda step: -step[1].a_case)
    rows = sorted(costs.rows.items(), key=lambda table: -table[1].a_case)
    told = [
        _table("Processor seconds", [*dearest, *whole], 1_000.0, "ms a case"),
        _table("Rows of the ledger", rows, 1.0, "a case"),
        _table("Bytes", list(costs.bytes.items()), 1.0, "a case"),
        _table("Statements and events", list(costs.counts.items()), 1.0, "a case"),
    ]
    if costs.requests:
        told.append(_table("Requests to an object store", list(costs.requests.items()), 1.0, "a case"))
    return "\n".join(told)


def _table(title: str, lines: Sequence[tuple[str, Line]], scale: float, unit: str) -> str:
    columns = ["", "a night", unit, f"from ({CONFIDENCE:.0%})", "to"]
    rows = [
        (name, line.a_night, *("" if of is None else of * scale for of in (line.a_case, line.low, line.high)))
        for name, line in lines
        if abs(line.a_night) >= 0.001 or abs(line.a_case * scale) >= 0.001
    ]
    return table(title, columns, rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costs", description=__doc__)
    parser.add_argument("--sizes", default="100,500,2000", help="cases a night (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=2, help="nights of each size (default: %(default)s)")
    parser.add_argument("--requests", action="store_true", help="also with an object store (moto)")
    parser.add_argument("--held", action="store_true", help="only print what was written last")
    parser.add_argument("--write", action="store_true", help="keep the figures for the calculations")
    given = parser.parse_args()
    sizes = sorted(int(size) for size in given.sizes.split(","))
    costs = held() if given.held else measure(sizes, given.repeats, given.requests)
    print(
        f"## What a case costs\n\n{costs.machine}. Nights of {', '.join(f'{size:,}' for size in costs.sizes)} cases.\n"
    )
    print(report(costs))
    if given.write:
        HELD.write_text(json.dumps(asdict(costs), indent=1) + "\n")


if __name__ == "__main__":
    main()
