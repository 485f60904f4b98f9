"""A tenant's databases and roles: what nobody but the tenant and whoever runs the house may enter.

A tenant has databases of its own rather than schemas: locks, connection limits, statistics, dumps and the right to
connect are a database's in PostgreSQL, so one tenant neither waits for another's locks nor takes its connections, and
no statement can name another one's table at all. Its roles are its own, too: the one that owns its databases and those
of its services.
"""

from __future__ import annotations

from sqlalchemy import URL, Connection, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from pipeline_project.domain.core.errors import DatabaseMissing, RolesMissing, SettingInvalid
from pipeline_project.domain.core.tenants import of_tenant
from pipeline_project.settings import Settings
from resources.postgres.databases import (
    DAGSTER,
    LEDGER,
    MLFLOW,
    TENANT,
    begun,
    connect_args,
    created,
    engine_of,
    maintenance,
    role_of,
    safe,
)

#: What each service takes; `resources.ledger.roles` says what it may do.
_SERVICES = ("nights", "desk", "dispatcher", "auditor")
_NOT_ALLOWED = "42501"
_THERE = text("SELECT datname::text FROM pg_database WHERE datname::text = ANY(:names)")
_MAKE_ROLE = (
    "DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
)


def owner_role(tenant: str) -> str:
    """The role that owns a tenant's databases."""
    return of_tenant(TENANT, tenant)


def service_roles(tenant: str) -> tuple[str, ...]:
    """The roles of a tenant's services."""
    return tuple(role_of(f"pipeline_{service}", tenant) for service in _SERVICES)


def tenant_databases(tenant: str) -> tuple[str, str]:
    """What a tenant's databases are called."""
    return of_tenant(LEDGER, tenant), of_tenant(MLFLOW, tenant)


def make_databases(server: URL, settings: Settings) -> None:
    """Makes a tenant's roles and databases where they are missing, and shuts them to everybody else.

    Raises:
        RolesMissing, DatabaseMissing: this user may not; the message gives the statements for one who may.
    """
    from pipeline_project.tenants import terms_of

    limit = terms_of(settings.tenants, settings.tenant).connections if settings.tenants else None
    admin = maintenance(server) or server.set(database=tenant_databases(settings.tenant)[0])
    engine = create_engine(
        admin, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=connect_args(admin), hide_parameters=True
    )
    with engine.connect() as connection:
        if not _is_whole(connection, settings.tenant):
            try:
                _make(connection, settings.tenant, limit)
            except DBAPIError as error:
                if _code(error) != _NOT_ALLOWED:
                    raise
                raise RolesMissing(
                    f"{safe(server)} may not make tenant {settings.tenant}'s roles and databases; ask the server's "
                    f"owner to run: {'; '.join(statements(settings.tenant, _user(connection), limit))}"
                ) from None
        try:
            _limit(connection, settings.tenant, limit)
        except DBAPIError as error:
            if _code(error) != _NOT_ALLOWED:
                raise
            raise RolesMissing(
                f"{safe(server)} may not limit the connections to tenant {settings.tenant}'s databases; ask the "
                f"server's owner to run: {'; '.join(_limits(settings.tenant, limit))}"
            ) from None


def statements(tenant: str, user: str, connections: int | None = None) -> list[str]:
    """What makes a tenant's roles and databases, for somebody who may.

    Args:
        connections: to each of the databases at most; None leaves that as it is.
    """
    owner, services = owner_role(tenant), ", ".join(service_roles(tenant))
    made = [f"CREATE ROLE {role} NOLOGIN" for role in (owner, *service_roles(tenant))]
    made += [f"GRANT {services} TO {owner}", f"GRANT {owner} TO {user}"]
    for name in tenant_databases(tenant):
        made += [
            f"CREATE DATABASE {name} OWNER {owner} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'",
            f"REVOKE ALL ON DATABASE {name} FROM PUBLIC",
            f"GRANT CONNECT ON DATABASE {name} TO {user}, {services}",
        ]
    return made if connections is None else [*made, *_limits(tenant, connections)]


def _limits(tenant: str, connections: int | None) -> list[str]:
    most = -1 if connections is None else connections
    return [f"ALTER DATABASE {name} CONNECTION LIMIT {most}" for name in tenant_databases(tenant)]


