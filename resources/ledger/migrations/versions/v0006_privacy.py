"""Privacy: keys by subject, forgotten subjects, legal holds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
TABLES = ("subject_keys", "legal_holds", "forgettings")


def upgrade() -> None:
    _subject_keys()
    _legal_holds()
    _forgettings()
    op.execute(
        "CREATE TRIGGER facts_stay BEFORE UPDATE OR DELETE ON forgettings FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def _subject_keys() -> None:
    op.create_table(
        "subject_keys",
        sa.Column("pseudonym", sa.Text, nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=True),
        sa.Column("master", sa.Integer, nullable=False),
        sa.Column("sealed_id", sa.Text, nullable=True),
        sa.Column("created_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("forgotten_at", TIME, nullable=True),
        sa.Column("forgotten_by", sa.Text, nullable=True),
        sa.CheckConstraint("pseudonym ~ '^s-[a-z2-7]+$'", name=op.f("ck_subject_keys_pseudonym_is_one")),
        sa.CheckConstraint("master > 0", name=op.f("ck_subject_keys_master_counts_from_one")),
        sa.CheckConstraint(
            "(wrapped_key IS NULL) = (forgotten_at IS NOT NULL)", name=op.f("ck_subject_keys_key_until_forgotten")
        ),
        sa.CheckConstraint(
            "(forgotten_at IS NULL) = (forgotten_by IS NULL)", name=op.f("ck_subject_keys_forgetting_is_whole")
        ),
        sa.CheckConstraint(
            "forgotten_at IS NULL OR sealed_id IS NULL", name=op.f("ck_subject_keys_forgotten_has_no_id")
        ),
        sa.PrimaryKeyConstraint("pseudonym", name=op.f("pk_subject_keys")),
    )
    op.create_index("ix_subject_keys_master", "subject_keys", ["master"], unique=False)


def _legal_holds() -> None:
    op.create_table(
        "legal_holds",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("workflow", sa.Text, nullable=True),
        sa.Column("pseudonym", sa.Text, nullable=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("placed_by", sa.Text, nullable=False),
        sa.Column("placed_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("lifted_by", sa.Text, nullable=True),
        sa.Column("lifted_at", TIME, nullable=True),
        sa.CheckConstraint(
            "(workflow IS NULL) <> (pseudonym IS NULL)", name=op.f("ck_legal_holds_workflow_or_subject")
        ),
        sa.CheckConstraint("reason <> ''", name=op.f("ck_legal_holds_reason_is_given")),
        sa.CheckConstraint("(lifted_at IS NULL) = (lifted_by IS NULL)", name=op.f("ck_legal_holds_lifting_is_whole")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legal_holds")),
    )
    standing = sa.text("lifted_at IS NULL")
    for column in ("workflow", "pseudonym"):
        op.create_index(f"ix_legal_holds_{column}", "legal_holds", [column], unique=True, postgresql_where=standing)


def _forgettings() -> None:
    op.create_table(
        "forgettings",
        sa.Column("pseudonym", sa.Text, nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("forgotten_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", TIME, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("reason <> ''", name=op.f("ck_forgettings_reason_is_given")),
        sa.PrimaryKeyConstraint("pseudonym", name=op.f("pk_forgettings")),
    )
