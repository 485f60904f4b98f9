"""Review tasks as people meet them: in the queue, in hand, waiting for a second person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class TaskState(StrEnum):
    """Where a task stands; the last three are the end of it."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    ESCALATED = "escalated"
    COMPLETE = "complete"
    FAILED = "failed"
    EXPIRED = "expired"


OPEN = (TaskState.PENDING, TaskState.IN_PROGRESS, TaskState.ESCALATED)
#: Most open tasks of one state that are counted; one more stands for all there are beyond.
MOST_COUNTED = 10_000


@dataclass(frozen=True)
class QueueRow:
    """A task as the queue lists it; blind samples and cases shown again look like any other.

    Attributes:
        version: grows with every change; an answer names the one it was given to.
        why: why the case is here, a `policy.Reason` value. note: a word on why it came back, or None.
        priority: its place in the queue, in money. priority_reason: the sentence that explains it.
        proposal: id of the proposal that waits for a second person, or None.
        held: kept out of the queue while its cluster is being sampled.
    """

    id: int
    workflow: str
    night: str
    case_id: str
    state: TaskState
    version: int
    why: str
    note: str | None
    benefit: float | None
    amount: float | None
    information: float
    subject: str | None
    cluster: str | None
    skill: str | None
    priority: float
    priority_reason: str
    assigned_to: str | None
    claimed_by: str | None
    lease_until: datetime | None
    proposal: int | None
    held: bool
    opened_at: datetime
    due_at: datetime | None
    escalated_at: datetime | None
    closed_at: datetime | None


@dataclass(frozen=True)
class Task(QueueRow):
    """One task with what its page shows (`content.build`).

    Attributes:
        token: of the claim, for whoever has just taken it; None for everybody else.
    """

    content: Mapping[str, Any] = field(default_factory=dict)
    token: UUID | None = None


@dataclass(frozen=True)
class TaskClaim:
    """A task in a person's hand: the version that was seen and the token under which it was taken."""

    task: int
    version: int
    token: UUID
    person: str


@dataclass(frozen=True)
class QueueFilter:
    """What the queue shows; None means all.

    Attributes:
        states: of the open ones; empty means all open ones.
        assigned_to: a person's name. subject: a pseudonym.
    """

    workflow: str | None = None
    night: str | None = None
    why: str | None = None
    cluster: str | None = None
    subject: str | None = None
    assigned_to: str | None = None
    states: tuple[TaskState, ...] = ()


@dataclass(frozen=True)
class Queue:
    """One page of the queue.

    Attributes:
        counts: open tasks by state, whatever the page; more than `MOST_COUNTED` means that there are more.
        after: hand it over for the next page; None on the last one.
    """

    rows: Sequence[QueueRow]
    counts: Mapping[str, int]
    after: tuple[float, int] | None


@dataclass(frozen=True)
class Proposal:
    """A decision that waits for a second person.

    Attributes:
        amount: at stake in it. total: with what people decided or proposed for the same customer before.
        verdict: `approve`, `send_back`, or None while it waits. approver: who said so.
    """

    id: int
    task: int
    workflow: str
    case_id: str
    proposer: str
    option: str
    label: str
    reason: str
    note: str | None
    amount: float | None
    total: float
    subject: str | None
    hash: str
    proposed_at: datetime
    verdict: str | None = None
    approver: str | None = None
    approved_at: datetime | None = None


@dataclass(frozen=True)
class TaskEvent:
    """One change of a task, as its history lists it."""

    version: int
    event: str
    person: str | None
    at: datetime


@dataclass(frozen=True)
class Notice:
    """A reminder, an escalation or a lapse of a task."""

    task: int
    kind: str
    level: int
    at: datetime


@dataclass(frozen=True)
class Mine:
    """What one person has to do with: tasks in hand, tasks assigned, own proposals that wait for somebody else."""

    in_hand: Sequence[QueueRow]
    assigned: Sequence[QueueRow]
    proposed: Sequence[Proposal]
