"""Actions as they stand in the outbox, for whoever looks at them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class OutboxRow:
    """One action, by column, but for the token of the dispatcher that has it: whoever knows that may settle it.

    Attributes:
        money: what it pays out; exact where it was read for a case's story.
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
    lease_until: datetime | None
    error_class: str | None
    error: str | None
    owner: str | None
    receipt: Mapping[str, Any] | None
    created_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True)
class StateCount:
    """How many actions are in a state, and their money."""

    actions: int
    money: float


@dataclass(frozen=True)
class NightSpending:
    """Whether a night is released, and what it pays out against its cap; None without one."""

    released_at: datetime | None
    cap: float | None
    reserved: float


@dataclass(frozen=True)
class DestinationState:
    """A destination's breaker, and its tries."""

    workflow: str
    destination: str
    state: str
    failures: int
    opened: int
    retry_at: datetime | None
    first_tries: int
    retries: int
    saved: float
    saved_at: datetime
    changed_at: datetime


@dataclass(frozen=True)
class KillSwitch:
    """How a workflow's kill switch stands; one that nobody ever threw has no reason."""

    stopped: bool = False
    reason: str | None = None
    changed_by: str | None = None
    changed_at: datetime | None = None


@dataclass(frozen=True)
class RedeliveryWish:
    """A wish to let an action go that waits for a second person.

    Attributes:
        content: hash of what was seen by whoever asked.
        key, kind, case_id, workflow, state: of the action.
    """

    id: int
    action_id: int
    content: str
    money: float
    asked_by: str
    reason: str
    asked_at: datetime
    key: UUID
    kind: str
    case_id: str
    workflow: str
    state: str


@dataclass(frozen=True)
class RedeliveryRequest:
    """What became of somebody's wish to let an action go.

    Attributes:
        action: as it stood before.
        money: what would leave, with what follows it.
        redelivery: the number under which a second person agrees; None in a dry run.
        gone: whether it goes; else it waits for a second person, or it was a dry run.
    """

    action: OutboxRow
    money: float
    redelivery: int | None = None
    gone: bool = False
