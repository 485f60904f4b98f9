"""Who reads which source; recalls that each keep their own person, reason and data."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from resources.ledger import granting

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
FACTS: tuple[str, ...] = ("source_readers", "recalls_again")


def upgrade() -> None:
    op.create_table(
        "source_readers",
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("first_read", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("workflow", "place", name="pk_source_readers"),
        _check("source_readers", "place_is_named", "workflow <> '' AND place <> ''"),
    )
    op.create_table(
        "recalls_again",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("recall", sa.BigInteger, nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("recalled_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name="pk_recalls_again"),
        sa.UniqueConstraint("recall", "round", name="uq_recalls_again_recall_round"),
        sa.ForeignKeyConstraint(["recall"], ["recalls.id"], name="fk_recalls_again_recall"),
        _check("recalls_again", "round_comes_after_the_first", "round > 1"),
        _check("recalls_again", "data_is_known", "data IN ('decided', 'repaired')"),
        _check("recalls_again", "recall_is_explained", "workflow <> '' AND reason <> '' AND by <> ''"),
    )
    for table in FACTS:
        op.execute(
            f"CREATE TRIGGER facts_stay BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER facts_stay_whole BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.add_column("recalls", sa.Column("data", sa.Text, nullable=False, server_default="decided"))
    op.create_check_constraint(op.f("ck_recalls_data_is_known"), "recalls", "data IN ('decided', 'repaired')")
    op.add_column("recalled_decisions", sa.Column("round", sa.Integer, nullable=False, server_default="1"))
    granting.grant(op.get_bind())


def downgrade() -> None:
    op.drop_column("recalled_decisions", "round")
    op.drop_constraint("ck_recalls_data_is_known", "recalls")
    op.drop_column("recalls", "data")
    for table in FACTS:
        op.drop_table(table)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))
