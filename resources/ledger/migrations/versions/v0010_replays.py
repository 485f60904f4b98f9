"""Replays: past nights decided again, kept apart from every decision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

FACTS: tuple[str, ...] = ("candidate_replays",)


def upgrade() -> None:
    op.create_table(
        "candidate_replays",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("candidate", sa.Text, nullable=False),
        sa.Column("model_version", sa.Text),
        sa.Column("base", sa.Text),
        sa.Column("first", sa.Date, nullable=False),
        sa.Column("last", sa.Date, nullable=False),
        sa.Column("cases", sa.BigInteger, nullable=False),
        sa.Column("result", JSONB, nullable=False),
        sa.Column("spec_hash", sa.Text, nullable=False),
        sa.Column("policy_hash", sa.Text, nullable=False),
        sa.Column("started_by", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name="pk_candidate_replays"),
        _check("candidate_is_slug", "candidate ~ '^[a-z0-9][a-z0-9_-]{0,95}$'"),
        _check("span_in_order", "first <= last"),
        _check("cases_were_replayed", "cases > 0"),
        _check("result_is_object", "jsonb_typeof(result) = 'object'"),
        _check("hashes_are_hex", "spec_hash ~ '^[0-9a-f]{64}$' AND policy_hash ~ '^[0-9a-f]{64}$'"),
        _check("starter_is_named", "started_by <> ''"),
    )
    op.create_index("ix_candidate_replays_workflow", "candidate_replays", ["workflow", "id"])
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


def _check(name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"ck_candidate_replays_{name}"))
