"""`python -m benchmarks`: every measurement, or one of them, as Markdown tables."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from benchmarks.child import WARM_UP, WORKFLOW
from benchmarks.home import bench_home, measured
from benchmarks.loading import BEST_OF, loading
from benchmarks.tables import machine, percent, table, verdict
from pipeline_project.commands.shared.app_context import workflow

SIZES = (200, 2_000, 20_000)
NIGHTS, BACKFILL_CASES = 30, 60
#: Of a model's warm-up, and of the night before each measured one.
FEW = 200
SECOND_RUN_GOAL = 0.05
MIB = 2**20


def main() -> None:
    given = _arguments()
    began = time.perf_counter()
    print(f"## Speed and size\n\n{machine()}.\n", flush=True)
    parts: dict[str, Callable[[], None]] = {
        "import": tell_loading,
        "night": lambda: tell_nights(given.sizes),
        "backfill": lambda: tell_backfill(given.nights),
        "sizes": tell_growing,
    }
    for name, tell in parts.items():
        if given.only in (None, name):
            tell()
    print(f"Taken in {time.perf_counter() - began:,.0f} seconds.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--sizes", type=_sizes, default=SIZES, help="cases a night, as 200,2000 (default: %(default)s)")
    parser.add_argument("--nights", type=int, default=NIGHTS, help="nights of the backfill (default: %(default)s)")
    parser.add_argument("--only", choices=["import", "night", "backfill", "sizes"], help="one measurement alone")
    return parser.parse_args()


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(size) for size in text.split(",")))


def tell_loading() -> None:
    found = loading()
    rows = [
        ("`import pipeline_project.definitions`", found.imported),
        ("building them, all jobs included", found.built),
        ("both", found.imported + found.built),
    ]
    print(table(f"Loading the definitions, best of {BEST_OF} processes", ["", "seconds"], rows))
    heavy = f"Heavy libraries imported (goal: none): {', '.join(found.heavy) or 'none'}, {verdict(not found.heavy)}.\n"
    print(heavy)
    print(table("The slowest packages of that import", ["package", "seconds"], found.packages), flush=True)


def tell_nights(sizes: Sequence[int]) -> None:
    """Nights of rising size in one home: a warm-up, then per size a small night unmeasured and one measured."""
    spec = workflow(WORKFLOW)
    with bench_home() as home:
        start, first = spec.nights.decide_from - timedelta(days=WARM_UP), spec.nights.decide_from
        _write(home, start, first, FEW)
        measured(home, "nights", first=str(start), last=str(first))
        found = {}
        for place, size in enumerate(sizes):
            before = first + timedelta(days=1 + 2 * place)
            _write(home, before, before, FEW)
            night = before + timedelta(days=1)
            _write(home, night, night, size)
            found[size] = measured(home, "night", before=str(before), measured=str(night))
    print(_night_table(found))
    print(_breakdown("Seconds of the numerical calls", "numerical", found))
    print(_breakdown("Seconds of the slowest steps", "steps", found))
    print(_again_table(found), flush=True)


def _write(home: Path, first: date, last: date, cases: int) -> None:
    measured(home, "sample", first=str(first), last=str(last), cases=cases)


def _night_table(found: dict[int, dict[str, Any]]) -> str:
    columns = ["cases", "seconds", "processor seconds", "numerical", "outside", "share outside", "peak memory, MiB"]
    rows = []
    for night in found.values():
        numerical = sum(night["numerical"].values())
        outside = night["seconds"] - numerical
        share = percent(outside / night["seconds"])
        peak = round(night["peak_bytes"] / MIB)
        rows.append(
            (f"{night['cases']:,}", night["seconds"], night["processor_seconds"], numerical, outside, share, peak)
        )
    return table("One decided night", columns, rows)


def _breakdown(title: str, part: str, found: dict[int, dict[str, Any]]) -> str:
    kinds = dict.fromkeys(kind for night in found.values() for kind in night[part])
    columns = ["", *(f"{night['cases']:,} cases" for night in found.values())]
    return table(title, columns, [(kind, *(night[part].get(kind, "") for night in found.values())) for kind in kinds])


def _again_table(found: dict[int, dict[str, Any]]) -> str:
    columns = ["cases", "first run", "second run", "share of the first", f"goal {SECOND_RUN_GOAL:.0%}"]
    rows = []
    for name, kind in (("passed over", "passed_over"), ("with `--again`", "again")):
        for night in found.values():
            share = night[kind] / night["seconds"]
            reached = verdict(share <= SECOND_RUN_GOAL)
            rows.append((f"{night['cases']:,}, {name}", night["seconds"], night[kind], percent(share), reached))
    return table("The same night a second time, in seconds", columns, rows)


def tell_backfill(nights: int) -> None:
    """Half of the nights warm up, the others are decided; the training of the first of these is among them."""
    first = workflow(WORKFLOW).nights.decide_from - timedelta(days=nights // 2)
    last = first + timedelta(days=nights - 1)
    with bench_home() as home:
        _write(home, first, last, BACKFILL_CASES)
        found = measured(home, "nights", first=str(first), last=str(last))
    seconds, own = found["seconds"], found["own_seconds"]
    columns = ["nights", "seconds", "sum of their runs", "between the runs", "seconds a night"]
    rows = [(str(found["nights"]), seconds, own, percent((seconds - own) / seconds), seconds / found["nights"])]
    print(table(f"A backfill at {BACKFILL_CASES} cases a night, in one process", columns, rows), flush=True)


def tell_growing() -> None:
    """Training, replay and drift at sizes of their own."""
    from benchmarks.lifecycle.sizes import tell

    tell()


if __name__ == "__main__":
    main()
