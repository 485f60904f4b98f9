"""`make chaos`: every suite whole, then with each of its protections taken out, when its goal must be broken.

python -m benchmarks.chaos [--quick] [--only NAME ...] [--write docs/chaos.md] [--results FILE]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.chaos.driver import Run, Suite, runs
from benchmarks.chaos.keeping import keep, kept, missing
from benchmarks.chaos.page import faults, page
from benchmarks.chaos.suites import SUITES
from benchmarks.tables import machine


def main(words: Sequence[str] | None = None, suites: Sequence[Suite] = SUITES) -> int:
    """Runs the suites and prints what they say; 1 when one did not end as it must: whole or without a protection."""
    given = _arguments(words, suites)
    where = machine()
    print(f"## Chaos\n\n{where}.", flush=True)
    told: list[Run] = []
    chosen = [suite for suite in suites if not given.only or suite.name in given.only]
    if given.results and not given.only:
        chosen = missing(kept(given.results, suites), suites)
    for run in runs(chosen, given.quick, _hear):
        told.append(run)
        if given.results:
            keep(given.results, run)
        # after each run: a driver that is ended leaves a page that says what is missing
        _write(given, told, where, suites)
        if run.protection is None:
            print(f"\n### {run.suite.name}: {run.suite.goal}\n\n{run.verdict}, in {run.took:,.0f} seconds", flush=True)
        else:
            print(f"- without {run.protection}: {run.verdict}, in {run.took:,.0f} seconds", flush=True)
    if given.results:
        told = kept(given.results, suites)
    print("\n" + "\n".join(faults(told)))
    _write(given, told, where, suites)
    return int(any(not run.as_it_must for run in told))


def _write(given: argparse.Namespace, told: Sequence[Run], where: str, suites: Sequence[Suite]) -> None:
    if given.write:
        all_told = kept(given.results, suites) if given.results else told
        text = page(all_told, where, given.quick, _left_out(all_told, suites))
        given.write.write_text(text, encoding="utf-8")


def _left_out(told: Sequence[Run], suites: Sequence[Suite]) -> list[str]:
    there = {(run.suite.name, run.protection) for run in told}
    return [
        suite.name
        for suite in suites
        if not {(suite.name, None), *((suite.name, control.protection) for control in suite.without)} <= there
    ]


def _hear(line: str) -> None:
    print(line, flush=True)


def _arguments(words: Sequence[str] | None, suites: Sequence[Suite]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that the suites work")
    parser.add_argument("--only", nargs="+", choices=[suite.name for suite in suites], help="these suites alone")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write what was seen as a page, docs/chaos.md")
    results = "keep what each run says in this file; suites that stand there whole are not run again, unless named"
    parser.add_argument("--results", type=Path, metavar="FILE", help=results)
    return parser.parse_args(words)


if __name__ == "__main__":
    raise SystemExit(main())
