"""What is watched while a model decides: the audited share, states of the policy, recalls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
FACTS: tuple[str, ...] = (
    "rollouts", "rollout_ends", "policy_states", "live_checks", "live_breaches", "recalls", "recalled_decisions",
)  # fmt: skip


def upgrade() -> None:
    _make_rollouts()
    _make_watch()
    _make_recalls()
    for table in FACTS:
        op.execute(
            f"CREATE TRIGGER facts_stay BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER facts_stay_whole BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    for table in reversed(FACTS):
        op.drop_table(table)


def _make_rollouts() -> None:
    op.create_table(
        "rollouts",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("from_night", sa.Date, nullable=False),
        sa.Column("base_version", sa.Text),
        sa.Column("promised_error", sa.Double),
        sa.Column("proposal", sa.BigInteger),
        sa.Column("terms", JSONB, nullable=False),
        sa.Column("begun_by", sa.Text, nullable=False),
        sa.Column("begun_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name="pk_rollouts"),
        _check("rollouts", "promised_error_is_share", "promised_error BETWEEN 0 AND 1"),
        _check("rollouts", "somebody_began", "begun_by <> ''"),
        sa.ForeignKeyConstraint(
            ["workflow", "version"],
            ["model_versions.workflow", "model_versions.version"],
            name="fk_rollouts_workflow_version",
        ),
        sa.UniqueConstraint("workflow", "version", "from_night", name="uq_rollouts_workflow_version_from_night"),
    )
    op.create_table(
        "rollout_ends",
        sa.Column("rollout", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at_night", sa.Date, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("ended_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("rollout", name="pk_rollout_ends"),
        _check("rollout_ends", "end_is_explained", "reason <> '' AND by <> ''"),
        _check("rollout_ends", "kind_is_known", "kind IN ('withdrawn', 'completed', 'rolled_back')"),
        sa.ForeignKeyConstraint(["rollout"], ["rollouts.id"], name="fk_rollout_ends_rollout"),
    )
    op.create_table(
        "policy_states",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("from_night", sa.Date, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("recorded_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name="pk_policy_states"),
        _check("policy_states", "state_is_explained", "reason <> '' AND by <> ''"),
        _check("policy_states", "state_is_known", "state IN ('open', 'review_all')"),
    )
    op.create_index("ix_policy_states_workflow_night", "policy_states", ["workflow", "from_night", "id"])


def _make_watch() -> None:
    op.create_table(
        "live_checks",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("night", sa.Date, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("seen", sa.Integer, nullable=False),
        sa.Column("errors", sa.Integer, nullable=False),
        sa.Column("promised_error", sa.Double),
        sa.Column("e_value", sa.Double, nullable=False),
        sa.Column("low", sa.Double, nullable=False),
        sa.Column("high", sa.Double, nullable=False),
        sa.Column("breached", sa.Boolean, nullable=False),
        sa.Column("checked_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name="pk_live_checks"),
        _check("live_checks", "e_value_is_one", "e_value >= 0"),
        _check("live_checks", "errors_were_seen", "seen >= 0 AND errors BETWEEN 0 AND seen"),
        _check("live_checks", "kind_is_known", "kind IN ('promise', 'money', 'error')"),
        sa.UniqueConstraint(
            "workflow",
            "night",
            "version",
            "kind",
            "seen",
            "errors",
            "e_value",
            name="uq_live_checks_workflow_night_version_kind_seen_errors_e_value",
        ),
    )
    op.create_table(
        "live_breaches",
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("since_night", sa.Date, nullable=False),
        sa.Column("night", sa.Date, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("held", sa.Integer, nullable=False),
        sa.Column("breached_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("workflow", "version", "since_night", name="pk_live_breaches"),
        _check("live_breaches", "answer_is_known", "answer IN ('review_all', 'last_champion')"),
        _check("live_breaches", "held_is_count", "held >= 0"),
    )


def _make_recalls() -> None:
    op.create_table(
        "recalls",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("named", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("recalled_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name="pk_recalls"),
        _check("recalls", "kind_is_known", "kind IN ('model', 'policy', 'night')"),
        _check("recalls", "recall_is_explained", "named <> '' AND reason <> '' AND by <> ''"),
        sa.UniqueConstraint("workflow", "kind", "named", name="uq_recalls_workflow_kind_named"),
    )
    op.create_table(
        "recalled_decisions",
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("case_id", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("recall", sa.BigInteger, nullable=False),
        sa.Column("was", sa.Text, nullable=False),
        sa.Column("would_be", sa.Text, nullable=False),
        sa.Column("cancelled", sa.Integer, nullable=False),
        sa.Column("compensated", sa.Integer, nullable=False),
        sa.Column("for_good", sa.Integer, nullable=False),
        sa.Column("recalled_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("workflow", "case_id", "epoch", name="pk_recalled_decisions"),
        _check("recalled_decisions", "counts_are_counts", "cancelled >= 0 AND compensated >= 0 AND for_good >= 0"),
        sa.ForeignKeyConstraint(["recall"], ["recalls.id"], name="fk_recalled_decisions_recall"),
        sa.ForeignKeyConstraint(
            ["workflow", "case_id", "epoch"],
            ["decisions.workflow", "decisions.case_id", "decisions.epoch"],
            name="fk_recalled_decisions_workflow_case_id_epoch",
        ),
    )
    op.create_index("ix_recalled_decisions_recall", "recalled_decisions", ["recall"])


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))
