"""The ledger's tables. `migrations/` makes them; a test compares the two.

Rows of every table but `attempts` and `alerts` are facts: a trigger made by the migrations refuses to change or
delete them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import DOMAIN, JSONB
from sqlalchemy.sql.operators import OperatorClass

from pipeline_project.domain.core.nights import valid_night

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


#: The three forms of a key, each of a day, an hour or a week that there is. `make_date` refuses days that are none.
_IS_NIGHT = """CASE
    WHEN VALUE ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}(T([01][0-9]|2[0-3])Z)?$' THEN make_date(
        substr(VALUE, 1, 4)::integer, substr(VALUE, 6, 2)::integer, substr(VALUE, 9, 2)::integer) IS NOT NULL
    WHEN VALUE ~ '^[0-9]{4}-W[0-9]{2}-1$' THEN
        to_char(to_date(VALUE, 'IYYY-"W"IW-ID'), 'IYYY-"W"IW-ID') = VALUE
    ELSE VALUE IS NULL END"""


class NightDomain(DOMAIN):
    """The domain in which keys are kept: they are compared, and that is all."""

    operator_classes = OperatorClass.BASE | OperatorClass.COMPARISON


class NightColumn(TypeDecorator[str]):
    """A partition key, in a domain of the database's own, which refuses what is no night. Its order is that of bytes:
    keys of one cadence sort by time."""

    impl = NightDomain("night_key", Text, collation="C", check=_IS_NIGHT, constraint_name="is_night", metadata=metadata)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else valid_night(value)


def _json() -> JSONB:
    return JSONB(none_as_null=True)


def _now(name: str) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


def _id() -> Column[int]:
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


workflow_versions = Table(
    "workflow_versions",
    metadata,
    Column("workflow", Text, primary_key=True),
    Column("spec_hash", Text, primary_key=True),
    Column("spec", _json(), nullable=False),
    _now("first_seen"),
    # the same spec as JSON text: JSONB sorts the keys of an object, and options stand in an order
    Column("in_order", Text),
    CheckConstraint("workflow ~ '^[a-z][a-z0-9_]{0,47}$'", name="workflow_is_slug"),
    CheckConstraint("jsonb_typeof(spec) = 'object'", name="spec_is_object"),
    Index("ix_workflow_versions_spec_hash", "spec_hash"),
)

#: Which workflow has read which source, so that another one that reads it is seen, whatever it is called. A place is a
#: path with links resolved, `{night}` standing for the night, or a hash of a query and its database.
source_readers = Table(
    "source_readers",
    metadata,
    Column("workflow", Text, primary_key=True),
    Column("place", Text, primary_key=True),
    _now("first_read"),
    CheckConstraint("workflow <> '' AND place <> ''", name="place_is_named"),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("workflow", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("night", NightColumn, nullable=False),
    Column("digest", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("metrics", _json(), nullable=False),
    _now("recorded_at"),
    Column("knows_until", NightColumn),
    Column("trained_by", Text),
    CheckConstraint("jsonb_typeof(metrics) = 'object'", name="metrics_is_object"),
    Index("ix_model_versions_workflow_night", "workflow", "night"),
)

champions = Table(
    "champions",
    metadata,
    _id(),
    Column("workflow", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("from_night", NightColumn, nullable=False),
    Column("reason", Text, nullable=False),
    _now("recorded_at"),
    ForeignKeyConstraint(["workflow", "version"], ["model_versions.workflow", "model_versions.version"]),
    UniqueConstraint("workflow", "from_night", "version"),
    CheckConstraint("reason <> ''", name="reason_is_given"),
)

#: One row per night: the newest attempt, which alone may write. `decided_at` is when a night was first decided whole.
attempts = Table(
    "attempts",
    metadata,
    Column("workflow", Text, primary_key=True),
    Column("night", NightColumn, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("run_id", Text, nullable=False),
    _now("begun_at"),
    Column("decided_at", DateTime(timezone=True)),
    CheckConstraint("attempt > 0", name="attempt_counts_from_one"),
)

decisions = Table(
    "decisions",
    metadata,
    _id(),
    Column("workflow", Text, nullable=False),
    Column("case_id", Text, nullable=False),
    Column("epoch", Integer, nullable=False, server_default="1"),
    Column("night", NightColumn, nullable=False),
    Column("option", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("spec_hash", Text, nullable=False),
    Column("model_version", Text),
    Column("data_versions", _json(), nullable=False),
    Column("contract", _json()),
    Column("cluster", Text),
    Column("reasons", _json()),
    Column("probabilities", _json()),
    Column("expected_costs", _json()),
    Column("amount", Double),
    Column("propensity", Double),
    Column("attempt", Integer, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("made_by", Text, nullable=False, server_default="policy"),
    _now("decided_at"),
    # of which option each of `expected_costs` is; the hash of a spec says nothing of the order of its options
    Column("option_order", _json()),
    ForeignKeyConstraint(["workflow", "spec_hash"], ["workflow_versions.workflow", "workflow_versions.spec_hash"]),
    ForeignKeyConstraint(["workflow", "model_version"], ["model_versions.workflow", "model_versions.version"]),
    UniqueConstraint("workflow", "case_id", "epoch"),
    CheckConstraint("epoch > 0", name="epoch_counts_from_one"),
    CheckConstraint("case_id <> ''", name="case_is_named"),
    CheckConstraint("option <> '' AND reason <> ''", name="option_has_reason"),
    CheckConstraint("made_by = 'policy' OR made_by LIKE 'person:_%'", name="made_by_policy_or_person"),
    CheckConstraint("propensity BETWEEN 0 AND 1", name="propensity_is_probability"),
    CheckConstraint("jsonb_typeof(data_versions) = 'object'", name="data_versions_is_object"),
    CheckConstraint("jsonb_typeof(reasons) = 'array'", name="reasons_is_array"),
    CheckConstraint("jsonb_typeof(probabilities) = 'array'", name="probabilities_is_array"),
    CheckConstraint("jsonb_typeof(expected_costs) = 'array'", name="expected_costs_is_array"),
    CheckConstraint("jsonb_typeof(option_order) = 'array'", name="option_order_is_array"),
    Index("ix_decisions_workflow_night_option", "workflow", "night", "option"),
    # the few that were decided further, above all by people
    Index("ix_decisions_further", "workflow", "night", "case_id", "epoch", "option", postgresql_where="epoch > 1"),
)

outcomes = Table(
    "outcomes",
    metadata,
    _id(),
    Column("workflow", Text, nullable=False),
    Column("case_id", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("true_at", DateTime(timezone=True)),
    Column("known_at", DateTime(timezone=True), nullable=False),
    Column("source", Text, nullable=False),
    _now("recorded_at"),
    UniqueConstraint("workflow", "case_id", "label", "known_at", "source"),
    CheckConstraint("case_id <> ''", name="case_is_named"),
    CheckConstraint("label <> ''", name="label_is_named"),
    CheckConstraint("true_at <= known_at", name="true_before_known"),
    Index("ix_outcomes_workflow_known_at", "workflow", "known_at"),
)

alerts = Table(
    "alerts",
    metadata,
    _id(),
    Column("workflow", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("next_command", Text, nullable=False),
    _now("raised_at"),
    Column("closed_at", DateTime(timezone=True)),
    UniqueConstraint("workflow", "key"),
    CheckConstraint("closed_at >= raised_at", name="closed_after_raised"),
    Index("ix_alerts_open", "raised_at", postgresql_where="closed_at IS NULL"),
)

#: Tables whose rows never change.
FACTS = ("workflow_versions", "source_readers", "model_versions", "champions", "decisions", "outcomes")
