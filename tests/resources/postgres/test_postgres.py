from __future__ import annotations

import shutil
import socket
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from pipeline_project.domain.core.errors import DatabaseMissing, DatabaseUnreachable, SettingInvalid
from pipeline_project.settings import Settings
from resources.postgres import databases as postgres
from resources.postgres.databases import HOUSE, databases, safe, server_url, with_driver
from resources.postgres.embedded import EmbeddedServer

PASSWORD = "p@ss:w/o?#%& ü'\""


def run(url: str, *statements: str) -> None:
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


@pytest.fixture(scope="module")
def own_server() -> Iterator[str]:
    """A server of this module's own, because it makes and drops the project's real database names."""
    home = Path(tempfile.mkdtemp(prefix="pipeline-test-"))
    server = EmbeddedServer(home / "postgres")
    server.start()
    yield server.superuser_url
    server.stop()
    shutil.rmtree(home)


@pytest.fixture
def empty_server(own_server: str) -> Iterator[str]:
    yield own_server
    run(own_server, *(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)" for name in HOUSE))


@pytest.fixture
def user(empty_server: str) -> Iterator[str]:
    """The URL, as somebody would write it, of a user who may create nothing and has a difficult password."""
    name = f"clerk_{uuid.uuid4().hex[:8]}"
    run(
        empty_server, f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}'".replace("%", "%%")
    )
    url = make_url(empty_server)
    if url.host:
        yield f"postgres://{name}:{quote(PASSWORD, safe='')}@{url.host}:{url.port}/postgres"
    else:
        yield f"postgres://{name}:{quote(PASSWORD, safe='')}@/postgres?host={quote(str(url.query['host']), safe='')}"
    run(empty_server, f"DROP OWNED BY {name}", *drop_owned(empty_server, name), f"DROP ROLE {name}")


def drop_owned(server: str, name: str) -> list[str]:
    with create_engine(server, poolclass=NullPool).connect() as connection:
        owned = text("SELECT datname FROM pg_database JOIN pg_roles r ON r.oid = datdba WHERE rolname = :name")
        return [f"DROP DATABASE {database}" for database in connection.scalars(owned, {"name": name})]


def settings(url: str | None, home: Path = Path("/nowhere")) -> Settings:
    return Settings(home=home, postgres_url=url)


def test_missing_databases_are_created_and_found_again(empty_server: str) -> None:
    made = databases(settings(empty_server))
    for url, name in [
        (made.dagster_url, "pipeline_dagster"),
        (made.mlflow_url, "pipeline_mlflow"),
        (made.ledger_url, "pipeline_ledger"),
    ]:
        with create_engine(url, poolclass=NullPool).connect() as connection:
            assert connection.scalar(text("SELECT current_database()")) == name
            assert connection.scalar(text("SHOW server_encoding")) == "UTF8"
    assert databases(settings(empty_server)) == made


def test_several_processes_may_create_them_at_once(empty_server: str) -> None:
    failed: list[BaseException] = []

    def create() -> None:
        try:
            databases(settings(empty_server))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failed.append(error)

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_without_the_right_to_create_the_statements_are_named_without_the_password(user: str) -> None:
    with pytest.raises(DatabaseMissing) as caught:
        databases(settings(user))
    assert "CREATE DATABASE pipeline_dagster OWNER" in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert quote(PASSWORD, safe="") not in str(caught.value)


def test_without_the_right_to_create_existing_databases_do(user: str, empty_server: str) -> None:
    databases(settings(empty_server))
    with create_engine(databases(settings(user)).ledger_url, poolclass=NullPool).connect() as connection:
        assert connection.scalar(text("SELECT current_user")) == make_url(user).username


def test_a_url_that_names_a_database_of_the_future_still_finds_the_server(empty_server: str) -> None:
    url = make_url(empty_server).set(database="not_there_yet").render_as_string(hide_password=False)
    assert make_url(databases(settings(url)).ledger_url).database == "pipeline_ledger"


