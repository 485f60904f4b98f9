"""Review tasks, who holds them, what was answered, proposed and approved, and what the clock did about them.

`review_tasks` is the one table here whose rows change, each time with a new `version`; everything else is a fact.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    Double,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    cast,
    func,
    text,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB

from resources.ledger.tables import clusters as cluster_tables
from resources.ledger.tables.nights import NightColumn, metadata

TIME = DateTime(timezone=True)
#: What is read in place of a content that cannot be; its page says so.
UNREADABLE = {"problem": "unreadable"}
_WAITING = "state = 'pending' AND held_by IS NULL"
_OPEN = "state IN ('pending', 'in_progress', 'escalated')"
_LATE = "state = 'escalated' AND held_by IS NULL"
_IN_ORDER = (text("priority DESC"), "id")
#: An index finds the first of one skill at once; among others it would have to pass over all of theirs.
_BY_SKILL = (text("COALESCE(skill, '')"), *_IN_ORDER)


class Content(TypeDecorator[Mapping[str, Any]]):
    """What a task's page shows. One that nobody can read is one task's trouble, and must not stop the whole queue."""

    impl = JSONB(none_as_null=True)
    cache_ok = True

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        # as text: what the driver reads by itself it raises about
        return type_coerce(cast(column, Text), self)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], Mapping[str, Any] | None]:
        def read(text: str | None) -> Mapping[str, Any] | None:
            try:
                return None if text is None else json.loads(text)
            except (RecursionError, ValueError):
                return dict(UNREADABLE)

        return read


def _id() -> Column[int]:
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


def _now(name: str) -> Column[Any]:
    return Column(name, TIME, nullable=False, server_default=func.now())


#: `epoch` is that of the decision that asked. `reminded` is the level of its last reminder, and `stayed_at` when it
#: lapsed without a safe default: they repeat what `review_notices` says, so that the clock need not look there.
#: `held_by` is the cluster review that keeps a task out of the queue, `proposal_id` the proposal that waits for a
#: second person; such a task is in progress without a lease.
review_tasks = Table(
    "review_tasks",
    metadata,
    _id(),
    Column("workflow", Text, nullable=False),
    Column("night", NightColumn, nullable=False),
    Column("case_id", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("kind", Text, nullable=False, server_default="case"),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("claim_token", Uuid),
    Column("claimed_by", Text),
    Column("claimed_at", TIME),
    Column("lease_until", TIME),
    Column("lease_minutes", Double, nullable=False, server_default="15"),
    Column("assigned_to", Text),
    Column("excluded", ARRAY(Text), nullable=False, server_default="{}"),
    Column("skill", Text),
    Column("held_by", BigInteger),
    Column("proposal_id", BigInteger),
    Column("why", Text, nullable=False),
    Column("benefit", Double),
    Column("amount", Double),
    Column("information", Double, nullable=False),
    Column("subject", Text),
    Column("cluster", Text),
    Column("currency", Text, nullable=False, server_default=""),
    Column("content", Content, nullable=False),
    Column("priority", Double, nullable=False, server_default="0"),
    Column("due_level", SmallInteger, nullable=False, server_default="0"),
    Column("note", Text),
    Column("not_before", TIME),
    _now("opened_at"),
    Column("due_at", TIME),
    Column("escalated_at", TIME),
    Column("closed_at", TIME),
    Column("reminded", SmallInteger, nullable=False, server_default="0"),
    Column("stayed_at", TIME),
    CheckConstraint("case_id <> '' AND why <> ''", name="case_and_why_are_named"),
    CheckConstraint("epoch > 0 AND version > 0", name="epoch_and_version_from_one"),
    CheckConstraint("kind IN ('case', 'sample', 'repeat')", name="kind_is_known"),
    CheckConstraint(
        "state IN ('pending', 'in_progress', 'complete', 'failed', 'expired', 'escalated')", name="state_is_known"
    ),
    CheckConstraint("num_nonnulls(claim_token, claimed_by, claimed_at, lease_until) IN (0, 4)", name="claim_is_whole"),
    CheckConstraint("claim_token IS NULL OR proposal_id IS NULL", name="claimed_or_proposed"),
    CheckConstraint(
        "(state = 'in_progress') = (claim_token IS NOT NULL OR proposal_id IS NOT NULL)", name="in_progress_is_held"
    ),
    CheckConstraint("(state IN ('complete', 'failed', 'expired')) = (closed_at IS NOT NULL)", name="closed_once_ended"),
    CheckConstraint("state <> 'escalated' OR escalated_at IS NOT NULL", name="escalated_has_time"),
    CheckConstraint("information BETWEEN 0 AND 1", name="information_is_share"),
    CheckConstraint("lease_minutes > 0", name="lease_lasts"),
    CheckConstraint("jsonb_typeof(content) = 'object'", name="content_is_object"),
    # a case is asked once by each decision, and shown again at most once
    Index(
        "uq_review_tasks_case",
        "workflow",
        "case_id",
        "epoch",
        unique=True,
        postgresql_where="kind IN ('case', 'sample')",
    ),
    Index("uq_review_tasks_repeat", "workflow", "case_id", "epoch", unique=True, postgresql_where="kind = 'repeat'"),
    # what is handed out next, by what it needs: over all workflows and of one, and the same of what is past its due
    # time; then a person's own
    Index("ix_review_tasks_next", *_BY_SKILL, postgresql_where=f"{_WAITING} AND assigned_to IS NULL"),
    Index("ix_review_tasks_next_of", "workflow", *_BY_SKILL, postgresql_where=f"{_WAITING} AND assigned_to IS NULL"),
    Index("ix_review_tasks_late", *_BY_SKILL, postgresql_where=_LATE),
    Index("ix_review_tasks_late_of", "workflow", *_BY_SKILL, postgresql_where=_LATE),
    Index(
        "ix_review_tasks_assigned",
        "assigned_to",
        *_IN_ORDER,
        postgresql_where=f"{_OPEN} AND assigned_to IS NOT NULL",
    ),
    # the queue as it is listed, state by state
    Index("ix_review_tasks_state", "state", *_IN_ORDER, postgresql_where=_OPEN),
    Index("ix_review_tasks_queue", "workflow", "state", *_IN_ORDER, postgresql_where=_OPEN),
    Index("ix_review_tasks_night", "workflow", "night", "state", *_IN_ORDER, postgresql_where=_OPEN),
    Index("ix_review_tasks_why", "workflow", "why", "state", *_IN_ORDER, postgresql_where=_OPEN),
    # what the clock looks at: each finds what has not come so far yet, and nothing that has
    Index("ix_review_tasks_lease_until", "lease_until", postgresql_where="state = 'in_progress'"),
    Index("ix_review_tasks_claimed_by", "claimed_by", postgresql_where="state = 'in_progress'"),
    Index("ix_review_tasks_due", "workflow", "state", "due_at", postgresql_where=_OPEN),
    Index("ix_review_tasks_level", "workflow", "due_level", "due_at", postgresql_where=_OPEN),
    Index("ix_review_tasks_remind", "workflow", "reminded", "due_at", postgresql_where=_OPEN),
    Index("ix_review_tasks_lapse", "workflow", "due_at", postgresql_where="state = 'escalated' AND stayed_at IS NULL"),
    Index(
        "ix_review_tasks_held_due", "workflow", "due_at", postgresql_where="state = 'pending' AND held_by IS NOT NULL"
    ),
    Index("ix_review_tasks_cluster", "workflow", "cluster", "case_id", postgresql_where=_WAITING),
    Index("ix_review_tasks_held_by", "held_by", postgresql_where="held_by IS NOT NULL"),
    Index("ix_review_tasks_subject", "workflow", "subject", "night", postgresql_where="subject IS NOT NULL"),
)

#: Every change of a task's version by people and the clock: who took it, gave it back, answered, and what time did.
task_events = Table(
    "task_events",
    metadata,
    Column("task_id", BigInteger, primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("event", Text, nullable=False),
    Column("person", Text),
    _now("at"),
    ForeignKeyConstraint(["task_id"], ["review_tasks.id"]),
    CheckConstraint("event <> ''", name="event_is_named"),
    Index("ix_task_events_person_at", "person", "at", postgresql_where="person IS NOT NULL"),
)

#: A decision that needs a second person. `hash` names all of what is proposed; an approval repeats it.
review_proposals = Table(
    "review_proposals",
    metadata,
    _id(),
    Column("task_id", BigInteger, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("case_id", Text, nullable=False),
    Column("proposer", Text, nullable=False),
    Column("option", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("note", Text),
    Column("amount", Double),
    Column("total", Double, nullable=False),
    Column("subject", Text),
    Column("claim", Uuid, nullable=False),
    Column("hash", Text, nullable=False),
    _now("proposed_at"),
    ForeignKeyConstraint(["task_id"], ["review_tasks.id"]),
    UniqueConstraint("hash"),
    UniqueConstraint("id", "hash", "proposer"),
    CheckConstraint("proposer <> ''", name="person_is_named"),
    CheckConstraint("hash ~ '^[0-9a-f]{64}$'", name="hash_is_sha256"),
    Index("ix_review_proposals_task_id", "task_id"),
)

#: A second person's word, once for each proposal. That it is a second one, and about what was proposed, are rules of
#: the database: whatever a program forgets, nobody approves an own proposal, nor another one than was shown.
review_approvals = Table(
    "review_approvals",
    metadata,
    Column("proposal_id", BigInteger, primary_key=True, autoincrement=False),
    Column("proposal_hash", Text, nullable=False),
    Column("proposer", Text, nullable=False),
    Column("approver", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("note", Text),
    _now("approved_at"),
    ForeignKeyConstraint(
        ["proposal_id", "proposal_hash", "proposer"],
        ["review_proposals.id", "review_proposals.hash", "review_proposals.proposer"],
        name="fk_review_approvals_proposal",
    ),
    UniqueConstraint("proposal_id", "verdict"),
    CheckConstraint("approver <> ''", name="person_is_named"),
    CheckConstraint("lower(approver) <> lower(proposer)", name="four_eyes"),
    CheckConstraint("verdict IN ('approve', 'send_back')", name="verdict_is_known"),
)

#: One answer a task. `decided_epoch` is that of the decision it made; a repeat makes none. One that was proposed
#: stands only with its approval.
review_answers = Table(
    "review_answers",
    metadata,
    _id(),
    Column("task_id", BigInteger, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("case_id", Text, nullable=False),
    Column("decided_epoch", Integer),
    Column("person", Text, nullable=False),
    Column("option", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("note", Text),
    Column("amount", Double),
    Column("subject", Text),
    Column("proposal_id", BigInteger),
    Column("proposal_verdict", Text),
    Column("hash", Text, nullable=False),
    _now("answered_at"),
    ForeignKeyConstraint(["task_id"], ["review_tasks.id"]),
    ForeignKeyConstraint(
        ["proposal_id", "proposal_verdict"],
        ["review_approvals.proposal_id", "review_approvals.verdict"],
        name="fk_review_answers_approval",
    ),
    UniqueConstraint("task_id"),
    CheckConstraint("person <> ''", name="person_is_named"),
    CheckConstraint("hash ~ '^[0-9a-f]{64}$'", name="hash_is_sha256"),
    CheckConstraint(
        "(proposal_id IS NULL) = (proposal_verdict IS NULL) AND proposal_verdict IS DISTINCT FROM 'send_back'",
        name="proposed_is_approved",
    ),
    Index("ix_review_answers_person_answered_at", "person", "answered_at"),
    Index("ix_review_answers_workflow_case_id", "workflow", "case_id"),
)

#: Reminders, escalations and lapses, each level once.
review_notices = Table(
    "review_notices",
    metadata,
    Column("task_id", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("workflow", Text, nullable=False),
    _now("at"),
    ForeignKeyConstraint(["task_id"], ["review_tasks.id"]),
    CheckConstraint("kind IN ('reminder', 'escalation', 'lapse')", name="kind_is_known"),
    CheckConstraint("level > 0", name="level_counts_from_one"),
)

#: Who opened which personal value of a task.
reveals = Table(
    "reveals",
    metadata,
    _id(),
    Column("task_id", BigInteger, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("case_id", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("field", Text, nullable=False),
    _now("at"),
    ForeignKeyConstraint(["task_id"], ["review_tasks.id"]),
    CheckConstraint("person <> '' AND field <> ''", name="person_and_field_are_named"),
    Index("ix_reveals_task_id", "task_id"),
)

#: Tables of this module whose rows never change.
FACTS: tuple[str, ...] = (
    "task_events",
    "review_proposals",
    "review_approvals",
    "review_answers",
    "review_notices",
    "reveals",
    *cluster_tables.FACTS,
)
