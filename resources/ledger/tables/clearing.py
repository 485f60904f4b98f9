"""What a night's blocking checks found, and on what it was decided and released."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, Index, Integer, Table, Text, UniqueConstraint

from resources.ledger.tables.nights import NightColumn, _id, _json, _now, metadata

#: `judged` names what a check looked at, so that a verdict counts for these tables of the night and no others.
night_verdicts = Table(
    "night_verdicts",
    metadata,
    _id(),
    Column("workflow", Text, nullable=False),
    Column("night", NightColumn, nullable=False),
    Column("check_name", Text, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("words", Text, nullable=False),
    Column("judged", _json(), nullable=False),
    Column("run_id", Text, nullable=False),
    _now("recorded_at"),
    CheckConstraint("check_name <> '' AND run_id <> ''", name="check_is_named"),
    # a verdict over nothing would count for everything
    CheckConstraint("judged -> 'spec' IS NOT NULL AND judged - 'spec' - 'code' <> '{}'", name="tables_are_named"),
    Index("ix_night_verdicts_workflow_night", "workflow", "night"),
)

#: A night was let to be decided, or released. A trigger refuses a row whose checks have not passed on what is judged,
#: and without a row here the database takes no decision of the policy and no release.
night_clearances = Table(
    "night_clearances",
    metadata,
    _id(),
    Column("workflow", Text, nullable=False),
    Column("night", NightColumn, nullable=False),
    Column("step", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("judged", _json(), nullable=False),
    Column("checks", _json(), nullable=False),
    _now("cleared_at"),
    UniqueConstraint("workflow", "night", "step", "attempt", "run_id"),
    CheckConstraint("step IN ('decisions', 'release')", name="step_is_known"),
    CheckConstraint("jsonb_typeof(checks) = 'array'", name="checks_is_array"),
)

#: Tables of this module whose rows never change.
FACTS: tuple[str, ...] = ("night_verdicts", "night_clearances")
