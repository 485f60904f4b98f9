"""`make bench-counts`: what a night asks of databases, lake and Dagster, against what it may ask.

Counts, not seconds: they are the same on every machine, so they are held to. `benchmarks/counts.json` holds what was
counted when it was last written (`--write`); a count more than a tenth (and more than two) above fails.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.child import WARM_UP, WORKFLOW
from benchmarks.home import bench_home, measured
from benchmarks.tables import table
from pipeline_project.commands.shared.app_context import workflow

CASES = 70
#: How far above what was counted a count may be, as a share, and at least: a thread may or may not need a connection.
MARGIN, LEAST = 0.10, 2
#: Characters of a statement that are shown.
LONGEST = 160
HELD = Path(__file__).with_name("counts.json")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.counts", description=__doc__)
    parser.add_argument("--write", action="store_true", help="take what is counted now as what is held to")
    parser.add_argument("--words", action="store_true", help="also the commonest statements")
    given = parser.parse_args()
    found = count(given.words)
    held: dict[str, int] = json.loads(HELD.read_text()) if HELD.exists() else {}
    rows = [(name, held.get(name, "not held"), now) for name, now in found["counts"].items()]
    print(table(f"One warm decided night of {found['cases']} cases", ["", "held to", "counted"], rows))
    for words, times in found["words"].items():
        print(f"{times:5} {words[:LONGEST]}")
    if given.write:
        HELD.write_text(json.dumps(found["counts"], indent=2) + "\n")
        return 0
    grown = too_many(found["counts"], held)
    for name in grown:
        print(f"{name}: {found['counts'][name]:,} where {held.get(name, 0):,} are held to", file=sys.stderr)
    if grown:
        print("Look for what asks more; if it has to, `python -m benchmarks.counts --write`.", file=sys.stderr)
    return int(bool(grown))


def too_many(found: dict[str, int], held: dict[str, int]) -> list[str]:
    """The names of what is more than a tenth, and two, above what it is held to; where that is nothing, any is."""
    return [name for name, now in found.items() if now > (of := held.get(name, 0)) + max(of and LEAST, of * MARGIN)]


def count(words: bool = False) -> dict[str, Any]:
    """Counts a decided night in a home of its own, as `child.counts` says."""
    spec = workflow(WORKFLOW)
    start, first = spec.nights.decide_from - timedelta(days=WARM_UP), spec.nights.decide_from
    before, night = first + timedelta(days=1), first + timedelta(days=2)
    with bench_home() as home:
        measured(home, "sample", first=str(start), last=str(night), cases=CASES)
        measured(home, "nights", first=str(start), last=str(first))
        return measured(home, "counts", before=str(before), measured=str(night), words=words)


if __name__ == "__main__":
    sys.exit(main())