def _limit(connection: Connection, tenant: str, connections: int | None) -> None:
    """Limits the connections where they are not; by itself, because whoever owns the databases may, without any right
    to make roles."""
    differ = text("SELECT count(*) FROM pg_database WHERE datname::text = ANY(:names) AND datconnlimit <> :limit")
    given = {"names": [*tenant_databases(tenant)], "limit": -1 if connections is None else connections}
    if connection.scalar(differ, given):
        for statement in _limits(tenant, connections):
            connection.execute(text(statement))


def _code(error: DBAPIError) -> str | None:
    return getattr(error.orig, "pgcode", None)


def _user(connection: Connection) -> str:
    return str(connection.scalar(text("SELECT quote_ident(current_user)")))


def _is_whole(connection: Connection, tenant: str) -> bool:
    """Whether nothing has to be made, which most calls find."""
    names = list(tenant_databases(tenant))
    shut = connection.scalar(
        text(
            "SELECT count(*) FROM pg_database WHERE datname::text = ANY(:names) "
            "AND pg_get_userbyid(datdba) = :owner AND has_database_privilege(current_user, oid, 'CONNECT') "
            "AND NOT EXISTS (SELECT FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE grantee = 0)"
        ),
        {"names": names, "owner": owner_role(tenant)},
    )
    right = "SET" if int(connection.scalar(text("SHOW server_version_num")) or 0) >= 160_000 else "MEMBER"
    takes = connection.scalar(
        text("SELECT count(*) FROM pg_roles WHERE rolname::text = ANY(:roles) AND pg_has_role(:owner, oid, :right)"),
        {"roles": list(service_roles(tenant)), "owner": owner_role(tenant), "right": right},
    ) if shut else 0  # fmt: skip
    return shut == len(names) and takes == len(_SERVICES)


def _make(connection: Connection, tenant: str, limit: int | None) -> None:
    owner, services = owner_role(tenant), service_roles(tenant)
    for role in (owner, *services):
        connection.execute(text(_MAKE_ROLE.format(role=role)))
    connection.execute(text(f"GRANT {', '.join(services)} TO {owner}"))
    # who made it has it with the right to grant it, and not yet with the right to take it
    connection.execute(text(f"GRANT {owner} TO CURRENT_USER"))
    for name in tenant_databases(tenant):
        there = connection.scalar(text("SELECT count(*) FROM pg_database WHERE datname = :name"), {"name": name})
        if not there and not created(connection, name, owner):
            raise DatabaseMissing(
                f"this user may not create databases; ask the server's owner to run: "
                f"{'; '.join(statements(tenant, _user(connection), limit))}"
            )
        connection.execute(text(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC"))
        connection.execute(text(f"GRANT CONNECT ON DATABASE {name} TO CURRENT_USER, {', '.join(services)}"))


def let_sign_in(server: str, tenant: str, password: str) -> str:
    """Gives the role that owns a tenant's databases a password, and the way into Dagster's database, which all share.

    The house's own ledger and registry, which PostgreSQL lets every login enter, are shut to all but this user and whom
    somebody let in by name.

    Raises:
        SettingInvalid: the password is empty.
        RolesMissing: this user may not give it one, or the server does not take it.
    """
    if not password:
        raise SettingInvalid("the file with the password is empty; write one into it")
    role, url = owner_role(tenant), make_url(server)
    with begun(engine_of(server)) as connection:
        quoted = connection.scalar(text("SELECT quote_literal(:password)"), {"password": password})
        try:
            connection.exec_driver_sql(f"ALTER ROLE {role} LOGIN PASSWORD {quoted}".replace("%", "%%"))
        except DBAPIError as error:
            # never the statement, in which the password stands; nor what the server says, which may repeat it
            raise RolesMissing(
                f"{safe(server)} may not give {role} a password ({_code(error) or type(error.orig).__name__}); ask the "
                f"server's owner to let {role} sign in, with the password from the file"
            ) from None
        for name in connection.scalars(_THERE, {"names": [LEDGER, MLFLOW]}).all():
            connection.execute(text(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"))
            connection.execute(text(f"GRANT CONNECT ON DATABASE {name} TO CURRENT_USER"))
    dagster = url.set(database=DAGSTER).render_as_string(hide_password=False)
    with begun(engine_of(dagster)) as connection:
        connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {role}"))
        for what, verbs in (("TABLES", "SELECT, INSERT, UPDATE, DELETE"), ("SEQUENCES", "USAGE, SELECT")):
            connection.execute(text(f"GRANT {verbs} ON ALL {what} IN SCHEMA public TO {role}"))
            connection.execute(text(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {verbs} ON {what} TO {role}"))
    return role
