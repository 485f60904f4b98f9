"""Connections for what a spec asks of a database: they read, for a bounded time, as somebody who can do no more."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, OperationalError, ProgrammingError

from pipeline_project.domain.core.errors import SettingInvalid, SourceUnreadable
from resources.ledger.roles import ROLES
from resources.postgres.databases import HOUSE, TENANT, connect_args, reason, safe, with_driver

#: Seconds that one query may take, and that it may wait for somebody's lock.
LONGEST_SECONDS = 600
LOCK_SECONDS = 30
#: A cursor on the server: it takes nothing but a SELECT, and gives so many rows at a time.
BY_CURSOR = {"stream_results": True, "max_row_buffer": 5_000}

#: With a membership of these, or of any superuser, a SELECT can run programs, read files or end other sessions.
_STRONG = ("pg_execute_server_program", "pg_read_server_files", "pg_write_server_files", "pg_signal_backend")
#: What a statement may consist of in SQLite: no pragma, no other file, no change.
_READS = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
    sqlite3.SQLITE_TRANSACTION,
}
_TOO_STRONG = text(
    "SELECT EXISTS (SELECT FROM pg_roles WHERE (rolsuper OR rolname::text = ANY(:strong)) "
    "AND pg_has_role(session_user, oid, 'MEMBER'))"
)
#: The house's databases and roles, and those of its tenants.
_DATABASES = f"^({'|'.join(HOUSE)}|({'|'.join(HOUSE[1:])})_[a-z0-9]+)$"
_ROLES = f"^({'|'.join(ROLES)}|{TENANT}_[a-z0-9_]+)$"
#: Asked of the server that answers, so that no spelling of its address, tunnel or proxy gets round it.
_IN_THE_HOUSE = text(
    "SELECT current_database()::text ~ :house "
    "OR EXISTS (SELECT FROM pg_database "
    "WHERE datname::text ~ :house AND pg_has_role(session_user, datdba, 'MEMBER')) "
    "OR EXISTS (SELECT FROM pg_roles WHERE rolname::text ~ :roles AND pg_has_role(session_user, oid, 'MEMBER'))"
)


def reading_url(written: str, variable: str) -> URL:
    """The URL in a variable, as the drivers want it.

    Raises:
        SourceUnreadable: it is none, or one of a database that cannot be held to reading; no part of it is repeated.
    """
    try:
        url = make_url(written)
    except (ArgumentError, ValueError):
        raise SourceUnreadable(f"{variable} is no database URL; write postgresql://user:password@host/name") from None
    if url.get_backend_name() in ("postgresql", "postgres"):
        try:
            return with_driver(written)
        except SettingInvalid:
            raise SourceUnreadable(
                f"{variable} is no database URL; write postgresql://user:password@host/name"
            ) from None
    if url.drivername in ("sqlite", "sqlite+pysqlite") and url.database:
        return url.set(drivername="sqlite", query={})
    raise SourceUnreadable(
        f"{variable} holds a URL that is neither postgresql:// nor sqlite:///, and only those can be held to reading; "
        "read other databases by files that they export"
    )


@contextmanager
def reading(url: URL, variable: str) -> Iterator[Connection]:
    """A connection on which nothing can be changed; errors are SQLAlchemy's.

    Raises:
        SourceUnreadable: the user of the URL may do more than read, or it leads to the pipeline's own databases.
    """
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            if url.get_backend_name() == "postgresql":
                _confine(connection, variable)
            yield connection
    finally:
        engine.dispose()


def database_message(error: BaseException, url: URL) -> str:
    """What the database said, where its words speak of the query or the server and repeat no value."""
    if not isinstance(error, OperationalError | ProgrammingError):
        return ""
    return reason(error, url).partition(" DETAIL: ")[0].partition(" CONTEXT: ")[0]


def shown(url: URL) -> str:
    """The URL without its passwords."""
    return safe(url)


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        return create_engine("sqlite://", creator=lambda: _open_file(str(url.database)), poolclass=NullPool)
    return create_engine(
        url,
        poolclass=NullPool,
        connect_args=connect_args(url),
        hide_parameters=True,
        execution_options={"postgresql_readonly": True},
    )


def _open_file(path: str) -> sqlite3.Connection:
    # as_uri quotes what a URI would read as its own: ?mode=rwc in a file's name stays a name
    connection = sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True, timeout=LOCK_SECONDS)
    connection.execute("PRAGMA query_only = ON")
    connection.set_authorizer(_read_or_deny)
    return connection


def _read_or_deny(what: int, name: str | None, value: str | None, *_: object) -> int:
    # SQLAlchemy asks for this one when it connects
    asked = what == sqlite3.SQLITE_PRAGMA and name == "read_uncommitted" and value is None
    return sqlite3.SQLITE_OK if asked or what in _READS else sqlite3.SQLITE_DENY


def _confine(connection: Connection, variable: str) -> None:
    for name, seconds in (("statement_timeout", LONGEST_SECONDS), ("lock_timeout", LOCK_SECONDS)):
        connection.execute(text(f"SET LOCAL {name} = {seconds * 1000}"))
    # the query was read with this rule about quotes; a database can be set to another
    connection.execute(text("SET LOCAL standard_conforming_strings = on"))
    if connection.scalar(_IN_THE_HOUSE, {"house": _DATABASES, "roles": _ROLES}):
        raise SourceUnreadable(
            f"{variable} leads to the pipeline's own databases, or its user may enter them; give the source a database "
            "and a user of its own"
        )
    if connection.scalar(_TOO_STRONG, {"strong": list(_STRONG)}):
        raise SourceUnreadable(
            f"the user in {variable} may do more than read (it is a superuser, or may run programs, read files or end "
            "sessions of the server); make one that may not: CREATE ROLE pipeline_reader LOGIN PASSWORD '...'; "
            "GRANT SELECT ON the tables TO pipeline_reader"
        )
