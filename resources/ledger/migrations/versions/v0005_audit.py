"""The audit chain: batches and rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

FACTS = ("audit_batches", "audit_rows")
HASH = "~ '^[0-9a-f]{64}$'"


def upgrade() -> None:
    _batches()
    _rows()
    for table in FACTS:
        op.execute(
            f"CREATE TRIGGER facts_stay BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    for table in reversed(FACTS):
        op.drop_table(table)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def _batches() -> None:
    op.create_table(
        "audit_batches",
        sa.Column("number", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit_batches"),
        sa.UniqueConstraint("prev_hash", name="uq_audit_batches_prev_hash"),
        sa.UniqueConstraint("hash", name="uq_audit_batches_hash"),
        _check("audit_batches", "number_and_count_from_one", "number > 0 AND count > 0"),
        _check("audit_batches", "kind_is_named", "kind <> ''"),
        _check("audit_batches", "hashes_are_sha256", f"root {HASH} AND prev_hash {HASH} AND hash {HASH}"),
        _check("audit_batches", "first_follows_nothing", "(number = 1) = (prev_hash ~ '^0{64}$')"),
    )
    op.create_index("ix_audit_batches_kind_at", "audit_batches", ["kind", "at"])


def _rows() -> None:
    op.create_table(
        "audit_rows",
        sa.Column("batch", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("leaf", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("source", sa.Text),
        sa.Column("key", sa.Text),
        sa.Column("case_id", sa.Text),
        sa.Column("person", sa.Text),
        sa.PrimaryKeyConstraint("batch", "position", name="pk_audit_rows"),
        _check("audit_rows", "position_counts_from_zero", "position >= 0"),
        _check("audit_rows", "leaf_is_sha256", f"leaf {HASH}"),
    )
    for name, columns in {
        "case_id": ["case_id", "batch"],
        "person": ["person", "batch"],
        "key": ["source", "key"],
    }.items():
        op.create_index(
            f"ix_audit_rows_{'source_key' if name == 'key' else name}",
            "audit_rows",
            columns,
            postgresql_where=sa.text(f"{name} IS NOT NULL"),
        )
