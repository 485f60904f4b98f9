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


@dataclass(frozen=True)
class Finding:
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
class Checkpoint:
    """A signed word on how long the chain was and how it ended.

    Attributes:
        line: counted from 1.
        signed_at: by the database's clock.
        valid: whether the signature and the link to the line before are right.
    """

    line: int
    number: int
    hash: str
    signed_at: datetime
    valid: bool = True


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        batches, rows: how many were read.
        tip: the newest batch's number, 0 for an empty chain.
        vouched: the newest valid checkpoint that the chain agrees with, or None.
        findings: in the order of the batches; at most as many as were asked for.
        more: findings beyond those.
    """

    batches: int
    rows: int
    tip: int
    tip_hash: str
    vouched: Checkpoint | None
    findings: Sequence[Finding] = field(default_factory=tuple)
    more: int = 0

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
        known = [finding for finding in self.findings if 0 < finding.batch <= self.vouched.number]
        apart = f" apart from the {len(known) + self.more} findings listed" if known or self.more else ""
        return f"Everything up to {until}, is as it was recorded{apart}.{after}"
