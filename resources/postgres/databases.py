"""The three databases: on the embedded server by default, on the user's own where `PIPELINE_POSTGRES_URL` is set."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from select import POLLIN, poll
from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, NullPool, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidatePoolError, OperationalError, ProgrammingError
from sqlalchemy.pool import ConnectionPoolEntry

from pipeline_project.domain.core.errors import DatabaseMissing, DatabaseUnreachable, SettingInvalid
from pipeline_project.domain.core.tenants import of_tenant
from pipeline_project.settings import Settings
from resources.postgres.embedded import DRIVER, EmbeddedServer

DAGSTER, MLFLOW, LEDGER = "pipeline_dagster", "pipeline_mlflow", "pipeline_ledger"
#: How the roles of tenants begin.
TENANT = "pipeline_tenant"
#: What nothing that a spec names may lead to.
HOUSE = (DAGSTER, MLFLOW, LEDGER)
CONNECT_SECONDS = 10
#: A kept connection is replaced after this long, so that a moved server or a changed password is noticed.
RECYCLE_SECONDS = 1800
#: After lying idle for so long a connection is tried before it is used: a network that is cut closes nothing.
TRUSTED_SECONDS = 10
#: Connections that a process keeps to one database, and how many more a moment of many threads may open.
KEPT, MORE = 1, 15

#: template0 and the C locale, because a server may have made its own databases in another encoding.
_CREATE = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
_IDLE_SINCE = "idle since"
_SECRETS = ("password", "sslpassword")
_DUPLICATE = ("42P04", "23505")
_NOT_ALLOWED = "42501"


@dataclass(frozen=True)
class Databases:
    """SQLAlchemy URLs with the password in them: give them to a library, never to a log (`safe`)."""

    dagster_url: str = field(repr=False)
    mlflow_url: str = field(repr=False)
    ledger_url: str = field(repr=False)


def databases(settings: Settings) -> Databases:
    """The three databases, created when missing; starts the embedded server where it is the one.

    A tenant has two of its own, with roles of their own, and shares the one of Dagster.

    Raises:
        SettingInvalid: `PIPELINE_POSTGRES_URL` is no PostgreSQL URL.
        DatabaseUnreachable: the server does not answer, or refuses the user.
        DatabaseMissing: one is missing and may not be created; the message gives the statements.
    """
    server = make_url(server_url(settings))
    create_missing(server)
    if settings.tenant:
        from resources.postgres.tenants import make_databases

        make_databases(server, settings)
    return urls_at(server, settings.tenant)


def urls_at(server: URL, tenant: str = "") -> Databases:
    """The URLs of the three on a server, whether or not they are there; a tenant shares Dagster's with everybody."""
    mlflow, ledger = (as_tenant(server.set(database=of_tenant(name, tenant)), tenant) for name in (MLFLOW, LEDGER))
    dagster, mlflow_url, ledger_url = (
        url.render_as_string(hide_password=False) for url in (server.set(database=DAGSTER), mlflow, ledger)
    )
    return Databases(dagster, mlflow_url, ledger_url)


def as_tenant(url: URL, tenant: str) -> URL:
    """The URL of connections that begin as the role that owns a tenant's databases and can enter no other's."""
    return with_options(url, role=of_tenant(TENANT, tenant)) if tenant else url


def tenant_of(url: str | URL) -> str:
    """Whose database a URL leads to, by its name; "" for the house's, and for any other."""
    name = make_url(url).database or ""
    return next((name.removeprefix(f"{own}_") for own in (LEDGER, MLFLOW) if name.startswith(f"{own}_")), "")


def is_own(database: str) -> bool:
    """Whether a database is one of the house's or of a tenant's."""
    return database in HOUSE or bool(tenant_of(URL.create(DRIVER, database=database)))


def server_url(settings: Settings) -> str:
    """The server's URL with the driver that all three users of it share; starts the embedded server."""
    if settings.postgres_url is None:
        return embedded(settings).start()
    return with_driver(settings.postgres_url).render_as_string(hide_password=False)


def embedded(settings: Settings) -> EmbeddedServer:
    """The embedded server of a home, started or not."""
    return EmbeddedServer(settings.house_home / "postgres")


