"""Models: what was proposed, what was signed, and who decides on which share of a night."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
FACTS: tuple[str, ...] = ("model_proposals", "model_signatures")


def upgrade() -> None:
    op.add_column("model_versions", sa.Column("knows_until", sa.Date))
    op.add_column("model_versions", sa.Column("trained_by", sa.Text))
    op.create_table(
        "model_proposals",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("night", sa.Date, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("base_version", sa.Text, nullable=False),
        sa.Column("spec_hash", sa.Text, nullable=False),
        sa.Column("trained_by", sa.Text, nullable=False),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("promised_error", sa.Double),
        sa.Column("gates", JSONB, nullable=False),
        sa.Column("replay", JSONB),
        sa.Column("card", sa.Text, nullable=False, server_default=""),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("proposed_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name="pk_model_proposals"),
        sa.ForeignKeyConstraint(
            ["workflow", "version"],
            ["model_versions.workflow", "model_versions.version"],
            name="fk_model_proposals_workflow_version",
        ),
        sa.UniqueConstraint("workflow", "hash", name="uq_model_proposals_workflow_hash"),
        sa.UniqueConstraint("id", "hash", "trained_by", "passed", name="uq_model_proposals_as_signed"),
        _check("model_proposals", "hashes_are_hex", "hash ~ '^[0-9a-f]{64}$' AND digest ~ '^[0-9a-f]{64}$'"),
        _check("model_proposals", "maker_is_named", "trained_by <> ''"),
        _check("model_proposals", "promised_error_is_share", "promised_error BETWEEN 0 AND 1"),
    )
    op.create_index("ix_model_proposals_workflow", "model_proposals", ["workflow", "id"])
    _model_signatures()
    for table in FACTS:
        op.execute(
            f"CREATE TRIGGER facts_stay BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER facts_stay_whole BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def _model_signatures() -> None:
    op.create_table(
        "model_signatures",
        sa.Column("proposal_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("proposal_hash", sa.Text, nullable=False),
        sa.Column("trained_by", sa.Text, nullable=False),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("signed_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("proposal_id", name="pk_model_signatures"),
        sa.ForeignKeyConstraint(
            ["proposal_id", "proposal_hash", "trained_by", "passed"],
            ["model_proposals.id", "model_proposals.hash", "model_proposals.trained_by", "model_proposals.passed"],
            name="fk_model_signatures_proposal",
        ),
        _check("model_signatures", "person_is_named", "person <> ''"),
        _check("model_signatures", "four_eyes", "lower(person) <> lower(trained_by)"),
        _check("model_signatures", "verdict_is_known", "verdict IN ('sign', 'refuse')"),
        _check("model_signatures", "only_what_passed", "verdict = 'refuse' OR passed"),
    )


def downgrade() -> None:
    for table in reversed(FACTS):
        op.drop_table(table)
    for column in ("trained_by", "knows_until"):
        op.drop_column("model_versions", column)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))
