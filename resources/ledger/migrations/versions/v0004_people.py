"""People: accounts, roles, skills, sessions, attempts to sign in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
TABLES = ("people", "person_roles", "person_skills", "sessions", "sign_ins")
FACTS = ("person_roles", "sign_ins")


def upgrade() -> None:
    _people()
    _person_roles()
    _person_skills()
    _sessions()
    _sign_ins()
    for table in FACTS:
        op.execute(
            f"CREATE TRIGGER facts_stay BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def _people() -> None:
    op.create_table(
        "people",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("shown", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=True),
        sa.Column("password_hash", sa.Text, nullable=True),
        sa.Column("issuer", sa.Text, nullable=True),
        sa.Column("subject", sa.Text, nullable=True),
        sa.Column("active", sa.Boolean, server_default="true", nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("name ~ '^[a-z][a-z0-9._-]{0,47}$'", name=op.f("ck_people_name_is_slug")),
        sa.CheckConstraint("shown <> ''", name=op.f("ck_people_shown_is_given")),
        sa.CheckConstraint("(issuer IS NULL) = (subject IS NULL)", name=op.f("ck_people_provider_is_whole")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_people")),
        sa.UniqueConstraint("email", name=op.f("uq_people_email")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_people_issuer_subject")),
    )


def _person_roles() -> None:
    op.create_table(
        "person_roles",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("granted", sa.Boolean, nullable=False),
        sa.Column("granted_by", sa.Text, nullable=False),
        sa.Column("at", TIME, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint(
            "role IN ('reviewer', 'approver', 'model_approver', 'auditor', 'admin')",
            name=op.f("ck_person_roles_role_is_known"),
        ),
        sa.ForeignKeyConstraint(["person"], ["people.name"], name=op.f("fk_person_roles_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_roles")),
    )
    op.create_index("ix_person_roles_person_role", "person_roles", ["person", "role", "id"], unique=False)


def _person_skills() -> None:
    op.create_table(
        "person_skills",
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("skill", sa.Text, nullable=False),
        sa.CheckConstraint("skill ~ '^[a-z][a-z0-9_]{0,47}$'", name=op.f("ck_person_skills_skill_is_slug")),
        sa.ForeignKeyConstraint(["person"], ["people.name"], name=op.f("fk_person_skills_person")),
        sa.PrimaryKeyConstraint("person", "skill", name=op.f("pk_person_skills")),
    )


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("token_sha256", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("csrf", sa.Text, nullable=False),
        sa.Column("created_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("seen_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["person"], ["people.name"], name=op.f("fk_sessions_person")),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_sessions")),
    )
    op.create_index("ix_sessions_person", "sessions", ["person"], unique=False)


def _sign_ins() -> None:
    op.create_table(
        "sign_ins",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("name_sha256", sa.Text, nullable=False),
        sa.Column("succeeded", sa.Boolean, nullable=False),
        sa.Column("at", TIME, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_ins")),
    )
    op.create_index("ix_sign_ins_name_sha256_at", "sign_ins", ["name_sha256", "at"], unique=False)