def with_driver(url: str) -> URL:
    """A user's PostgreSQL URL, rewritten to the driver in use; everything else in it is kept.

    Raises:
        SettingInvalid: it is none.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # the library's message would repeat the URL, password included
        raise SettingInvalid(
            "PIPELINE_POSTGRES_URL cannot be read; write postgresql://user:password@host:5432/database and "
            "percent-encode special characters in user and password (@ is %40, / is %2F, : is %3A)"
        ) from None
    if parsed.drivername.partition("+")[0] not in ("postgresql", "postgres"):
        raise SettingInvalid(
            f"PIPELINE_POSTGRES_URL starts with {parsed.drivername}://; only postgresql:// is supported, or leave it "
            "unset for the embedded server"
        )
    return parsed.set(drivername=DRIVER)


def safe(url: str | URL) -> str:
    """The URL with every password in it masked."""
    parsed = make_url(url)
    hidden = {key: "***" for key in _SECRETS if key in parsed.query}
    return parsed.update_query_dict(hidden).render_as_string(hide_password=True)


def url_as(url: str, role: str) -> str:
    """The URL of connections that take a role of the ledger (`resources.ledger.roles`) as they begin.

    What the role may not do is refused by the server, even where the user of the URL may do it.
    """
    own = role_of(role, tenant_of(url))
    return with_options(make_url(url), role=own).render_as_string(hide_password=False)


def role_of(role: str, tenant: str) -> str:
    """What one of the ledger's roles is called for a tenant, whose roles can do nothing in anybody else's ledger."""
    return f"{of_tenant(TENANT, tenant)}_{role.removeprefix('pipeline_')}" if tenant else role


def with_options(url: URL, **settings: str | int) -> URL:
    """The URL of connections that begin with these settings of the server, beside those that it names already."""
    before = url.query.get("options", ())
    options = [before] if isinstance(before, str) else [*before]
    return url.update_query_dict(
        {"options": " ".join([*options, *(f"-c {name}={value}" for name, value in settings.items())])}
    )


def create_missing(server: URL) -> None:
    """Creates those of the three databases that are missing; another process may do the same at the same time."""
    admin = maintenance(server)
    if admin is None:
        # no way in but the databases themselves: fine when they are all there
        for name in HOUSE:
            reach(server.set(database=name))
        return
    engine = create_engine(
        admin, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=connect_args(admin), hide_parameters=True
    )
    with engine.connect() as connection:
        there = set(connection.scalars(text("SELECT datname FROM pg_database")))
        refused = [name for name in HOUSE if name not in there and not created(connection, name)]
    if refused:
        raise DatabaseMissing(
            f"{safe(server)} may not create databases; ask the server's owner to run: "
            + "; ".join(f'CREATE DATABASE {name} OWNER "{server.username}"' for name in refused)
        )


def created(connection: Connection, name: str, owner: str | None = None) -> bool:
    """Creates a database; whether this user may.

    Raises:
        DatabaseMissing: it could not be created for another reason.
    """
    try:
        connection.execute(text(_CREATE.format(name) + (f" OWNER {owner}" if owner else "")))
    except DBAPIError as error:
        state = getattr(error.orig, "pgcode", None)
        if state in _DUPLICATE:
            return True
        if state == _NOT_ALLOWED:
            return False
        raise DatabaseMissing(
            f"{name} could not be created on {safe(connection.engine.url)} ({reason(error, connection.engine.url)}); "
            f"create it yourself and start again"
        ) from None
    return True


def maintenance(server: URL) -> URL | None:
    """The first database that lets us in: the one named in the URL, else those that every server has."""
    problem: DatabaseUnreachable | None = None
    for name in dict.fromkeys([server.database or "postgres", "postgres", "template1"]):
        try:
            reach(server.set(database=name))
        except DatabaseUnreachable as error:
            problem = problem or error
            if not _names_database(error, name):
                raise
        else:
            return server.set(database=name)
    try:
        reach(server.set(database=LEDGER))
    except DatabaseUnreachable:
        raise problem or DatabaseUnreachable(safe(server)) from None
    return None


def _names_database(error: DatabaseUnreachable, name: str) -> bool:
    # a server that is away or refuses the password says nothing of the database: trying another would only cost time
    return name in str(error).partition(" cannot be used (")[2]


def reach(url: str | URL) -> None:
    """Connects once.

    Raises:
        DatabaseUnreachable: it cannot be had.
    """
    with connected(engine_of(url if isinstance(url, str) else url.render_as_string(hide_password=False))):
        pass


# -- connections, shared with the ledger -------------------------------------------------------------------------


@lru_cache(maxsize=32)
def engine_of(url: str) -> Engine:
    """An engine that keeps no connection, so that a forked process shares none; its errors hide parameters."""
    parsed = make_url(url)
    return create_engine(
        parsed,
        poolclass=NullPool,
        isolation_level="READ COMMITTED",
        connect_args=connect_args(parsed),
        hide_parameters=True,
    )


@lru_cache(maxsize=32)
def pooled_engine(url: str, size: int = KEPT) -> Engine:
    """An engine that keeps up to `size` connections open, and opens more for a moment; a forked child opens its own.

    A lock that outlasts its transaction is not for these: it would go back into the pool with its connection.
    """
    parsed = make_url(url)
    engine = create_engine(
        parsed,
        pool_size=size,
        max_overflow=max(size, MORE),
        pool_recycle=RECYCLE_SECONDS,
        isolation_level="READ COMMITTED",
        connect_args=connect_args(parsed),
        hide_parameters=True,
    )
    keeps_connections(engine)
    return engine


def keeps_connections(engine: Engine) -> None:
    """Notes a pool of this process: its idle connections are no sessions of others, and no child's after a fork.

    A connection that died while it lay idle is replaced before it is handed out. `pool_pre_ping` would ask the server
    each time; a server that closed a connection is seen at its socket, and only after a while is it asked.
    """
    event.listen(engine, "checkin", _laid_down)
    event.listen(engine, "checkout", partial(_still_there, engine.dialect))
    _POOLS.add(engine)


def _laid_down(dbapi_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info[_IDLE_SINCE] = time.monotonic()


def _still_there(dialect: Dialect, dbapi_connection: Any, record: ConnectionPoolEntry, *_: Any) -> None:
    idle_since = record.info.pop(_IDLE_SINCE, None)
    if idle_since is None:
        return
    if time.monotonic() - idle_since < TRUSTED_SECONDS and not _heard(dbapi_connection):
        return
    try:
        dialect.do_ping(dbapi_connection)
    except dialect.loaded_dbapi.Error as error:
        if dialect.is_disconnect(error, dbapi_connection, None):
            raise InvalidatePoolError from error
        raise


def _heard(dbapi_connection: Any) -> bool:
    """Whether there is something to read: the end of a closed connection, or a server's last words."""
    if dbapi_connection.closed:
        return True
    socket = poll()
    socket.register(dbapi_connection.fileno(), POLLIN)
    return bool(socket.poll(0))


