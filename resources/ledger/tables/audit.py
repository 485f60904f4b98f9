"""The audit chain: one row per batch, one per fact. Signed checkpoints are kept outside the database."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Index, Integer, Table, Text, UniqueConstraint

from resources.ledger.tables.nights import metadata

_HASH = "~ '^[0-9a-f]{64}$'"

#: `number` counts without a gap, `prev_hash` is unique: a fork of the chain is refused whatever a writer does.
audit_batches = Table(
    "audit_batches",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("root", Text, nullable=False),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("prev_hash"),
    UniqueConstraint("hash"),
    CheckConstraint("number > 0 AND count > 0", name="number_and_count_from_one"),
    CheckConstraint("kind <> ''", name="kind_is_named"),
    CheckConstraint(f"root {_HASH} AND prev_hash {_HASH} AND hash {_HASH}", name="hashes_are_sha256"),
    CheckConstraint("(number = 1) = (prev_hash ~ '^0{64}$')", name="first_follows_nothing"),
    Index("ix_audit_batches_kind_at", "kind", "at"),
)

#: `body` is the fact's canonical spelling, of which `leaf` is the hash; the other columns repeat parts of it for the
#: search, and a check compares them. No foreign key: its check for each row would lengthen the chain's lock.
audit_rows = Table(
    "audit_rows",
    metadata,
    Column("batch", BigInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("leaf", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("source", Text),
    Column("key", Text),
    Column("case_id", Text),
    Column("person", Text),
    CheckConstraint("position >= 0", name="position_counts_from_zero"),
    CheckConstraint(f"leaf {_HASH}", name="leaf_is_sha256"),
    Index("ix_audit_rows_case_id", "case_id", "batch", postgresql_where="case_id IS NOT NULL"),
    Index("ix_audit_rows_person", "person", "batch", postgresql_where="person IS NOT NULL"),
    Index("ix_audit_rows_source_key", "source", "key", postgresql_where="key IS NOT NULL"),
)

#: Tables of this module whose rows never change.
FACTS: tuple[str, ...] = ("audit_batches", "audit_rows")
