"""How long commands take that people type often, and the ticks of sensors, in a home with a few nights."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from benchmarks.child import WARM_UP, WORKFLOW
from benchmarks.home import ROOT, bench_home, environ, measured
from benchmarks.loading import BEST_OF
from benchmarks.tables import table, verdict
from pipeline_project.commands.shared.app_context import workflow

#: What is typed, and the seconds that it may take.
COMMANDS = {("--help",): 0.3, ("status",): 1.0, ("check",): 0.7}
CASES = 70
#: Seconds that a sensor may take, and how many of them are shown.
TICK, SLOWEST = 1.0, 5


def report() -> str:
    """A table of `COMMANDS`; the database runs already."""
    spec = workflow(WORKFLOW)
    start, first = spec.nights.decide_from - timedelta(days=WARM_UP), spec.nights.decide_from
    with bench_home() as home:
        measured(home, "sample", first=str(start), last=str(first), cases=CASES)
        measured(home, "nights", first=str(start), last=str(first))
        rows = []
        for words, goal in COMMANDS.items():
            seconds = min(_took(home, words) for _ in range(BEST_OF))
            rows.append((f"`pipeline {' '.join(words)}`", seconds, f"≤ {goal}: {verdict(seconds <= goal)}"))
        ticks: dict[str, float] = measured(home, "ticks")["ticks"]
    told = [table(f"Commands, best of {BEST_OF}", ["", "seconds", "goal"], rows)]
    slowest = sorted(ticks.items(), key=lambda tick: -tick[1])[:SLOWEST]
    within = verdict(all(seconds <= TICK for seconds in ticks.values()))
    told.append(
        table(f"The slowest of {len(ticks)} sensors (goal ≤ {TICK:.0f} s each)", ["", "seconds a tick"], slowest)
    )
    return "\n".join([*told, f"All within the goal: {within}.\n"])


def _took(home: Path, words: tuple[str, ...]) -> float:
    command = [sys.executable, "-m", "pipeline_project.cli", *words]
    began = time.perf_counter()
    subprocess.run(command, env=environ(home), cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - began
