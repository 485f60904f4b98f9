"""Actions: the outbox, its events, spending, switches, breakers, replays."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from resources.ledger.tables.nights import NightColumn, metadata

STATES = ("waiting", "ready", "sending", "done", "rehearsed", "unknown", "held", "dead", "cancelled")


def _now(name: str) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


def _id() -> Column[int]:
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


#: A released night's actions may leave. Written once, when its blocking checks have passed.
releases = Table(
    "releases",
    metadata,
    Column("workflow", Text, primary_key=True),
    Column("night", NightColumn, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("run_id", Text, nullable=False),
    _now("released_at"),
)

#: One row per effect. Its key is unique for ever; its state is the only thing about it that changes.
actions = Table(
    "actions",
    metadata,
    _id(),
    Column("workflow", Text, nullable=False),
    Column("night", NightColumn, nullable=False),
    Column("case_id", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("step", Integer, nullable=False),
    Column("key", Uuid, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("money", Numeric(14, 2), nullable=False),
    Column("final", Boolean, nullable=False),
    Column("live", Boolean, nullable=False),
    Column("undo", Text),
    Column("undoes", Uuid),
    Column("state", Text, nullable=False),
    Column("held_reason", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("uncertain", Boolean, nullable=False, server_default="false"),
    Column("first_sent_at", DateTime(timezone=True)),
    _now("next_at"),
    Column("claim_token", Uuid),
    Column("lease_until", DateTime(timezone=True)),
    Column("error_class", Text),
    Column("error", Text),
    Column("owner", Text),
    Column("receipt", JSONB(none_as_null=True)),
    _now("created_at"),
    Column("settled_at", DateTime(timezone=True)),
    UniqueConstraint("key"),
    UniqueConstraint("undoes"),
    ForeignKeyConstraint(
        ["workflow", "case_id", "epoch"], ["decisions.workflow", "decisions.case_id", "decisions.epoch"]
    ),
    ForeignKeyConstraint(["undoes"], ["actions.key"]),
    CheckConstraint(f"state IN ({', '.join(repr(state) for state in STATES)})", name="state_is_known"),
    CheckConstraint("money >= 0", name="money_is_paid_out"),
    CheckConstraint("(state = 'held') = (held_reason IS NOT NULL)", name="held_has_reason"),
    CheckConstraint("(state = 'sending') = (claim_token IS NOT NULL)", name="sending_is_claimed"),
    CheckConstraint("(claim_token IS NULL) = (lease_until IS NULL)", name="claim_has_lease"),
    CheckConstraint("state <> 'dead' OR (error_class IS NOT NULL AND owner IS NOT NULL)", name="dead_is_explained"),
    CheckConstraint(
        "(state IN ('done', 'rehearsed', 'dead', 'cancelled')) = (settled_at IS NOT NULL)", name="end_has_time"
    ),
    CheckConstraint("fingerprint ~ '^[0-9a-f]{64}$'", name="fingerprint_is_sha256"),
    CheckConstraint("step >= 0 AND epoch > 0 AND attempts >= 0", name="counts_are_counts"),
    Index("ix_actions_first", "next_at", "id", postgresql_where="state IN ('ready', 'unknown') AND attempts = 0"),
    Index("ix_actions_again", "next_at", "id", postgresql_where="state IN ('ready', 'unknown') AND attempts > 0"),
    Index("ix_actions_leased", "lease_until", postgresql_where="state = 'sending'"),
    Index("ix_actions_case", "workflow", "case_id", "epoch", "step"),
    Index("ix_actions_night_state", "workflow", "night", "state"),
    Index("ix_actions_dead", "workflow", "settled_at", postgresql_where="state = 'dead'"),
)

#: What happened to each action, one row a transition.
action_events = Table(
    "action_events",
    metadata,
    _id(),
    Column("action_id", BigInteger, nullable=False),
    Column("event", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("worker", Text, nullable=False),
    Column("error_class", Text),
    _now("at"),
    ForeignKeyConstraint(["action_id"], ["actions.id"]),
    CheckConstraint("event <> ''", name="event_is_named"),
    Index("ix_action_events_action_id", "action_id"),
)

#: What a night's actions pay out together; the database refuses more than its cap.
night_spending = Table(
    "night_spending",
    metadata,
    Column("workflow", Text, primary_key=True),
    Column("night", NightColumn, primary_key=True),
    Column("cap", Numeric(14, 2)),
    Column("reserved", Numeric(14, 2), nullable=False, server_default="0"),
    CheckConstraint("reserved >= 0 AND (cap IS NULL OR reserved <= cap)", name="within_the_cap"),
)

#: The kill switch of each workflow.
switches = Table(
    "switches",
    metadata,
    Column("workflow", Text, primary_key=True),
    Column("stopped", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    _now("changed_at"),
    CheckConstraint("reason <> '' AND changed_by <> ''", name="change_is_explained"),
)

#: A destination that fails too often is left alone for a while; kept here, because a process that dies forgets.
breakers = Table(
    "breakers",
    metadata,
    Column("workflow", Text, primary_key=True),
    Column("destination", Text, primary_key=True),
    Column("state", Text, nullable=False, server_default="closed"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("opened", Integer, nullable=False, server_default="0"),
    Column("retry_at", DateTime(timezone=True)),
    Column("first_tries", BigInteger, nullable=False, server_default="0"),
    Column("retries", BigInteger, nullable=False, server_default="0"),
    Column("saved", Double, nullable=False, server_default="20"),
    _now("saved_at"),
    _now("changed_at"),
    CheckConstraint("state IN ('closed', 'open', 'half_open')", name="state_is_known"),
    CheckConstraint("state = 'closed' OR retry_at IS NOT NULL", name="open_ends"),
    CheckConstraint(
        "failures >= 0 AND opened >= 0 AND first_tries >= 0 AND retries >= 0 AND saved >= 0", name="counts_are_counts"
    ),
)

#: One person asks that a dead or held action goes again; `content` is the hash of what that person saw.
replays = Table(
    "replays",
    metadata,
    _id(),
    Column("action_id", BigInteger, nullable=False),
    Column("content", Text, nullable=False),
    Column("money", Numeric(14, 2), nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    _now("asked_at"),
    ForeignKeyConstraint(["action_id"], ["actions.id"]),
    UniqueConstraint("id", "asked_by", "content"),
    CheckConstraint("asked_by <> '' AND reason <> ''", name="replay_is_explained"),
    CheckConstraint("content ~ '^[0-9a-f]{64}$'", name="content_is_sha256"),
    Index("ix_replays_action_id", "action_id"),
)

#: Another person agrees. The key into `replays` binds the yes to who asked and to what was shown.
replay_approvals = Table(
    "replay_approvals",
    metadata,
    Column("replay_id", BigInteger, primary_key=True, autoincrement=False),
    Column("asked_by", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("approved_by", Text, nullable=False),
    _now("approved_at"),
    ForeignKeyConstraint(["replay_id", "asked_by", "content"], ["replays.id", "replays.asked_by", "replays.content"]),
    CheckConstraint("approved_by <> '' AND approved_by <> asked_by", name="two_people"),
)

#: Tables of this module whose rows never change.
FACTS: tuple[str, ...] = ("releases", "action_events", "replays", "replay_approvals")
