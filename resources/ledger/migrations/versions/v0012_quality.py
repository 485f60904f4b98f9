"""Quality: sketches of nights and the signals made of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
FACTS: tuple[str, ...] = ("quality_signals", "training_requests")


def upgrade() -> None:
    op.create_table(
        "night_sketches",
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("night", sa.Date, nullable=False),
        sa.Column("model_version", sa.Text),
        sa.Column("cases", sa.BigInteger, nullable=False),
        sa.Column("sketch", JSONB, nullable=False),
        sa.Column("sketched_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("workflow", "night", name="pk_night_sketches"),
        _check("night_sketches", "workflow_is_named", "workflow <> ''"),
        _check("night_sketches", "cases_count_from_zero", "cases >= 0"),
        _check("night_sketches", "sketch_is_object", "jsonb_typeof(sketch) = 'object'"),
    )
    op.create_table(
        "quality_signals",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("night", sa.Date, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("signal", sa.Text, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("noise", sa.Double, nullable=False),
        sa.Column("threshold", sa.Double, nullable=False),
        sa.Column("psi", sa.Double),
        sa.Column("breached", sa.Boolean, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("cases", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name="pk_quality_signals"),
        sa.UniqueConstraint(
            "workflow", "night", "run_id", "signal", name="uq_quality_signals_workflow_night_run_id_signal"
        ),
        _check("quality_signals", "signal_is_named", "workflow <> '' AND signal <> '' AND run_id <> ''"),
        _check("quality_signals", "severity_is_known", "severity IN ('none', 'warn', 'error')"),
        _check("quality_signals", "severity_of_breach", "breached = (severity <> 'none')"),
        _check("quality_signals", "cases_count_from_zero", "cases >= 0"),
    )
    op.create_index("ix_quality_signals_workflow", "quality_signals", ["workflow", "id"])
    _training_requests()
    for table in FACTS:
        op.execute(
            f"CREATE TRIGGER facts_stay BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER facts_stay_whole BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def _training_requests() -> None:
    op.create_table(
        "training_requests",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("night", sa.Date, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("cooldown_nights", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("asked_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name="pk_training_requests"),
        sa.UniqueConstraint("workflow", "night", name="uq_training_requests_workflow_night"),
        _check("training_requests", "reason_is_given", "why <> ''"),
        _check("training_requests", "cooldown_counts_from_zero", "cooldown_nights >= 0"),
    )


def downgrade() -> None:
    for table in ("training_requests", "quality_signals", "night_sketches"):
        op.drop_table(table)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))
