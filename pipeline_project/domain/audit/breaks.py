"""Accepted breaks among the checkpoints: which checkpoints still stand, and whether a break names what it breaks.

An older ledger that was restored lacks batches that were signed. Somebody may accept that, in a line among the
checkpoints that names both ends. It excuses exactly the checkpoints that it names, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline_project.domain.audit.chain import GENESIS
from pipeline_project.domain.audit.findings import AcceptedBreak, AuditFinding, Checkpoint, End, Tampering

NOTHING = End(0, GENESIS)


@dataclass(frozen=True)
class CheckpointLines:
    """What the lines of the checkpoints come to.

    Attributes:
        checkpoints: those that the chain must agree with, in their order; a break is one over the chain it accepted.
        breaks: those that name what lies before them.
        lost: the checkpoints that the newest break calls lost, earlier breaks left out; the chain holds none of them.
        findings: breaks that name something else.
    """

    checkpoints: Sequence[Checkpoint]
    breaks: Sequence[AcceptedBreak]
    lost: Sequence[Checkpoint]
    findings: Sequence[AuditFinding]


def standing(checkpoints: Sequence[Checkpoint]) -> CheckpointLines:
    """Applies the breaks, each to the lines before it; lines that are not valid count for nothing here."""
    stand: list[Checkpoint] = []
    breaks: list[AcceptedBreak] = []
    lost: list[Checkpoint] = []
    findings: list[AuditFinding] = []
    for checkpoint in checkpoints:
        if not checkpoint.valid:
            continue
        if checkpoint.accepted is not None:
            remaining = _left_standing(checkpoint.accepted, stand)
            if remaining is None:
                text = (
                    f"the break in line {checkpoint.line} of the checkpoints does not name the ends that lie before it"
                )
                findings.append(AuditFinding(Tampering.BREAK_FORGED, checkpoint.number, text))
            else:
                lost = [one for one in stand[remaining:] if one.accepted is None]
                stand = stand[:remaining]
                breaks.append(checkpoint.accepted)
        stand.append(checkpoint)
    return CheckpointLines(stand, breaks, lost, findings)


def _left_standing(accepted: AcceptedBreak, stand: Sequence[Checkpoint]) -> int | None:
    """How many of the checkpoints before a break it leaves standing; None where it does not name the last of them as
    lost and one before that, or none, as the one that the chain agreed with."""
    ends = [checkpoint.end for checkpoint in stand]
    if not ends or accepted.lost != ends[-1] or accepted.kept.number < accepted.agreed.number:
        return None
    if accepted.agreed == NOTHING:
        return 0
    # the first of its kind: a break over the very end of a checkpoint is lost with what followed it
    remaining = ends.index(accepted.agreed) + 1 if accepted.agreed in ends else len(ends)
    return remaining if remaining < len(ends) else None
