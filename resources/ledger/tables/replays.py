"""Replays: past nights decided again by a candidate, kept apart from every decision.

The table `replays` of `action_tables` is another matter: actions that are sent once more.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Table, Text

from resources.ledger.tables.nights import NightColumn, _id, _json, _now, metadata

#: One row per replay. `candidate` is a slug such as v7 or v7--cheap_warning; a model version need not be in the ledger,
#: because a challenger that nobody proposed can be replayed as well.
candidate_replays = Table(
    "candidate_replays",
    metadata,
    _id(),
    Column("workflow", Text, nullable=False),
    Column("candidate", Text, nullable=False),
    Column("model_version", Text),
    Column("base", Text),
    Column("first", NightColumn, nullable=False),
    Column("last", NightColumn, nullable=False),
    Column("cases", BigInteger, nullable=False),
    Column("result", _json(), nullable=False),
    Column("spec_hash", Text, nullable=False),
    Column("policy_hash", Text, nullable=False),
    Column("started_by", Text, nullable=False),
    _now("recorded_at"),
    CheckConstraint("candidate ~ '^[a-z0-9][a-z0-9_-]{0,95}$'", name="candidate_is_slug"),
    CheckConstraint("first <= last", name="span_in_order"),
    CheckConstraint("cases > 0", name="cases_were_replayed"),
    CheckConstraint("jsonb_typeof(result) = 'object'", name="result_is_object"),
    CheckConstraint("spec_hash ~ '^[0-9a-f]{64}$' AND policy_hash ~ '^[0-9a-f]{64}$'", name="hashes_are_hex"),
    CheckConstraint("started_by <> ''", name="starter_is_named"),
    Index("ix_candidate_replays_workflow", "workflow", "id"),
)

#: Tables of this module whose rows never change.
FACTS: tuple[str, ...] = ("candidate_replays",)
