"""What changed between two sets of decisions, as a table that a reviewer of the change can judge."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.decision_diff.nights import FOLDER, Told

EXPECTED = FOLDER / "expected.json"
#: Money is rounded to the cent; what lies on the edge of two cents may fall to either side on another machine.
EDGE = 0.011


@dataclass(frozen=True)
class Flip:
    """One case that is decided otherwise, or at another expected cost; None where it is not decided at all."""

    case: str
    before: Told | None
    after: Told | None

    @property
    def money(self) -> float | None:
        """How much more the decision is expected to cost."""
        costs = [told.cost if told else None for told in (self.before, self.after)]
        return None if costs[0] is None or costs[1] is None else costs[1] - costs[0]


def flips(before: Mapping[str, Told], after: Mapping[str, Told]) -> list[Flip]:
    """In order of night and case."""
    found = [Flip(case, before.get(case), after.get(case)) for case in before.keys() | after.keys()]
    return sorted((flip for flip in found if not _same(flip)), key=lambda flip: (_night(flip), flip.case))


def table(found: Sequence[Flip]) -> str:
    """Case, night, before, after, both reasons and the money, one line each; what it comes to on top."""
    head = ("case", "night", "before", "after", "reason before", "reason after", "cost before", "cost after", "money")
    lines = [head, *(_line(flip) for flip in found)]
    wide = [max(len(line[column]) for line in lines) for column in range(len(head))]
    drawn = ["  ".join(cell.ljust(width) for cell, width in zip(line, wide, strict=True)).rstrip() for line in lines]
    other = sum(_option(flip.before) != _option(flip.after) for flip in found)
    known = [flip.money for flip in found if flip.money is not None]
    summary = (
        f"{len(found)} decisions differ from what is expected, {other} of them in the option; expected costs "
        f"change by {sum(known):+.2f} in all."
    )
    return "\n".join([summary, "", drawn[0], "-" * len(drawn[0]), *drawn[1:]])


def expected(path: Path = EXPECTED) -> dict[str, Told]:
    return {case: Told(**held) for case, held in json.loads(path.read_text(encoding="utf-8")).items()}


def accept(decisions: Mapping[str, Told], path: Path = EXPECTED) -> None:
    """Writes decisions as what is expected from now on, a case a line, so that a diff of the file reads well."""
    lines = [f'"{case}": {json.dumps(asdict(decisions[case]))}' for case in sorted(decisions)]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _same(flip: Flip) -> bool:
    if flip.before is None or flip.after is None:
        return False
    plain = [(told.night, told.option, told.reason) for told in (flip.before, flip.after)]
    costs = (flip.before.cost, flip.after.cost)
    alike = costs[0] == costs[1] or (flip.money is not None and abs(flip.money) <= EDGE)
    return plain[0] == plain[1] and alike


def _night(flip: Flip) -> str:
    told = flip.after or flip.before
    return told.night if told else ""


def _option(told: Told | None) -> str:
    return told.option if told else "-"


def _line(flip: Flip) -> tuple[str, ...]:
    pair = (flip.before, flip.after)
    money = "-" if flip.money is None else f"{flip.money:+.2f}"
    reasons = [told.reason if told else "-" for told in pair]
    costs = ["-" if told is None or told.cost is None else f"{told.cost:.2f}" for told in pair]
    return (flip.case, _night(flip), *(_option(told) for told in pair), *reasons, *costs, money)
