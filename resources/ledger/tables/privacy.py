"""Privacy: keys by subject, forgotten subjects, legal holds."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    func,
)

from resources.ledger.tables.nights import metadata


def _now(name: str) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


#: The key of each subject, wrapped by a master key that is no part of the database. Of a forgotten subject the row
#: stays without a key: nobody makes it another one.
subject_keys = Table(
    "subject_keys",
    metadata,
    Column("pseudonym", Text, primary_key=True),
    Column("wrapped_key", LargeBinary),
    Column("master", Integer, nullable=False),
    Column("sealed_id", Text),
    _now("created_at"),
    Column("forgotten_at", DateTime(timezone=True)),
    Column("forgotten_by", Text),
    CheckConstraint("pseudonym ~ '^s-[a-z2-7]+$'", name="pseudonym_is_one"),
    CheckConstraint("master > 0", name="master_counts_from_one"),
    CheckConstraint("(wrapped_key IS NULL) = (forgotten_at IS NOT NULL)", name="key_until_forgotten"),
    CheckConstraint("(forgotten_at IS NULL) = (forgotten_by IS NULL)", name="forgetting_is_whole"),
    CheckConstraint("forgotten_at IS NULL OR sealed_id IS NULL", name="forgotten_has_no_id"),
    Index("ix_subject_keys_master", "master"),
)

#: What may not be forgotten or thrown away: one subject, or a whole workflow, until the hold is lifted.
legal_holds = Table(
    "legal_holds",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("workflow", Text),
    Column("pseudonym", Text),
    Column("reason", Text, nullable=False),
    Column("placed_by", Text, nullable=False),
    _now("placed_at"),
    Column("lifted_by", Text),
    Column("lifted_at", DateTime(timezone=True)),
    CheckConstraint("(workflow IS NULL) <> (pseudonym IS NULL)", name="workflow_or_subject"),
    CheckConstraint("reason <> ''", name="reason_is_given"),
    CheckConstraint("(lifted_at IS NULL) = (lifted_by IS NULL)", name="lifting_is_whole"),
    Index("ix_legal_holds_workflow", "workflow", unique=True, postgresql_where="lifted_at IS NULL"),
    Index("ix_legal_holds_pseudonym", "pseudonym", unique=True, postgresql_where="lifted_at IS NULL"),
)

#: Who had a subject forgotten, when and why.
forgettings = Table(
    "forgettings",
    metadata,
    Column("pseudonym", Text, primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("forgotten_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    _now("at"),
    CheckConstraint("reason <> ''", name="reason_is_given"),
)

#: Tables of this module whose rows never change.
FACTS: tuple[str, ...] = ("forgettings",)