def close_idle() -> None:
    """Closes the connections that this process keeps and does not use at the moment."""
    for engine in [*_POOLS]:
        engine.dispose()


def _forked() -> None:
    """A child that spoke on its parent's connections would garble both: it begins with none."""
    for engine in [*_POOLS]:
        engine.dispose(close=False)


_POOLS: weakref.WeakSet[Engine] = weakref.WeakSet()
os.register_at_fork(after_in_child=_forked)


def connect_args(url: URL) -> dict[str, int]:
    """A limit to waiting for a connection, where the URL sets none."""
    return {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_SECONDS}


@contextmanager
def connected(engine: Engine) -> Iterator[Connection]:
    """One connection, for as long as a session is wanted: a lock that outlasts a transaction, another database.

    Raises:
        DatabaseUnreachable: it cannot be had, or was lost while in use.
    """
    try:
        connection = engine.connect()
    except (OperationalError, ProgrammingError) as error:
        raise _unreachable(engine.url, error) from None
    with connection:
        try:
            yield connection
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            raise _unreachable(engine.url, error) from None


@contextmanager
def begun(engine: Engine) -> Iterator[Connection]:
    """One connection in one transaction; what is written in the ledger goes through `ledger.unit_of_work` instead.

    Raises:
        DatabaseUnreachable: as `connected`.
    """
    with connected(engine) as connection, connection.begin():
        yield connection


def reason(error: DBAPIError, url: URL) -> str:
    """What the server said, on one line and without a password."""
    message = " ".join(str(error.orig).split())
    for secret in (url.password, *(url.query.get(key) for key in _SECRETS)):
        if isinstance(secret, str) and secret:
            message = message.replace(secret, "***")
    return message


def _unreachable(url: URL, error: DBAPIError) -> DatabaseUnreachable:
    return DatabaseUnreachable(
        f"PostgreSQL at {safe(url)} cannot be used ({reason(error, url)}); start it, or correct PIPELINE_POSTGRES_URL, "
        "or unset it for the embedded server"
    )
