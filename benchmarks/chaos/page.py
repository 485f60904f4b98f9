"""docs/chaos.md: one whole run of the driver, as a page."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.chaos.driver import Run
from benchmarks.chaos.verdicts import NotMeasured, Seen

_HEAD = """# Chaos

```sh
make chaos                                       # every suite at full size, then without each of its protections
.venv/bin/python -m benchmarks.chaos --quick     # the same in minutes, without `pipeline up`
.venv/bin/python -m benchmarks.chaos --only kills
```

A suite runs in a process of its own and ends with 0 where its goal was measured and holds, with 10 where it was
measured and is broken; anything else, a hang included, is a failure of the suite. Without a protection the goal must be
broken: a crash does not count as that. Seeds are arguments of the suites (`python -m benchmarks.chaos.actions --help`);
thread timing still varies between runs. The sizes are those for which a change can wait on two cores; the arguments
stand in the last column and can be given larger.
"""


def page(told: Sequence[Run], machine: str, quick: bool, left_out: Sequence[str] = ()) -> str:
    """The whole page, as Markdown.

    Args:
        left_out: suites that were not run, or not with each of their controls.
    """
    bad = sum(not run.as_it_must for run in told)
    minutes = sum(run.took for run in told) / 60
    what = "python -m benchmarks.chaos --quick" if quick else "make chaos"
    lines = [
        _HEAD,
        f"The last run of `{what}`, in {minutes:.0f} minutes: {machine}. "
        + (f"**{bad} of {len(told)} runs did not end as they must.**" if bad else "Every run ended as it must."),
        *(["", f"**Not run whole: {', '.join(left_out)}.**"] if left_out else []),
        "",
        *table(told),
        "",
        summary(told),
        "",
        *faults(told),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def table(told: Sequence[Run]) -> list[str]:
    """A line for each run."""
    lines = [
        "| suite | goal | verdict | seen | seconds | `python -m benchmarks.chaos.…` |",
        "|---|---|---|---|---:|---|",
    ]
    for run in told:
        name, goal = (
            (run.suite.name, run.suite.goal) if run.protection is None else (f"without {run.protection}", "is broken")
        )
        seen = "" if isinstance(run.said, NotMeasured) else run.said.words
        module = run.suite.module.rpartition(".")[2]
        words = " ".join([module, *run.words])
        lines.append(f"| {name} | {goal} | {run.verdict} | {_cell(seen)} | {run.took:,.0f} | `{words}` |")
    return lines


def faults(told: Sequence[Run]) -> list[str]:
    """What the whole suites did to the house and what became of it, as one table."""
    lines = ["| suite | faults | lost | doubled | silent |", "|---|---:|---:|---:|---:|"]
    whole = [(run.suite.name, run.said) for run in told if run.protection is None and isinstance(run.said, Seen)]
    counted = [(name, said) for name, said in whole if said.faults]
    for name, said in counted:
        lines.append(f"| {name} | {said.faults:,} | {said.lost:,} | {said.doubled:,} | {said.silent:,} |")
    sums = [sum(getattr(said, what) for _, said in counted) for what in ("faults", "lost", "doubled", "silent")]
    return [*lines, "| **all** | " + " | ".join(f"**{each:,}**" for each in sums) + " |"]


def summary(told: Sequence[Run]) -> str:
    """One sentence about the faults."""
    return "Faults made by the whole suites, and what they led to: lost, there twice, or wrong with nobody told."


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("\n", " ")
