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
from argon2 import PasswordHasher
from hypothesis import settings
from sqlalchemy import NullPool, create_engine, make_url, text

from benchmarks.chaos import disks, network
from resources.ledger import migrate
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.schema import metadata
from resources.postgres.databases import engine_of, with_driver
from resources.postgres.embedded import EmbeddedServer
from tests.places import DEPLOY_TOOLS, memory
from tests.s3_server import S3Process, S3Server

#: What marked tests need; where it is missing they are deselected, and the report's first lines say so.
NEEDS = {
    "real_data": ("PIPELINE_REAL_DATA is not set", lambda: bool(os.environ.get("PIPELINE_REAL_DATA"))),
    "browser": ("there is no chromium", lambda: shutil.which("chromium") is not None),
    "hosts": ("network namespaces are not permitted", lambda: network.refused() is None),
    "small_disks": ("nothing may be mounted", lambda: disks.refused() is None),
    "deploy": ("`make tools` was not given", lambda: (DEPLOY_TOOLS / "bin" / "helm").exists()),
}

# the same examples in every run, and none is too slow: other work may stand beside the tests
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")

#: Nothing here has to survive a power cut, and nobody guesses passwords.
UNSAFE_AND_FAST = ("fsync = off", "full_page_writes = off", "max_wal_size = '128MB'", "scram_iterations = 1")

#: Folders whose files take longest and files that start processes, those first: what comes last is to be short.
_BEFORE_OTHERS = (
    "integration", "browser", "lifecycle", "assets", "commands", "docs", "test_definitions.py", "test_benchmarks.py",
)  # fmt: skip
LONGEST = {name: place for place, name in enumerate(_BEFORE_OTHERS)}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects the tests whose marker asks for something this machine lacks, and puts the longest first."""
    missing = {marker for marker, (_, there) in NEEDS.items() if not there()}
    left_out = [item for item in items if any(item.get_closest_marker(marker) for marker in missing)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    # files go to whichever worker is free, in this order: a long one that comes last would keep the other waiting
    root = config.rootpath / "tests"
    items.sort(key=lambda item: LONGEST.get(item.path.relative_to(root).parts[0], len(LONGEST)))


def pytest_report_header() -> list[str]:
    return [f"tests marked {marker} are deselected: {why}" for marker, (why, there) in NEEDS.items() if not there()]


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """argon2id with the least it can do: its cost is the library's business, and each sign-in of a test would pay it.

    `tests/resources/ledger/people/test_accounts.py` looks at the real one.
    """
    from resources.ledger.people import accounts as people

    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people, "_hasher", lambda: cheap)
        people._nobodys_hash.cache_clear()
        yield
    people._nobodys_hash.cache_clear()


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
    home = Path(tempfile.mkdtemp(prefix="pipeline-test-", dir=memory()))
    server = EmbeddedServer(home / "postgres")
    try:
        server.start()
        url = server.superuser_url
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for setting in UNSAFE_AND_FAST:
                connection.execute(text(f"ALTER SYSTEM SET {setting}"))
            connection.execute(text("SELECT pg_reload_conf()"))
        with engine.connect() as connection:
            # the password again, so that its hash is one of few rounds: every connection pays for them
            again = str(make_url(url).password)
            connection.execute(text(f"ALTER ROLE {make_url(url).username} PASSWORD '{again}'"))
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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One object store for the tests of a process; the variables that name it are set by `s3`."""
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """The object store, found by the clouds' usual variables, with no fault and nothing asked yet."""
    for name, value in s3_server.environ.items():
        monkeypatch.setenv(name, value)
    s3_server.asked.clear()
    yield s3_server
    s3_server.fault = None


@pytest.fixture(scope="session")
def s3_process_server() -> Iterator[S3Process]:
    """One object store in a process of its own."""
    server = S3Process.start()
    yield server
    server.stop()


@pytest.fixture
def s3_process(s3_process_server: S3Process, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Process]:
    """The object store of another process, found by the clouds' usual variables."""
    for name, value in s3_process_server.environ.items():
        monkeypatch.setenv(name, value)
    s3_process_server.refuse()
    yield s3_process_server
    s3_process_server.refuse()


@pytest.fixture
def new_database(postgres_server: str) -> Iterator[Callable[[], str]]:
    """Makes empty databases that are dropped after the test; each call returns the URL of another."""
    with _databases(postgres_server) as make:
        yield make


@pytest.fixture(scope="module")
def module_database(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database that the tests of one file share."""
    with _databases(postgres_server) as make:
        yield make()


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


#: Empties what holds rows and counts from one again. TRUNCATE would make each of the hundreds of files anew.
_EMPTY = f"""
DO $$ DECLARE it text; held boolean; BEGIN
  -- facts refuse to be deleted by a trigger; only a superuser can put triggers to sleep, and no service is one
  SET LOCAL session_replication_role = replica;
  FOREACH it IN ARRAY ARRAY{[table.name for table in metadata.sorted_tables]} LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM %I)', it) INTO held;
    IF held THEN EXECUTE format('DELETE FROM %I', it); END IF;
  END LOOP;
  PERFORM setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
    FROM pg_sequences WHERE last_value IS NOT NULL;
END $$
"""


@pytest.fixture
def ledger(ledger_database: str) -> PostgresLedger:
    """An empty ledger with the newest schema."""
    with engine_of(ledger_database).begin() as connection:
        # past SQLAlchemy, which would read the colons and per cents as parameters
        connection.connection.cursor().execute(_EMPTY)
    return PostgresLedger(ledger_database)
