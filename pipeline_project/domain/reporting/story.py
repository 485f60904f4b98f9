"""Everything that is known of one case, from its first decision to the last delivery; rows by column, as they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from pipeline_project.domain.deciding.recorded import RecordedDecision
from pipeline_project.domain.delivery.outbox_rows import OutboxRow


@dataclass(frozen=True)
class NightRelease:
    """What let a night's actions out."""

    workflow: str
    night: str
    attempt: int
    run_id: str
    released_at: datetime


@dataclass(frozen=True)
class AskedTask:
    """A review task, without what its page shows and without the claim of whoever holds it."""

    id: int
    workflow: str
    night: str
    case_id: str
    epoch: int
    kind: str
    state: str
    version: int
    claimed_by: str | None
    claimed_at: datetime | None
    lease_until: datetime | None
    lease_minutes: float
    assigned_to: str | None
    excluded: Sequence[str]
    skill: str | None
    held_by: int | None
    proposal_id: int | None
    why: str
    benefit: float | None
    amount: float | None
    information: float
    subject: str | None
    cluster: str | None
    currency: str
    priority: float
    due_level: int
    note: str | None
    not_before: datetime | None
    opened_at: datetime
    due_at: datetime | None
    escalated_at: datetime | None
    closed_at: datetime | None


@dataclass(frozen=True)
class TaskChange:
    """Who brought a task to a version."""

    task_id: int
    version: int
    event: str
    person: str | None
    at: datetime


@dataclass(frozen=True)
class TaskNotice:
    """A reminder, an escalation or a lapse of a task."""

    task_id: int
    kind: str
    level: int
    workflow: str
    at: datetime


@dataclass(frozen=True)
class Reveal:
    """Who opened which personal value."""

    id: int
    task_id: int
    workflow: str
    case_id: str
    person: str
    field: str
    at: datetime


@dataclass(frozen=True)
class GivenAnswer:
    """A person's answer to a task."""

    id: int
    task_id: int
    workflow: str
    case_id: str
    decided_epoch: int | None
    person: str
    option: str
    label: str
    reason: str
    note: str | None
    amount: float | None
    subject: str | None
    proposal_id: int | None
    proposal_verdict: str | None
    hash: str
    answered_at: datetime


@dataclass(frozen=True)
class ProposedAnswer:
    """An answer that needed a second person."""

    id: int
    task_id: int
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
    claim: UUID
    hash: str
    proposed_at: datetime


@dataclass(frozen=True)
class SecondWord:
    """What the second person said of a proposal."""

    proposal_id: int
    proposal_hash: str
    proposer: str
    approver: str
    verdict: str
    note: str | None
    approved_at: datetime


@dataclass(frozen=True)
class LearnedOutcome:
    """What turned out to be true, as somebody said it."""

    id: int
    workflow: str
    case_id: str
    label: str
    true_at: datetime | None
    known_at: datetime
    source: str
    recorded_at: datetime


@dataclass(frozen=True)
class ActionEvent:
    """One step of an action's way."""

    id: int
    action_id: int
    event: str
    attempt: int
    worker: str
    error_class: str | None
    at: datetime


@dataclass(frozen=True)
class AskedRedelivery:
    """That somebody asked for a held or dead action to go."""

    id: int
    action_id: int
    content: str
    money: Decimal
    asked_by: str
    reason: str
    asked_at: datetime


@dataclass(frozen=True)
class ChainedBatch:
    """A batch of the audit chain that speaks of the case."""

    number: int
    kind: str
    at: datetime
    hash: str


@dataclass(frozen=True)
class CaseStory:
    """One case that was decided; each list in the order in which it happened.

    Attributes:
        release: of the night of its first decision, where that was released.
    """

    decisions: Sequence[RecordedDecision]
    release: Sequence[NightRelease]
    tasks: Sequence[AskedTask]
    events: Sequence[TaskChange]
    notices: Sequence[TaskNotice]
    reveals: Sequence[Reveal]
    answers: Sequence[GivenAnswer]
    proposals: Sequence[ProposedAnswer]
    approvals: Sequence[SecondWord]
    outcomes: Sequence[LearnedOutcome]
    actions: Sequence[OutboxRow]
    deliveries: Sequence[ActionEvent]
    replays: Sequence[AskedRedelivery]
    chain: Sequence[ChainedBatch]

    def document(self) -> Mapping[str, Sequence[Mapping[str, object]]]:
        """As JSON takes it: by list, its rows by column."""
        return {name: [vars(row) for row in rows] for name, rows in vars(self).items()}
