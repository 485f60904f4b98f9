"""Inbound: what other systems posted, before it is part of a night."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    func,
)

from resources.ledger.tables.nights import NightColumn, metadata

#: One event each, once by the sender's own id. `sealed` holds its rows, a token a line: nothing personal stands open.
#: `body_digest` is keyed, so that it confirms no guess at what a body held.
inbound_events = Table(
    "inbound_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("night", NightColumn, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("sealed_sha256", Text, nullable=False),
    Column("body_digest", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True)),
    Column("received_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("workflow", "event_id"),
    CheckConstraint("workflow <> '' AND event_id <> ''", name="workflow_and_event_are_named"),
    CheckConstraint("kind IN ('arrival', 'outcome')", name="kind_is_known"),
    CheckConstraint("rows > 0", name="rows_count_from_one"),
    CheckConstraint("sealed_sha256 ~ '^[0-9a-f]{64}$' AND body_digest ~ '^[0-9a-f]{64}$'", name="digests_are_hex"),
    # the landing sensor counts each night's events every minute: this index alone answers it
    Index("ix_inbound_events_workflow_night", "workflow", "night", "id"),
)

#: Events that stand in the audit chain.
inbound_chained = Table(
    "inbound_chained",
    metadata,
    Column("event", BigInteger, primary_key=True, autoincrement=False),
    Column("chained_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ForeignKeyConstraint(["event"], ["inbound_events.id"]),
)

#: How often something was turned away, by reason and day; nothing of what was sent.
inbound_refusals = Table(
    "inbound_refusals",
    metadata,
    Column("workflow", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("count > 0", name="count_from_one"),
    CheckConstraint("reason <> ''", name="reason_is_given"),
)

#: Tables of this module whose rows never change.
FACTS: tuple[str, ...] = ("inbound_events", "inbound_chained")
