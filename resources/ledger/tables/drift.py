"""Quality: sketches of nights and the signals made of them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from resources.ledger.tables.nights import NightColumn, _id, _json, _now, metadata

#: What a night was like. No fact: running a night again makes it again.
night_sketches = Table(
    "night_sketches",
    metadata,
    Column("workflow", Text, primary_key=True),
    Column("night", NightColumn, primary_key=True),
    Column("model_version", Text),
    Column("cases", BigInteger, nullable=False),
    Column("sketch", _json(), nullable=False),
    _now("sketched_at"),
    CheckConstraint("workflow <> ''", name="workflow_is_named"),
    CheckConstraint("cases >= 0", name="cases_count_from_zero"),
    CheckConstraint("jsonb_typeof(sketch) = 'object'", name="sketch_is_object"),
)

#: What anyone may subscribe to: rows after an id. Of a night that ran again the rows with the newest id hold.
quality_signals = Table(
    "quality_signals",
    metadata,
    _id(),
    Column("workflow", Text, nullable=False),
    Column("night", NightColumn, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("signal", Text, nullable=False),
    Column("value", Double, nullable=False),
    Column("noise", Double, nullable=False),
    Column("threshold", Double, nullable=False),
    Column("psi", Double),
    Column("breached", Boolean, nullable=False),
    Column("severity", Text, nullable=False),
    Column("cases", BigInteger, nullable=False),
    _now("recorded_at"),
    UniqueConstraint("workflow", "night", "run_id", "signal"),
    CheckConstraint("workflow <> '' AND signal <> '' AND run_id <> ''", name="signal_is_named"),
    CheckConstraint("severity IN ('none', 'warn', 'error')", name="severity_is_known"),
    CheckConstraint("breached = (severity <> 'none')", name="severity_of_breach"),
    CheckConstraint("cases >= 0", name="cases_count_from_zero"),
    Index("ix_quality_signals_workflow", "workflow", "id"),
)

#: Trainings that drift asked for, one for each episode of breaches: none lies within another one's cooldown.
training_requests = Table(
    "training_requests",
    metadata,
    _id(),
    Column("workflow", Text, nullable=False),
    Column("night", NightColumn, nullable=False),
    Column("why", Text, nullable=False),
    Column("cooldown_nights", Integer, nullable=False),
    Column("run_id", Text, nullable=False),
    _now("asked_at"),
    UniqueConstraint("workflow", "night"),
    CheckConstraint("why <> ''", name="reason_is_given"),
    CheckConstraint("cooldown_nights >= 0", name="cooldown_counts_from_zero"),
)

#: Tables of this module whose rows never change.
FACTS: tuple[str, ...] = ("quality_signals", "training_requests")
