"""The statements that give each role of the ledger what `roles` says, and take it back."""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pipeline_project.domain.core.errors import RolesMissing
from resources.ledger.roles import CHANGES, GRANTS, ROLES, VERBS
from resources.postgres.databases import role_of, tenant_of


def create_missing(connection: Connection) -> None:
    """Makes the roles that the server lacks and lets this user take them; another database may do the same at once.

    Raises:
        RolesMissing: this user may not; the message gives the statements for one who may.
    """
    lacking = [role for role in roles_in(connection).values() if not _usable(connection, role)]
    if not lacking:
        return
    try:
        with connection.begin_nested():
            for role in lacking:
                connection.execute(text(_CREATE.format(role=role)))
                if not _usable(connection, role):
                    connection.execute(text(f"GRANT {role} TO CURRENT_USER"))
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) != _NOT_ALLOWED:
            raise
        user = connection.scalar(text("SELECT quote_ident(current_user)"))
        made = [f"CREATE ROLE {role} NOLOGIN" for role in lacking if not _exists(connection, role)]
        raise RolesMissing(
            "the ledger's roles are missing and this user may not create them; ask the server's owner to run: "
            + "; ".join([*made, f"GRANT {', '.join(lacking)} TO {user}"])
        ) from None


def grant(connection: Connection) -> None:
    """Gives every role exactly what `GRANTS` says of the tables that are there, and the public nothing."""
    own = roles_in(connection)
    there: dict[str, set[str]] = {}
    for name, column in connection.execute(text(_COLUMNS)):
        there.setdefault(name, set()).add(column)
    for what in ("TABLES", "SEQUENCES", "FUNCTIONS"):
        connection.execute(text(f"REVOKE ALL ON ALL {what} IN SCHEMA public FROM PUBLIC, {', '.join(own.values())}"))
    connection.execute(text("REVOKE ALL ON SCHEMA public FROM PUBLIC"))
    connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {', '.join(own.values())}"))
    for table, grants in GRANTS.items():
        if table not in there:
            continue
        for role, name in own.items():
            verbs = [VERBS[letter] for letter in grants.of(role) if letter != "U"]
            # an earlier revision of the schema lacks columns of a later one
            columns = sorted(CHANGES[table].of(role) & there[table]) if "U" in grants.of(role) else []
            verbs += [f"UPDATE ({', '.join(columns)})"] if columns else []
            if verbs:
                connection.execute(text(f"GRANT {', '.join(verbs)} ON {table} TO {name}"))
    # every process looks whether it was written for the ledger as it is
    connection.execute(text(f"GRANT SELECT ON alembic_version TO {', '.join(own.values())}"))


def revoke(connection: Connection) -> None:
    """Takes everything back in this database; the roles stay, because other databases may use them."""
    own = ", ".join(roles_in(connection).values())
    for what in ("TABLES", "SEQUENCES", "FUNCTIONS"):
        connection.execute(text(f"REVOKE ALL ON ALL {what} IN SCHEMA public FROM {own}"))
    connection.execute(text(f"REVOKE ALL ON SCHEMA public FROM {own}"))
    connection.execute(text("GRANT USAGE ON SCHEMA public TO PUBLIC"))
    connection.execute(text("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC"))


def roles_in(connection: Connection) -> dict[str, str]:
    """The ledger's roles, with what each is called in this database: a tenant has its own."""
    tenant = tenant_of(connection.engine.url)
    return {role: role_of(role, tenant) for role in ROLES}


def _exists(connection: Connection, role: str) -> bool:
    return bool(connection.scalar(text("SELECT count(*) FROM pg_roles WHERE rolname = :role"), {"role": role}))


def _usable(connection: Connection, role: str) -> bool:
    """Whether the role is there and this user may take it."""
    if not _exists(connection, role):
        return False
    # since version 16 being a member is not enough: it may be without the right to take the role
    version = int(connection.scalar(text("SHOW server_version_num")) or 0)
    right = "SET" if version >= 160_000 else "MEMBER"
    query = text("SELECT pg_has_role(CURRENT_USER, :role, :right)")
    return bool(connection.scalar(query, {"role": role, "right": right}))


_NOT_ALLOWED = "42501"
_COLUMNS = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
_CREATE = (
    "DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
)
