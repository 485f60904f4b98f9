"""Models: what was proposed, and what a person said to it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Table,
    Text,
    UniqueConstraint,
)

from resources.ledger.tables.nights import NightColumn, _id, _json, _now, metadata

#: A challenger, what its replay found and what the gates said; `hash` is over all of it, and is what a person signs.
#: One that did not pass stands here as well, and cannot be signed.
model_proposals = Table(
    "model_proposals",
    metadata,
    _id(),
    Column("workflow", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("night", NightColumn, nullable=False),
    Column("digest", Text, nullable=False),
    Column("base_version", Text, nullable=False),
    Column("spec_hash", Text, nullable=False),
    Column("trained_by", Text, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("promised_error", Double),
    Column("gates", _json(), nullable=False),
    Column("replay", _json()),
    Column("card", Text, nullable=False, server_default=""),
    Column("hash", Text, nullable=False),
    _now("proposed_at"),
    ForeignKeyConstraint(["workflow", "version"], ["model_versions.workflow", "model_versions.version"]),
    UniqueConstraint("workflow", "hash"),
    # what a signature refers to: it can be about nothing else than what was shown, and by nobody who made it
    UniqueConstraint("id", "hash", "trained_by", "passed", name="uq_model_proposals_as_signed"),
    CheckConstraint("hash ~ '^[0-9a-f]{64}$' AND digest ~ '^[0-9a-f]{64}$'", name="hashes_are_hex"),
    CheckConstraint("trained_by <> ''", name="maker_is_named"),
    CheckConstraint("promised_error BETWEEN 0 AND 1", name="promised_error_is_share"),
    Index("ix_model_proposals_workflow", "workflow", "id"),
)

#: A person's word on a proposal, once. The rules are the database's: nobody signs what they trained, nor what did not
#: pass, nor anything else than was shown.
model_signatures = Table(
    "model_signatures",
    metadata,
    Column("proposal_id", BigInteger, primary_key=True, autoincrement=False),
    Column("proposal_hash", Text, nullable=False),
    Column("trained_by", Text, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("person", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("note", Text),
    _now("signed_at"),
    ForeignKeyConstraint(
        ["proposal_id", "proposal_hash", "trained_by", "passed"],
        ["model_proposals.id", "model_proposals.hash", "model_proposals.trained_by", "model_proposals.passed"],
        name="fk_model_signatures_proposal",
    ),
    CheckConstraint("person <> ''", name="person_is_named"),
    CheckConstraint("lower(person) <> lower(trained_by)", name="four_eyes"),
    CheckConstraint("verdict IN ('sign', 'refuse')", name="verdict_is_known"),
    CheckConstraint("verdict = 'refuse' OR passed", name="only_what_passed"),
)

#: Tables of this module whose rows never change.
FACTS: tuple[str, ...] = ("model_proposals", "model_signatures")
