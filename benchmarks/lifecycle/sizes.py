"""Training, replay and drift as the cases grow: time no faster than they, memory below a limit.

`python -m benchmarks.lifecycle.sizes WHAT CASES` measures one of them in a process of its own, so that neither memory
nor anything cached is left of the one before.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from benchmarks.home import ROOT, environ
from benchmarks.lifecycle.world import LABELS, PLAN, POLICY, WORKFLOW, Cases, decided, make_cases
from benchmarks.tables import table, verdict

SIZES = (10_000, 100_000, 1_000_000)
LIMIT_BYTES = 3 * 2**30
#: A measurement on a machine that does other things varies by this much.
TOLERANCE = 1.15
_NIGHTS = 40
_GIB = 2**30


@dataclass(frozen=True)
class Measured:
    """One measurement; `prepared` is the memory that the made-up cases took before it began."""

    cases: int
    seconds: float
    peak_bytes: int
    prepared: int


def grows_no_faster(before: Measured, after: Measured) -> bool:
    """Whether the time grew by no more than the cases."""
    return after.seconds / before.seconds <= TOLERANCE * after.cases / before.cases


def training(cases: int) -> Callable[[], object]:
    """A whole training: walk-forward, calibration, final fit."""
    from pipeline_project.domain.models.training import train

    prepared = make_cases(_NIGHTS, cases // _NIGHTS).training()
    return lambda: train(prepared, PLAN)


def replay(cases: int) -> Callable[[], object]:
    """Forty nights decided again with other probabilities and compared with what was decided."""
    from pipeline_project.domain.lifecycle.replay.compare import ReplayTerms, compare
    from pipeline_project.domain.lifecycle.replay.decide import decide_again, recorded

    made = make_cases(_NIGHTS, cases // _NIGHTS)
    base = decided(made, _guesses(made, 0.5, 1), "1")
    told = base.standing.assign(probabilities=list(_guesses(made, 0.7, 2).tolist()))
    candidate, outcomes = replace(base, standing=told), made.outcomes()
    terms = ReplayTerms(WORKFLOW, "customer", segments=("kind",), sliced=("kind", "channel"))

    def measured() -> object:
        from pipeline_project.domain.features.building import FeaturePlan

        again = decide_again(candidate, POLICY, FeaturePlan((), LABELS, "UTC"), None, None)
        sides = (recorded(base, POLICY), again)
        return compare(base, *sides, (POLICY, POLICY), outcomes, terms, (base.nights[0], base.nights[-1]))

    return measured


def drift(cases: int) -> Callable[[], object]:
    """One night of so many cases sketched, and compared with the sketches of 28 small ones."""
    from pipeline_project.domain.core.model_terms import DriftTerms
    from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType
    from pipeline_project.domain.lifecycle.drift.signals import Beside, PastNight, Promised, signals_of
    from pipeline_project.domain.lifecycle.drift.sketch import sketch_night

    kinds = {"price": FieldType.NUMBER, "kind": FieldType.CATEGORY, "channel": FieldType.CATEGORY}
    schema = CaseSchema(tuple(Field(name, kind, name) for name, kind in kinds.items()), "UTC")
    small = make_cases(28, 200, seed=1)
    past = [
        PastNight(each, "1", sketch_night(each, small.table().filter(pa.array(small.features.nights == each)), schema))
        for each in small.nights
    ]
    tonight = make_cases(1, cases).table()

    def measured() -> object:
        found = sketch_night("2025-03-01", tonight, schema)
        return signals_of(Beside(found, past, past, past, Promised(0.1, 0.02), DriftTerms()))

    return measured


PARTS: dict[str, Callable[[int], Callable[[], object]]] = {"training": training, "replay": replay, "drift": drift}


def _guesses(cases: Cases, knowing: float, seed: int) -> np.ndarray:
    """Probabilities that know something of the truth."""
    noise = np.random.default_rng(seed).dirichlet(np.ones(len(LABELS)), len(cases))
    return np.asarray((1 - knowing) * noise + knowing * np.eye(len(LABELS))[cases.label])


def measure(what: str, cases: int) -> Measured:
    """In a process of its own.

    Raises:
        SystemExit: it failed; what it said last is the message.
    """
    words = [sys.executable, "-m", "benchmarks.lifecycle.sizes", what, str(cases)]
    done = subprocess.run(words, env=environ(), cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{what} of {cases:,} cases ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def tell(sizes: Sequence[int] = SIZES, parts: Sequence[str] = tuple(PARTS)) -> None:
    """Prints one table for each part."""
    for part in parts:
        found = [measure(part, size) for size in sizes]
        rows = []
        for place, each in enumerate(found):
            grows = verdict(grows_no_faster(found[place - 1], each)) if place else "–"
            memory = verdict(each.peak_bytes < LIMIT_BYTES)
            micro = each.seconds / each.cases * 1e6
            rows.append((f"{each.cases:,}", each.seconds, micro, grows, each.peak_bytes / _GIB, memory))
        columns = ["cases", "seconds", "microseconds a case", "no faster than the cases", "peak, GiB", "below 3 GB"]
        print(table(f"{part.capitalize()} by size", columns, rows), flush=True)


def _child(what: str, cases: int) -> None:
    run = PARTS[what](cases)
    # kilobytes on Linux, bytes on macOS
    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    began = time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(json.dumps({"cases": cases, "seconds": seconds, "peak_bytes": peak, "prepared": before}))


if __name__ == "__main__":
    _child(sys.argv[1], int(sys.argv[2]))
