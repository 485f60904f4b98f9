"""One real PostgreSQL for all tests of a process, and a fresh ledger for each test that asks for one."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from resources.embedded import EmbeddedServer
from resources.ledger import migrate
from resources.ledger.ledger import PostgresLedger
from resources.postgres import with_driver


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a running server whose user may create databases.

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
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(home)


@pytest.fixture
def new_database(postgres_server: str) -> Iterator[Callable[[], str]]:
    """Makes empty databases that are dropped after the test; each call returns the URL of another."""
    engine = create_engine(postgres_server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    made: list[str] = []

    def make() -> str:
        name = f"test_{uuid.uuid4().hex}"
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY wal_log"))
        made.append(name)
        return make_url(postgres_server).set(database=name).render_as_string(hide_password=False)

    yield make
    with engine.connect() as connection:
        for name in made:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def ledger(new_database: Callable[[], str]) -> PostgresLedger:
    """An empty ledger, migrated to the newest schema."""
    url = new_database()
    migrate.upgrade(url)
    return PostgresLedger(url)
