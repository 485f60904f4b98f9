"""What a check of the chain can find, and what it can vouch for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Tampering(StrEnum):
    """What was done to the chain, as far as it can be told."""

    CHANGED = "changed"
    REMOVED = "removed"
    REORDERED = "reordered"
    INSERTED = "inserted"
    MOVED = "moved"
    RETIMED = "retimed"
    TRUNCATED = "truncated"
    RECHAINED = "rechained"
    CHECKPOINT_FORGED = "checkpoint_forged"
    CHECKPOINT_REMOVED = "checkpoint_removed"
    LEDGER_CHANGED = "ledger_changed"
    LEDGER_REMOVED = "ledger_removed"
    LEDGER_INSERTED = "ledger_inserted"
    BREAK_FORGED = "break_forged"


@dataclass(frozen=True)
class AuditFinding:
    """One thing that is not as it was recorded.

    Attributes:
        batch: the first batch concerned; 0 where no batch is (a forged line among the checkpoints).
        position: the row, where one row is meant.
        last: the last batch concerned, where they are several.
    """

    what: Tampering
    batch: int
    words: str
    position: int | None = None
    last: int | None = None


@dataclass(frozen=True)
class End:
    """How long a chain was and how it ended: the number and the hash of its newest batch; of none 0 and GENESIS."""

    number: int
    hash: str


@dataclass(frozen=True)
class AcceptedBreak:
    """What somebody signed about a chain that does not continue its checkpoints, because an older ledger was restored.

    Attributes:
        agreed: the newest checkpoint that the chain agreed with; batches after it were signed and are gone.
        lost: the last checkpoint before the break, which the chain did not continue.
        kept: how the chain stood when the break was accepted: what the break signs.
        record: the digest of its line, by which the chain's own fact names it.
    """

    agreed: End
    lost: End
    kept: End
    by: str
    reason: str
    at: datetime
    record: str

    @property
    def words(self) -> str:
        """One sentence that names both ends."""
        return (
            f"batches {self.agreed.number + 1} to {self.lost.number} were signed, ending in {self.lost.hash[:12]}, and "
            f"are no longer there as they were; on {self.at.isoformat(timespec='seconds')} {self.by} accepted the "
            f"chain that ended with batch {self.kept.number} in {self.kept.hash[:12]} instead"
        )


@dataclass(frozen=True)
class Checkpoint:
    """A signed word on how long the chain was and how it ended.

    Attributes:
        line: counted from 1.
        signed_at: by the database's clock.
        valid: whether the signature and the link to the line before are right.
        accepted: what the line says beyond that, where it accepts a break.
    """

    line: int
    number: int
    hash: str
    signed_at: datetime
    valid: bool = True
    accepted: AcceptedBreak | None = None

    @property
    def end(self) -> End:
        return End(self.number, self.hash)


@dataclass(frozen=True)
class ChainVerdict:
    """What a check found.

    Attributes:
        batches, rows: how many were read.
        tip: the newest batch's number, 0 for an empty chain.
        vouched: the newest valid checkpoint that the chain agrees with, or None.
        findings: in the order of the batches; at most as many as were asked for.
        more: findings beyond those.
        breaks: restored ledgers that somebody accepted, in their order; they are told, and are no findings.
    """

    batches: int
    rows: int
    tip: int
    tip_hash: str
    vouched: Checkpoint | None
    findings: Sequence[AuditFinding] = field(default_factory=tuple)
    more: int = 0
    breaks: Sequence[AcceptedBreak] = field(default_factory=tuple)

    @property
    def intact(self) -> bool:
        return not self.findings

    @property
    def words(self) -> str:
        """One sentence: how far the chain can be vouched for."""
        if self.vouched is None:
            return (
                f"No valid checkpoint agrees with the chain: its {self.tip} batches are at best consistent with each "
                "other, and nothing shows that they were not all written anew."
            )
        until = f"batch {self.vouched.number}, signed {self.vouched.signed_at.isoformat(timespec='seconds')}"
        later = self.tip - self.vouched.number
        after = f" The {later} after it are linked but not signed yet." if later > 0 else ""
        covered = [finding for finding in self.findings if 0 < finding.batch <= self.vouched.number]
        apart = f" apart from the {len(covered) + self.more} findings listed" if covered or self.more else ""
        broken = f" It was not always one chain: {breaks_message(self.breaks)}." if self.breaks else ""
        return f"Everything up to {until}, is as it was recorded{apart}.{after}{broken}"


def breaks_message(breaks: Sequence[AcceptedBreak]) -> str:
    """All accepted breaks in one sentence's words; empty without any."""
    return "; ".join(accepted.words for accepted in breaks)
