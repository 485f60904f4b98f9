"""Actions as they stand in the outbox, for whoever looks at them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class OutboxRow:
    """One action, by column.

    Attributes:
        money: what it pays out; exact where it was read for a case's story.
        claim_token: of the dispatcher that has it; None in a case's story.
    """

    id: int
    workflow: str
    night: str
    case_id: str
    epoch: int
    kind: str
    destination: str
    step: int
    key: UUID
    fingerprint: str
    payload: Mapping[str, Any]
    money: float
    final: bool
    live: bool
    undo: str | None
    undoes: UUID | None
    state: str
    held_reason: str | None
    attempts: int
    uncertain: bool
    first_sent_at: datetime | None
    next_at: datetime
    claim_token: UUID | None
    lease_until: datetime | None
    error_class: str | None
    error: str | None
    owner: str | None
    receipt: Mapping[str, Any] | None
    created_at: datetime
    settled_at: datetime | None
