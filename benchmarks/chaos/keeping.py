"""Keeps what each run of a suite said, so that a driver that was ended goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.chaos.driver import Run, Suite
from benchmarks.chaos.verdicts import NotMeasured, Seen


def keep(path: Path, run: Run) -> None:
    """Adds a run, a line each."""
    kind = "seen" if isinstance(run.said, Seen) else "why"
    line = {"suite": run.suite.name, "words": list(run.words), "protection": run.protection, "took": run.took}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**line, kind: asdict(run.said)}) + "\n")


def kept(path: Path, suites: Sequence[Suite]) -> list[Run]:
    """The last run of each suite and of each of its controls, in the order of the suites; a half line is none."""
    found: dict[tuple[str, str | None], Run] = {}
    by_name = {suite.name: suite for suite in suites}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if told["suite"] in by_name:
            said = Seen(**told["seen"]) if "seen" in told else NotMeasured(**told["why"])
            run = Run(by_name[told["suite"]], told["words"], told["protection"], said, told["took"])
            found[(run.suite.name, run.protection)] = run
    wanted = [
        (suite.name, protection)
        for suite in suites
        for protection in (None, *(control.protection for control in suite.without))
    ]
    return [found[each] for each in wanted if each in found]


def missing(runs: Sequence[Run], suites: Sequence[Suite]) -> list[Suite]:
    """The suites of which not every run stands there and ended as it must."""
    well = {(run.suite.name, run.protection) for run in runs if run.as_it_must}
    return [
        suite
        for suite in suites
        if not {(suite.name, None), *((suite.name, control.protection) for control in suite.without)} <= well
    ]
