"""Counts faults by kind and what came of each, prints them as a table, and runs one suite from its arguments."""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from benchmarks.chaos.verdicts import CannotMeasure, Seen, cannot, tell


class Came(StrEnum):
    """What came of one fault."""

    WELL = "well"
    LOST = "lost"
    DOUBLED = "doubled"
    SILENT = "silent"


@dataclass
class Tally:
    """What came of every fault, by kind; of those that went wrong the words about some are kept."""

    counts: dict[str, Counter[Came]] = field(default_factory=lambda: defaultdict(Counter))
    words: list[str] = field(default_factory=list)

    def note(self, kind: str, came: Came, words: str = "") -> None:
        self.counts[kind][came] += 1
        if came is not Came.WELL:
            self.words.append(f"{kind}: {came}, {words}")

    def sum(self, came: Came) -> int:
        return sum(each[came] for each in self.counts.values())

    @property
    def faults(self) -> int:
        return sum(each.total() for each in self.counts.values())

    def show(self) -> None:
        """The table, and some of what went wrong."""
        print("| fault | times | lost | doubled | silent |\n|---|---:|---:|---:|---:|")
        for kind, each in self.counts.items():
            wrong = (each[Came.LOST], each[Came.DOUBLED], each[Came.SILENT])
            print(f"| {kind} | {each.total()} | " + " | ".join(map(str, wrong)) + " |")
        for line in self.words[:10]:
            print(f"- {line}")

    @property
    def seen(self) -> Seen:
        lost, doubled, silent = (self.sum(came) for came in (Came.LOST, Came.DOUBLED, Came.SILENT))
        wrong = lost + doubled + silent
        words = f"{self.faults} faults of {len(self.counts)} kinds, {lost} lost, {doubled} doubled, {silent} silent"
        return Seen(not wrong and self.faults > 0, words, self.faults, lost, doubled, silent)


@dataclass(frozen=True)
class Given:
    """A suite's arguments: how many faults, of which seed, without which protection."""

    times: int
    seed: int
    without: str | None


def run(name: str, about: str, protections: Sequence[str], times: int, suite: Callable[[Given], Tally]) -> int:
    """Runs a suite from the command line; returns its exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.chaos.{name}", description=about)
    parser.add_argument("--times", type=int, default=times, help="faults of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="(default: %(default)s)")
    parser.add_argument("--without", choices=protections, help="take this protection out: the goal must then break")
    given = parser.parse_args()
    try:
        tally = suite(Given(given.times, given.seed, given.without))
    except CannotMeasure as why:
        return cannot(why)
    tally.show()
    return tell(tally.seen)
