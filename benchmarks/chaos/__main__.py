"""`make chaos`: every suite whole, then with its protection taken out, when it must fail.

python -m benchmarks.chaos [--quick] [--only NAME]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tables import machine

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Suite:
    """One suite.

    Attributes:
        goal: what must hold, in words.
        module: what runs it; it ends with 0 when the goal holds.
        whole, quick: its arguments at full size, and for a look.
        without: the protections it takes out, each of which must make it fail; at the quick size.
    """

    name: str
    goal: str
    module: str
    whole: Sequence[str]
    quick: Sequence[str]
    without: Sequence[str] = ()


SUITES = (
    Suite(
        "reviews",
        "8 reviewers racing over 2,000 tasks, 20 rounds: 0 double, 0 lost",
        "benchmarks.chaos.reviews",
        ["--tasks", "2000", "--rounds", "20"],
        ["--tasks", "300", "--rounds", "1"],
        ["claims"],
    ),
    Suite(
        "actions",
        "10,000 actions at 30 % faults with 100 dispatcher kills: each effect once in the shop's book",
        "benchmarks.chaos.actions",
        ["--actions", "10000", "--kills", "100", "--faults", "0.3"],
        ["--actions", "300", "--kills", "8", "--faults", "0.3"],
        ["keys", "unknown", "look_up", "release"],
    ),
    Suite(
        "kills",
        "kill -9 at every statement and commit of every operation: at least 300, identical end state",
        "benchmarks.chaos.kills",
        [],
        ["--only", "released"],
        ["transactions"],
    ),
    Suite(
        "nights",
        "a 30-night backfill killed over and over: identical end state",
        "benchmarks.chaos.nights",
        ["--nights", "30"],
        ["--nights", "4"],
    ),
    Suite(
        "throughput",
        "8 workers: at least 1,500 actions a second claimed and settled",
        "benchmarks.chaos.throughput",
        ["--actions", "20000"],
        ["--actions", "4000"],
    ),
    Suite(
        "audit",
        "tampering, every kind 100 times: all found that are older than the checkpoint",
        "benchmarks.chaos.audit",
        ["--times", "100"],
        ["--times", "5"],
        ["checkpoints"],
    ),
)
#: Taken out, a protection of these needs other arguments than the quick ones.
ARGUMENTS = {"look_up": ["--forgetful"], "transactions": ["--only", "a night is decided"]}


def main() -> int:
    """Runs the suites and prints what they say; 1 when one of them fails, or does not without its protection."""
    given = _arguments()
    print(f"## Chaos\n\n{machine()}.\n", flush=True)
    bad = 0
    for suite in SUITES:
        if given.only not in (None, suite.name):
            continue
        print(f"### {suite.name}\n\nGoal: {suite.goal}.\n", flush=True)
        began = time.perf_counter()
        code = _run(suite.module, suite.quick if given.quick else suite.whole)
        bad += code != 0
        seconds = time.perf_counter() - began
        print(f"\n{'Reached' if code == 0 else 'NOT reached'}, in {seconds:,.0f} seconds.\n", flush=True)
        for protection in suite.without:
            code = _run(suite.module, [*_without(suite, protection), "--without", protection], quiet=True)
            bad += code == 0
            told = "fails, as it must" if code else "passes, so the suite sees nothing"
            print(f"- without {protection}: {told}", flush=True)
        print(flush=True)
    return int(bad > 0)


def _without(suite: Suite, protection: str) -> list[str]:
    if protection == "transactions":
        return ARGUMENTS[protection]
    return [*suite.quick, *ARGUMENTS.get(protection, [])]


def _run(module: str, words: Sequence[str], quiet: bool = False) -> int:
    output = subprocess.DEVNULL if quiet else None
    done = subprocess.run([sys.executable, "-m", module, *words], cwd=ROOT, stdout=output, stderr=output, check=False)
    return done.returncode


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that the suites work")
    parser.add_argument("--only", choices=[suite.name for suite in SUITES], help="one suite alone")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