def test_a_wrong_password_is_reported_without_it(user: str) -> None:
    wrong = user.replace(quote(PASSWORD, safe=""), "open-sesame")
    with pytest.raises(DatabaseUnreachable) as caught:
        databases(settings(wrong))
    assert "password authentication failed" in str(caught.value)
    assert "open-sesame" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_server_that_is_away_is_named_at_once_and_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    connect, tries = psycopg2.connect, []
    monkeypatch.setattr(psycopg2, "connect", lambda *given, **named: tries.append(1) or connect(*given, **named))
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        with pytest.raises(DatabaseUnreachable, match=rf"clerk:\*\*\*@127\.0\.0\.1:{port}/shop") as caught:
            databases(settings(f"postgresql://clerk:open-sesame@127.0.0.1:{port}/shop?password=open-sesame"))
    assert 1 <= len(tries) <= 2, "it is not tried again and again"
    assert "open-sesame" not in str(caught.value)


def test_tls_options_reach_the_driver(tmp_path: Path) -> None:
    missing = tmp_path / "no-such-root.pem"
    url = f"postgresql://clerk:x@127.0.0.1:1/shop?sslmode=verify-full&sslrootcert={quote(str(missing), safe='')}"
    rewritten = make_url(server_url(settings(url)))
    assert rewritten.query == {"sslmode": "verify-full", "sslrootcert": str(missing)}
    nonsense = url.replace("verify-full", "sometimes")
    with pytest.raises(DatabaseUnreachable, match="invalid sslmode value"):
        databases(settings(nonsense))


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_becomes_the_one_driver(scheme: str) -> None:
    rewritten = with_driver(f"{scheme}://u:{quote(PASSWORD, safe='')}@h:5433/d?sslmode=require")
    assert rewritten.drivername == "postgresql+psycopg2"
    assert (rewritten.username, rewritten.password, rewritten.host, rewritten.port) == ("u", PASSWORD, "h", 5433)


@pytest.mark.parametrize(
    "url", ["mysql://u:secret@h/d", "postgresql://u:secret@h:port/d", "secret", "sqlite:///secret"]
)
def test_what_is_no_postgresql_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingInvalid, match="PIPELINE_POSTGRES_URL") as caught:
        with_driver(url)
    assert "secret" not in str(caught.value)


def test_a_safe_url_hides_every_password() -> None:
    shown = safe("postgresql+psycopg2://u:one@h/d?password=two&sslpassword=three&sslmode=require")
    assert not {"one", "two", "three"} & set(shown.replace("=", " ").replace("&", " ").replace(":", " ").split())
    assert "sslmode=require" in shown


def test_databases_do_not_show_their_passwords() -> None:
    assert "secret" not in repr(postgres.Databases("a:secret@", "b:secret@", "c:secret@"))


def test_a_connection_is_tried_only_after_it_lay_idle_for_long(
    postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = postgres.pooled_engine(postgres_server, 3)
    tried: list[int] = []
    ping = engine.dialect.do_ping
    monkeypatch.setattr(engine.dialect, "do_ping", lambda connection: tried.append(1) or ping(connection))
    for _ in range(5):
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    assert not tried
    monkeypatch.setattr(postgres, "TRUSTED_SECONDS", 0)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    assert tried == [1]
    engine.dispose()


def test_a_pool_keeps_its_connections_and_replaces_dead_ones(postgres_server: str) -> None:
    engine = postgres.pooled_engine(postgres_server, 2)
    assert engine is postgres.pooled_engine(postgres_server, 2) and engine.hide_parameters
    pid = text("SELECT pg_backend_pid()")
    with engine.connect() as connection:
        first = connection.scalar(pid)
    with engine.connect() as connection:
        assert connection.scalar(pid) == first
    with postgres.engine_of(postgres_server).connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": first})
    with engine.connect() as connection:
        assert connection.scalar(pid) != first
    engine.dispose()
