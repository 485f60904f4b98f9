"""Nights against a bare script that makes the same numerical calls: one night, a backfill, early and late nights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.child import WARM_UP, WORKFLOW
from benchmarks.home import OWN, bench_home, measured
from benchmarks.tables import percent, table, verdict
from pipeline_project.commands.shared.app_context import workflow
from pipeline_project.spec.load import SHIPPED

SIZES = (70, 2_000, 20_000)
#: Nights of the smallest size, each beside its bare script; of the larger ones there is one.
REPEATS = 3
BACKFILL, BACKFILL_CASES = 30, 2_000
#: Nights that growth compares, counted from the first decided one, and how many around each.
EARLY, LAST, AROUND = 30, 300, 10
#: Cases of the nights of a model's warm-up, and of the night before each measured one.
FEW, USUAL = 200, 70
MIB = 2**20

Night = dict[str, Any]


def decided(sizes: Sequence[int], repeats: int) -> str:
    """Nights of rising size in one home: a warm-up, then each night in a process of its own, after a small one that
    pays for what a process pays once; and both nights' numerical calls in another process."""
    measurements: dict[int, list[Night]] = {}
    spec = workflow(WORKFLOW)
    with bench_home() as home:
        start, first = spec.nights.decide_from - timedelta(days=WARM_UP), spec.nights.decide_from
        _write(home, start, first, FEW)
        measured(home, "nights", first=str(start), last=str(first))
        day = first
        for place, size in enumerate(sizes):
            measurements[size] = []
            for _ in range(1 if place else repeats):
                before, day = day + timedelta(days=1), day + timedelta(days=2)
                _write(home, before, before, USUAL)
                _write(home, day, day, size)
                keep = home / "calls" / str(day)
                night = measured(home, "night", before=str(before), measured=str(day), keep=str(keep))
                night["bare"] = measured(home, "bare", keep=str(keep))
                measurements[size].append(night)
    return "\n".join(_night_tables([_median(nights) for nights in measurements.values()]))


def _median(nights: list[Night]) -> Night:
    """Number by number the median of several nights of one size; names of steps are those of the first."""

    def of(values: list[Any]) -> Any:
        if isinstance(values[0], dict):
            return {name: of([value[name] for value in values if name in value]) for name in values[0]}
        return median(values)

    return of(nights)


def _night_tables(nights: Sequence[Night]) -> Iterator[str]:
    yield _against_bare(nights)
    yield _first_of_process(nights[0])
    yield _breakdown("Seconds of the numerical calls", [night["warm"]["calls"] for night in nights], nights)
    yield _breakdown("Seconds of the slowest steps", [night["steps"] for night in nights], nights)
    yield _again(nights)


def _against_bare(nights: Sequence[Night]) -> str:
    rows = []
    for number, night in enumerate(nights):
        warm, bare = night["warm"], night["bare"]["warm"]
        whole = warm["processor"] + warm["database"]
        beyond, share = whole - bare["processor"], whole / bare["processor"]
        goal, reached = ("beyond ≤ 1.5", beyond <= 1.5) if number == 0 else _share_goal(number, share)
        rows.append(
            (
                f"{night['cases']:,.0f}",
                warm["seconds"],
                warm["processor"],
                warm["database"],
                bare["seconds"],
                bare["processor"],
                f"{share:.2f}x",
                beyond,
                f"{goal}: {verdict(reached)}",
                round(night["peak_bytes"] / MIB),
            )
        )
    columns = [
        "cases", "seconds", "processor", "database's processor", "bare, seconds", "bare, processor",
        "against bare", "beyond bare, processor", "goal", "peak memory, MiB",
    ]  # fmt: skip
    return table("A warm decided night against a bare script with the same numerical calls", columns, rows)


def _share_goal(number: int, share: float) -> tuple[str, bool]:
    goal = 1.15 if number == 1 else 1.10
    return f"≤ {goal:.2f}x", share <= goal


def _first_of_process(night: Night) -> str:
    cold, warm, bare = night["cold"], night["warm"], night["bare"]
    beyond = cold["processor"] - warm["processor"]
    rows = [
        ("first night of a process", cold["seconds"], cold["processor"]),
        ("second night", warm["seconds"], warm["processor"]),
        ("the same calls bare, first time", bare["cold"]["seconds"], bare["cold"]["processor"]),
        ("the same calls bare, second time", bare["warm"]["seconds"], bare["warm"]["processor"]),
    ]
    told = f"First beyond second: {beyond:.2f} processor seconds (goal ≤ 3: {verdict(beyond <= 3)}).\n"
    title = f"The first night of a process, {night['cases']:.0f} cases"
    return table(title, ["", "seconds", "processor"], rows) + "\n" + told


