"""The first nights: workflows, models, champions, attempts, decisions, outcomes, alerts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
FACTS = ("workflow_versions", "model_versions", "champions", "decisions", "outcomes")

REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are facts: add a new one instead of changing or deleting one', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$
"""


def upgrade() -> None:
    _workflows_and_models()
    _decisions()
    _outcomes()
    _alerts()
    op.execute(REFUSE_CHANGE)
    for table in FACTS:
        op.execute(
            f"CREATE TRIGGER facts_stay BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    for table in ("alerts", "outcomes", "decisions", "attempts", "champions", "model_versions", "workflow_versions"):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_change()")


def _id(table: str) -> list[Any]:
    return [
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
    ]


def _now(name: str) -> sa.Column[Any]:
    return sa.Column(name, TIME, nullable=False, server_default=sa.func.now())


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def _workflows_and_models() -> None:
    op.create_table(
        "workflow_versions",
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("spec_hash", sa.Text, nullable=False),
        sa.Column("spec", JSONB, nullable=False),
        _now("first_seen"),
        sa.PrimaryKeyConstraint("workflow", "spec_hash", name="pk_workflow_versions"),
        _check("workflow_versions", "workflow_is_slug", "workflow ~ '^[a-z][a-z0-9_]{0,47}$'"),
        _check("workflow_versions", "spec_is_object", "jsonb_typeof(spec) = 'object'"),
    )
    op.create_index("ix_workflow_versions_spec_hash", "workflow_versions", ["spec_hash"])
    op.create_table(
        "model_versions",
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("night", sa.Date, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("metrics", JSONB, nullable=False),
        _now("recorded_at"),
        sa.PrimaryKeyConstraint("workflow", "version", name="pk_model_versions"),
        _check("model_versions", "metrics_is_object", "jsonb_typeof(metrics) = 'object'"),
    )
    op.create_index("ix_model_versions_workflow_night", "model_versions", ["workflow", "night"])
    op.create_table(
        "champions",
        *_id("champions"),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("from_night", sa.Date, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        _now("recorded_at"),
        sa.ForeignKeyConstraint(
            ["workflow", "version"],
            ["model_versions.workflow", "model_versions.version"],
            name="fk_champions_workflow_version",
        ),
        sa.UniqueConstraint("workflow", "from_night", "version", name="uq_champions_workflow_from_night_version"),
        _check("champions", "reason_is_given", "reason <> ''"),
    )


def _decisions() -> None:
    op.create_table(
        "attempts",
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("night", sa.Date, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        _now("begun_at"),
        sa.Column("decided_at", TIME),
        sa.PrimaryKeyConstraint("workflow", "night", name="pk_attempts"),
        _check("attempts", "attempt_counts_from_one", "attempt > 0"),
    )
    op.create_table(
        "decisions",
        *_id("decisions"),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("case_id", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False, server_default="1"),
        sa.Column("night", sa.Date, nullable=False),
        sa.Column("option", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("spec_hash", sa.Text, nullable=False),
        sa.Column("model_version", sa.Text),
        sa.Column("data_versions", JSONB, nullable=False),
        sa.Column("contract", JSONB),
        sa.Column("cluster", sa.Text),
        sa.Column("reasons", JSONB),
        sa.Column("probabilities", JSONB),
        sa.Column("expected_costs", JSONB),
        sa.Column("amount", sa.Double),
        sa.Column("propensity", sa.Double),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False, server_default="policy"),
        _now("decided_at"),
        *_decision_rules(),
    )
    op.create_index("ix_decisions_workflow_night_option", "decisions", ["workflow", "night", "option"])


def _decision_rules() -> list[sa.Constraint]:
    return [
        sa.ForeignKeyConstraint(
            ["workflow", "spec_hash"],
            ["workflow_versions.workflow", "workflow_versions.spec_hash"],
            name="fk_decisions_workflow_spec_hash",
        ),
        sa.ForeignKeyConstraint(
            ["workflow", "model_version"],
            ["model_versions.workflow", "model_versions.version"],
            name="fk_decisions_workflow_model_version",
        ),
        sa.UniqueConstraint("workflow", "case_id", "epoch", name="uq_decisions_workflow_case_id_epoch"),
        _check("decisions", "epoch_counts_from_one", "epoch > 0"),
        _check("decisions", "case_is_named", "case_id <> ''"),
        _check("decisions", "option_has_reason", "option <> '' AND reason <> ''"),
        _check("decisions", "made_by_policy_or_person", "made_by = 'policy' OR made_by LIKE 'person:_%'"),
        _check("decisions", "propensity_is_probability", "propensity BETWEEN 0 AND 1"),
        _check("decisions", "data_versions_is_object", "jsonb_typeof(data_versions) = 'object'"),
        _check("decisions", "reasons_is_array", "jsonb_typeof(reasons) = 'array'"),
        _check("decisions", "probabilities_is_array", "jsonb_typeof(probabilities) = 'array'"),
        _check("decisions", "expected_costs_is_array", "jsonb_typeof(expected_costs) = 'array'"),
    ]


def _outcomes() -> None:
    op.create_table(
        "outcomes",
        *_id("outcomes"),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("case_id", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("true_at", TIME),
        sa.Column("known_at", TIME, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        _now("recorded_at"),
        sa.UniqueConstraint(
            "workflow",
            "case_id",
            "label",
            "known_at",
            "source",
            name="uq_outcomes_workflow_case_id_label_known_at_source",
        ),
        _check("outcomes", "case_is_named", "case_id <> ''"),
        _check("outcomes", "label_is_named", "label <> ''"),
        _check("outcomes", "true_before_known", "true_at <= known_at"),
    )
    op.create_index("ix_outcomes_workflow_known_at", "outcomes", ["workflow", "known_at"])


def _alerts() -> None:
    op.create_table(
        "alerts",
        *_id("alerts"),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("next_command", sa.Text, nullable=False),
        _now("raised_at"),
        sa.Column("closed_at", TIME),
        sa.UniqueConstraint("workflow", "key", name="uq_alerts_workflow_key"),
        _check("alerts", "closed_after_raised", "closed_at >= raised_at"),
    )
    op.create_index("ix_alerts_open", "alerts", ["raised_at"], postgresql_where=sa.text("closed_at IS NULL"))
