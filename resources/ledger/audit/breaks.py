"""Where a restored ledger parts from its checkpoints, and what the chain itself tells of breaks that were accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from pipeline_project.domain.audit.breaks import NOTHING, standing
from pipeline_project.domain.audit.findings import AcceptedBreak, Checkpoint, End
from pipeline_project.domain.core.errors import BreakRefused
from resources.ledger.audit.chain import append
from resources.ledger.audit.checkpoint_file import BREAK_KIND
from resources.ledger.audit.facts import Fact
from resources.ledger.audit.trail import check
from resources.ledger.tables.audit import audit_batches, audit_rows


@dataclass(frozen=True)
class Parted:
    """How a chain parts from its checkpoints.

    Attributes:
        agreed: the newest checkpoint that the chain agrees with.
        lost: the last one on file, which the chain does not continue.
        kept: how the chain stands now.
        at: by the database's clock.
    """

    agreed: End
    lost: End
    kept: End
    at: datetime

    def statement(self, by: str, reason: str) -> Mapping[str, Any]:
        """What the signed line says of it."""
        return {"agreed": vars(self.agreed), "lost": vars(self.lost), "by": by, "reason": reason}


def parted(connection: Connection, checkpoints: Sequence[Checkpoint]) -> Parted:
    """The break that may be accepted, after all that the restored ledger holds was checked.

    Args:
        checkpoints: all on file, each of them valid.

    Raises:
        BreakRefused: there is no break, or the chain or the tables are not as they were recorded apart from it.
    """
    stand = standing(checkpoints).checkpoints
    if not stand:
        raise BreakRefused("no checkpoint was signed yet, so the chain breaks none: run `pipeline audit checkpoint`")
    agrees = _agrees(connection, stand)
    last = stand[-1]
    if agrees[-1]:
        raise BreakRefused(
            f"the chain continues what was signed over batch {last.number} on "
            f"{last.signed_at.isoformat(timespec='seconds')}: there is no break to accept"
        )
    reached = agrees.index(False)
    candidate = Parted(stand[reached - 1].end if reached else NOTHING, last.end, *_now(connection))
    _refuse_unsound(connection, checkpoints, candidate)
    return candidate


def _agrees(connection: Connection, stand: Sequence[Checkpoint]) -> list[bool]:
    """Whether the chain goes on from each of them; from a break only if it tells of it, or nothing came after that."""
    batches = audit_batches.c
    wanted = select(batches.number, batches.hash).where(batches.number.in_({checkpoint.number for checkpoint in stand}))
    there = {NOTHING.number: NOTHING.hash, **{row.number: row.hash for row in connection.execute(wanted)}}
    return [
        there.get(checkpoint.number) == checkpoint.hash
        and (checkpoint.accepted is None or checkpoint is stand[-1] or _is_recorded(connection, checkpoint.accepted))
        for checkpoint in stand
    ]


def _now(connection: Connection) -> tuple[End, datetime]:
    batches = audit_batches.c
    tip = connection.execute(select(batches.number, batches.hash).order_by(batches.number.desc()).limit(1)).first()
    at = connection.execute(select(func.clock_timestamp())).scalar_one()
    return (NOTHING if tip is None else End(tip.number, tip.hash)), at


def _refuse_unsound(connection: Connection, checkpoints: Sequence[Checkpoint], candidate: Parted) -> None:
    """A break excuses what was lost; it may not carry along anything else, so all is checked as if it were accepted."""
    accepted = AcceptedBreak(candidate.agreed, candidate.lost, candidate.kept, "", "", candidate.at, "")
    line = Checkpoint(len(checkpoints) + 1, candidate.kept.number, candidate.kept.hash, candidate.at, accepted=accepted)
    verdict = check(connection, [*checkpoints, line]).verdict
    if verdict.findings:
        more = len(verdict.findings) + verdict.more
        raise BreakRefused(
            f"the restored ledger is not as it was recorded, apart from what it lacks ({more} findings, the first: "
            f"{verdict.findings[0].words}): restore a sound copy; `pipeline audit verify` lists all of it"
        )


def fact_of(accepted: AcceptedBreak) -> Fact:
    """What the chain itself holds of a break."""
    ends = {name: vars(getattr(accepted, name)) for name in ("agreed", "lost", "kept")}
    return Fact(None, {"break": ends, "person": accepted.by, "reason": accepted.reason, "record": accepted.record})


def record_break(connection: Connection, accepted: AcceptedBreak) -> None:
    """Puts the fact of a break into the chain that it accepted, unless it is there: a crash may have come between the
    line and the fact. Another chain is left alone."""
    batches = audit_batches.c
    held = connection.scalar(select(batches.hash).where(batches.number == accepted.kept.number))
    if accepted.kept not in (NOTHING, End(accepted.kept.number, held or "")):
        return
    if not _is_recorded(connection, accepted):
        append(connection, BREAK_KIND, "", [fact_of(accepted)])


def _is_recorded(connection: Connection, accepted: AcceptedBreak) -> bool:
    batches, rows = audit_batches.c, audit_rows.c
    query = select(rows.body).join(audit_batches, batches.number == rows.batch).where(batches.kind == BREAK_KIND)
    return any(accepted.record in body for body in connection.scalars(query))
