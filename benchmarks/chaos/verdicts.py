"""What a suite tells its driver: an exit code and a last line that must agree; anything else is a crash.

A suite ends with `HOLDS` when its goal was measured and holds, and with `BROKEN` when it was measured and does not. A
suite that dies, hangs, is called wrongly or ends without having measured anything says neither, and no driver may take
that for an answer: a crash of a suite without its protection is not the sight of what the protection guards against.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum

#: What the last line of a suite's output begins with.
MARK = "chaos-result "
#: What Python's own helper process says, once all is over, of semaphores whose owners were killed.
_TRACKER = "resource_tracker"


class Ended(IntEnum):
    """Exit codes of a suite; Python itself ends with 1 upon an error and argparse with 2, so neither means anything."""

    HOLDS = 0
    BROKEN = 10
    CANNOT = 11


@dataclass(frozen=True)
class Seen:
    """What a suite measured.

    Attributes:
        holds: the goal holds.
        words: the same in a few words, for the table.
        faults: how many faults were made.
        lost, doubled, silent: of what they touched: gone, there twice, and wrong with nobody told.
    """

    holds: bool
    words: str
    faults: int = 0
    lost: int = 0
    doubled: int = 0
    silent: int = 0

    def __post_init__(self) -> None:
        if self.holds and (self.lost or self.doubled or self.silent):
            raise ValueError("a goal does not hold where something is lost, doubled or silently wrong")


class CannotMeasure(Exception):
    """This machine does not let a suite make its faults; the message says what it would need."""


@dataclass(frozen=True)
class NotMeasured:
    """A suite that said nothing: why, in words.

    Attributes:
        here: the suite itself says that it cannot be measured on this machine, which is no failure and is told.
    """

    why: str
    here: bool = False


def tell(seen: Seen) -> int:
    """Prints the last line of a suite, and returns its exit code."""
    print(MARK + json.dumps(asdict(seen)), flush=True)
    return Ended.HOLDS if seen.holds else Ended.BROKEN


def cannot(why: CannotMeasure) -> int:
    """Prints why a suite cannot be measured here, and returns its exit code."""
    print(MARK + json.dumps({"cannot": str(why)}), flush=True)
    return Ended.CANNOT


def read(code: int, lines: Sequence[str]) -> Seen | NotMeasured:
    """What a suite that ended by itself measured, from its exit code and its output."""
    if code not in tuple(Ended):
        return NotMeasured(f"it was ended by signal {-code}" if code < 0 else f"it ended with exit code {code}")
    last = next((line for line in reversed(lines) if line.strip() and _TRACKER not in line), "")
    if not last.startswith(MARK):
        return NotMeasured(f"it ended with {code} and no result")
    try:
        said = json.loads(last.removeprefix(MARK))
        if code == Ended.CANNOT:
            return NotMeasured(str(said["cannot"]), here=True)
        seen = Seen(**said)
    except (ValueError, TypeError, KeyError):
        return NotMeasured("its last line cannot be read")
    if seen.holds != (code == Ended.HOLDS):
        return NotMeasured(f"its last line and its exit code {code} contradict each other")
    return seen
