"""One real PostgreSQL for all tests of a process, and a fresh ledger for each test that asks for one."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from resources.embedded import EmbeddedServer
from resources.ledger import migrate
from resources.ledger.ledger import PostgresLedger
from resources.ledger.schema import metadata
from resources.postgres import engine_of, with_driver

#: What marked tests need; where it is missing they are deselected, and the report's first lines say so.
NEEDS = {
    "real_data": ("PIPELINE_REAL_DATA is not set", lambda: bool(os.environ.get("PIPELINE_REAL_DATA"))),
    "browser": ("there is no chromium", lambda: shutil.which("chromium") is not None),
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects the tests whose marker asks for something this machine lacks."""
    missing = {marker for marker, (_, there) in NEEDS.items() if not there()}
    left_out = [item for item in items if any(item.get_closest_marker(marker) for marker in missing)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_report_header() -> list[str]:
    return [f"tests marked {marker} are deselected: {why}" for marker, (why, there) in NEEDS.items() if not there()]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a running server whose user is a superuser.

    `PIPELINE_TEST_POSTGRES_URL` names one; else an embedded server is started, one for each pytest-xdist worker.
    """
    given = os.environ.get("PIPELINE_TEST_POSTGRES_URL")
    if given:
        yield with_driver(given).render_as_string(hide_password=False)
        return
    # pytest's own temporary folders get closed again by the next session that starts; a short path keeps the socket
    home = Path(tempfile.mkdtemp(prefix="pipeline-test-"))
    server = EmbeddedServer(home / "postgres")
    try:
        server.start()
        url = server.superuser_url
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            # nothing here has to survive a power cut
            connection.execute(text("ALTER SYSTEM SET fsync = off"))
            connection.execute(text("SELECT pg_reload_conf()"))
        yield url
    finally:
        server.stop()
        shutil.rmtree(home)


@contextmanager
def _databases(server: str, template: str = "template0") -> Iterator[Callable[[], str]]:
    engine = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    made: list[str] = []

    def make() -> str:
        name = f"test_{uuid.uuid4().hex}"
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        made.append(name)
        return make_url(server).set(database=name).render_as_string(hide_password=False)

    yield make
    with engine.connect() as connection:
        for name in made:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def new_database(postgres_server: str) -> Iterator[Callable[[], str]]:
    """Makes empty databases that are dropped after the test; each call returns the URL of another."""
    with _databases(postgres_server) as make:
        yield make


@pytest.fixture(scope="session")
def migrated(postgres_server: str) -> Iterator[str]:
    """The name of a database with the newest schema, to which nobody connects: the others are copies of it."""
    with _databases(postgres_server) as make:
        url = make()
        migrate.upgrade(url)
        yield str(make_url(url).database)


@pytest.fixture(scope="session")
def ledger_database(postgres_server: str, migrated: str) -> Iterator[str]:
    """One migrated ledger; `ledger` empties it for each test."""
    with _databases(postgres_server, migrated) as make:
        yield make()


@pytest.fixture
def own_ledger(postgres_server: str, migrated: str) -> Iterator[str]:
    """The URL of an empty ledger that this test alone uses, whatever it leaves behind."""
    with _databases(postgres_server, migrated) as make:
        yield make()


@pytest.fixture
def ledger(ledger_database: str) -> PostgresLedger:
    """An empty ledger with the newest schema."""
    with engine_of(ledger_database).begin() as connection:
        names = ", ".join(table.name for table in metadata.sorted_tables)
        # facts refuse TRUNCATE by a trigger; only a superuser can put triggers to sleep, and no service is one
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
    return PostgresLedger(ledger_database)