def _breakdown(title: str, parts: Sequence[dict[str, float]], nights: Sequence[Night]) -> str:
    kinds = dict.fromkeys(kind for part in parts for kind in part)
    columns = ["", *(f"{night['cases']:,.0f} cases" for night in nights)]
    return table(title, columns, [(kind, *(part.get(kind, "") for part in parts)) for kind in kinds])


def _again(nights: Sequence[Night]) -> str:
    columns = ["cases", "first run", "second run", "share of the first", "goal 10%"]
    rows = []
    for name, kind in (("passed over", "passed_over"), ("with `--again`", "again")):
        for night in nights:
            first, second = (night[part]["processor"] + night[part]["database"] for part in ("warm", kind))
            share = second / first
            rows.append((f"{night['cases']:,.0f}, {name}", first, second, percent(share), verdict(share <= 0.10)))
    return table("The same night a second time, processor seconds with the database's", columns, rows)


def backfill(nights: int, cases: int) -> str:
    """Half of the nights warm up, the others are decided; the training of the first of these is among them."""
    first = workflow(WORKFLOW).nights.decide_from - timedelta(days=nights // 2)
    last = first + timedelta(days=nights - 1)
    with bench_home() as home:
        _write(home, first, last, cases)
        took = measured(home, "nights", first=str(first), last=str(last))
    whole = took["processor"] + took["database"]
    share = whole / took["numerical"]
    columns = ["nights", "seconds", "between the runs", "processor", "database's", "numerical", "against bare", "goal"]
    rows = [
        (
            str(took["nights"]),
            took["seconds"],
            percent((took["seconds"] - took["own_seconds"]) / took["seconds"]),
            took["processor"],
            took["database"],
            took["numerical"],
            f"{share:.2f}x",
            f"≤ 1.25x: {verdict(share <= 1.25)}",
        )
    ]
    return table(f"A backfill at {cases:,} cases a night, in one process, training included", columns, rows)


def growth(last: int) -> str:
    """Nights of one size, one after the other in one process; nights with a training are left out."""
    first = workflow(WORKFLOW).nights.decide_from - timedelta(days=WARM_UP)
    end = first + timedelta(days=WARM_UP + last)
    with bench_home() as home:
        _write(home, first, end, USUAL)
        named = _without_end(home)
        nights = measured(home, "growth", first=str(first), last=str(end), named=named)["nights"][WARM_UP:]
    early = _around(nights, EARLY)
    late = _around(nights, last)
    names = {"processor": "processor", "database": "database's processor", "rows": "rows read from the lake"}
    rows = [(name, early[part], late[part], f"{late[part] / early[part]:.2f}x") for part, name in names.items()]
    held = [early["held"] / MIB, late["held"] / MIB]
    rows.append(("memory held, MiB", round(held[0]), round(held[1]), f"{held[1] / held[0]:.2f}x"))
    columns = ["medians", f"around night {EARLY}", f"around night {last}", "late against early"]
    return table(f"Early and late nights at {USUAL} cases (goal ≤ 1.05x)", columns, rows)


def _without_end(home: Path) -> str:
    """The workflow under another name and without its last night, in a folder of the home's own; its name."""
    name, spec = f"{WORKFLOW}_without_end", (SHIPPED / f"{WORKFLOW}.yaml").read_text(encoding="utf-8")
    (home / OWN).mkdir()
    endless = re.sub(r"^  last: .*\n", "", spec.replace(f"workflow: {WORKFLOW}\n", f"workflow: {name}\n"), flags=re.M)
    (home / OWN / f"{name}.yaml").write_text(endless, encoding="utf-8")
    return name


def _around(nights: list[Night], number: int) -> dict[str, float]:
    near = [night for night in nights[: number + 1][-AROUND:] if not night["trained"]]
    return {part: float(median(night[part] for night in near)) for part in ("processor", "database", "rows", "held")}


def _write(home: Path, first: date, last: date, cases: int) -> None:
    measured(home, "sample", first=str(first), last=str(last), cases=cases)
