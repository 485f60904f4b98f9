"""People: accounts, roles, skills, sessions, attempts to sign in."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Table,
    Text,
    UniqueConstraint,
    func,
)

from pipeline_project.domain.core.people import PersonRole
from resources.ledger.tables.nights import metadata

_ROLES = ", ".join(repr(role.value) for role in PersonRole)
_NAME = "~ '^[a-z][a-z0-9._-]{0,47}$'"


def _now(name: str) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


#: `issuer` and `subject` name a person at an OpenID provider; an invited one has no subject before the first sign-in.
people = Table(
    "people",
    metadata,
    Column("name", Text, primary_key=True),
    Column("shown", Text, nullable=False),
    Column("email", Text),
    Column("password_hash", Text),
    Column("issuer", Text),
    Column("subject", Text),
    Column("active", Boolean, nullable=False, server_default="true"),
    Column("created_by", Text, nullable=False),
    _now("created_at"),
    UniqueConstraint("issuer", "subject"),
    UniqueConstraint("email"),
    CheckConstraint(f"name {_NAME}", name="name_is_slug"),
    CheckConstraint("shown <> ''", name="shown_is_given"),
    CheckConstraint("(issuer IS NULL) = (subject IS NULL)", name="provider_is_whole"),
)

#: Grants and revocations; of each role the last one counts.
person_roles = Table(
    "person_roles",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("person", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("granted", Boolean, nullable=False),
    Column("granted_by", Text, nullable=False),
    _now("at"),
    ForeignKeyConstraint(["person"], ["people.name"]),
    CheckConstraint(f"role IN ({_ROLES})", name="role_is_known"),
    Index("ix_person_roles_person_role", "person", "role", "id"),
)

person_skills = Table(
    "person_skills",
    metadata,
    Column("person", Text, primary_key=True),
    Column("skill", Text, primary_key=True),
    ForeignKeyConstraint(["person"], ["people.name"]),
    CheckConstraint("skill ~ '^[a-z][a-z0-9_]{0,47}$'", name="skill_is_slug"),
)

#: Only the hash of a token is kept: who reads the table can take over no session.
sessions = Table(
    "sessions",
    metadata,
    Column("token_sha256", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("csrf", Text, nullable=False),
    _now("created_at"),
    _now("seen_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    ForeignKeyConstraint(["person"], ["people.name"]),
    Index("ix_sessions_person", "person"),
)

#: Attempts to sign in, by the hash of the name given: what people type there is sometimes their password.
sign_ins = Table(
    "sign_ins",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name_sha256", Text, nullable=False),
    Column("succeeded", Boolean, nullable=False),
    _now("at"),
    Index("ix_sign_ins_name_sha256_at", "name_sha256", "at"),
)

#: Tables of this module whose rows never change.
FACTS: tuple[str, ...] = ("person_roles", "sign_ins")
