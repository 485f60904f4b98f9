"""What a spec asks of a real PostgreSQL server can be read and nothing else, whichever way it is written."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.settings import Settings
from resources.postgres.databases import databases
from resources.postgres.embedded import EmbeddedServer
from resources.sources import sql
from resources.sources.reading_database import BY_CURSOR, reading, reading_url
from resources.sources.sql import SqlCases
from tests.resources.sources.claim_specs import WINDOW, claims

GOOD = "SELECT claim_id, price FROM claim WHERE at >= :start AND at < :end"
PASSWORD = "canary-of-the-reader"


@pytest.fixture(scope="module")
def house() -> Iterator[Settings]:
    """A house on the embedded server, in which a shop lies in a database of its own."""
    home = Path(tempfile.mkdtemp(prefix="pipeline-doors-"))
    settings = Settings(home=home)
    try:
        databases(settings)
        yield settings
    finally:
        EmbeddedServer(home / "postgres").stop()
        shutil.rmtree(home)


@pytest.fixture(scope="module")
def server(house: Settings) -> EmbeddedServer:
    return EmbeddedServer(house.home / "postgres")


@pytest.fixture(scope="module")
def shop(server: EmbeddedServer) -> str:
    run(server.superuser_url, "CREATE DATABASE shop TEMPLATE template0")
    run(server.url, "CREATE ROLE pipeline_nights NOLOGIN", "GRANT pipeline_nights TO pipeline")
    url = in_database(server.superuser_url, "shop")
    run(
        url,
        f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'",
        "CREATE TABLE claim (claim_id text, price numeric, at timestamptz)",
        "INSERT INTO claim VALUES ('C2', 2.5, '2025-03-01 10:00Z'), ('C1', 1, '2025-03-01 11:00Z')",
        "INSERT INTO claim VALUES ('C3', 3, '2025-03-05 10:00Z')",
        "CREATE SEQUENCE numbers",
        "GRANT ALL ON claim, numbers TO reader",
        "CREATE FUNCTION sneaky() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM claim RETURNING 1'",
    )
    return as_user(url, "reader", PASSWORD)


def run(url: str, *statements: str) -> None:
    with create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def ask(url: str, question: str) -> object:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return connection.exec_driver_sql(question).scalar()


def in_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def as_user(url: str, user: str, password: str) -> str:
    return make_url(url).set(username=user, password=password).render_as_string(hide_password=False)


def cases(settings: Settings, url: str, query: str = GOOD) -> SqlCases:
    source = {"kind": "sql", "url_variable": "PIPELINE_SOURCE_SHOP", "query": query}
    return SqlCases(claims(settings.home, source=source), settings, {"PIPELINE_SOURCE_SHOP": url}, ())


def test_a_query_reads_the_nights_rows_through_a_cursor(house: Settings, shop: str) -> None:
    table = cases(house, shop).read(WINDOW).rows
    assert [raw[:17] for raw in table["raw"].to_pylist()] == ['{"claim_id":"C1",', '{"claim_id":"C2",']
    for query in ("/* a */ WITH a AS (" + GOOD + ") SELECT * FROM a;", "(" + GOOD + ") UNION VALUES ('C9', 9)"):
        assert cases(house, shop, query).read(WINDOW).rows.num_rows >= 2


#: What the text's own check refuses already, tried here without it: the connection has to hold alone.
TRICKS = [
    "COPY (SELECT 1) TO PROGRAM 'touch {mark}'",
    "SELECT 1; COPY (SELECT 1) TO PROGRAM 'touch {mark}'",
    "SELECT 1; DELETE FROM claim",
    "DELETE FROM claim",
    "WITH gone AS (DELETE FROM claim RETURNING 1) SELECT * FROM gone",
    "SELECT claim_id INTO copied FROM claim",
    "SELECT * FROM claim FOR UPDATE",
    "DO $$ BEGIN DELETE FROM claim; END $$",
    "SET ROLE postgres",
    "SELECT setval('numbers', 99)",
    "SELECT nextval('numbers')",
    "SELECT sneaky()",
    "SELECT set_config('transaction_read_only', 'off', false), sneaky()",
    "SELECT set_config('role', 'postgres', false)",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT lo_export(lo_from_bytea(0, 'x'), '{mark}')",
    "SELECT pg_ls_dir('.')",
    "CREATE EXTENSION dblink",
    "SELECT * FROM dblink('dbname=pipeline_ledger', 'SELECT 1') AS t (a int)",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
]


@pytest.mark.parametrize("trick", TRICKS)
def test_the_connection_holds_where_the_text_was_not_checked(shop: str, tmp_path: Path, trick: str) -> None:
    mark, url = tmp_path / "ran", reading_url(shop, "PIPELINE_SOURCE_SHOP")
    with pytest.raises(SQLAlchemyError), reading(url, "PIPELINE_SOURCE_SHOP") as connection:
        connection.execute(text(trick.format(mark=mark)), execution_options=BY_CURSOR).fetchall()
    assert not mark.exists()
    assert ask(shop, "SELECT count(*) FROM claim") == 3
    assert ask(shop, "SELECT last_value = 1 AND NOT is_called FROM numbers")


def test_a_long_query_ends(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.sources.reading_database.LONGEST_SECONDS", 0.05)
    with pytest.raises(SQLAlchemyError, match="statement timeout"), reading(reading_url(shop, "S"), "S") as connection:
        connection.execute(text("SELECT pg_sleep(60)"), execution_options=BY_CURSOR).fetchall()


def spellings(server: EmbeddedServer) -> dict[str, str]:
    """URLs that lead into the house's own databases, or to its server as who may enter them."""
    daily, strong = server.url, server.superuser_url
    return {
        "ledger": in_database(daily, "pipeline_ledger"),
        "dagster": in_database(daily, "pipeline_dagster"),
        "mlflow as superuser": in_database(strong, "pipeline_mlflow"),
        "another database of the server": in_database(daily, "postgres"),
        "the shop as the daily user": in_database(daily, "shop"),
        "another scheme": in_database(daily, "pipeline_ledger").replace("postgresql+psycopg2", "postgres"),
        "the folder by a way round": in_database(daily, "pipeline_ledger").replace(
            "%2Fdata", "%2F..%2Fpostgres%2Fdata"
        ),
        "a role by options": in_database(daily, "pipeline_ledger") + "&options=-c%20role%3Dpipeline_nights",
        "writing by options": in_database(daily, "pipeline_ledger") + "&options=-c%20transaction_read_only%3Doff",
    }


@pytest.mark.parametrize("way", [
    "ledger", "dagster", "mlflow as superuser", "another database of the server", "the shop as the daily user",
    "another scheme", "the folder by a way round", "a role by options", "writing by options",
])  # fmt: skip
def test_the_houses_own_databases_are_refused_however_they_are_spelled(
    house: Settings, server: EmbeddedServer, shop: str, way: str
) -> None:
    with pytest.raises(SourceUnreadable, match="PIPELINE_SOURCE_SHOP leads to the pipeline's own databases"):
        cases(house, spellings(server)[way]).read(WINDOW)


def test_the_reader_of_a_shop_cannot_read_the_houses_databases(server: EmbeddedServer, house: Settings) -> None:
    for name in ("pipeline_ledger", "pipeline_dagster", "pipeline_mlflow"):
        url = as_user(in_database(server.url, name), "reader", PASSWORD)
        with pytest.raises(SourceUnreadable, match="the pipeline's own databases"):
            cases(house, url).read(WINDOW)


def test_a_user_who_may_run_programs_is_refused(house: Settings, server: EmbeddedServer, shop: str) -> None:
    name = f"strong_{uuid.uuid4().hex[:8]}"
    run(server.superuser_url, f"CREATE ROLE {name} LOGIN PASSWORD 'x'", f"GRANT pg_read_server_files TO {name}")
    with pytest.raises(SourceUnreadable, match=r"may do more than read.*CREATE ROLE"):
        cases(house, as_user(shop, name, "x")).read(WINDOW)
    run(server.superuser_url, f"CREATE ROLE {name}_su NOLOGIN SUPERUSER", f"CREATE ROLE {name}_m LOGIN PASSWORD 'x'")
    run(server.superuser_url, f"GRANT {name}_su TO {name}_m")
    with pytest.raises(SourceUnreadable, match="may do more than read"):
        cases(house, as_user(shop, f"{name}_m", "x")).read(WINDOW)


def test_more_rows_than_a_night_holds_are_refused(house: Settings, shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = "SELECT generate_series(1, 1000000000) AS claim_id WHERE :start < :end"
    monkeypatch.setattr(sql, "MOST_ROWS", 7_000)
    with pytest.raises(SourceUnreadable, match=r"more than a night holds \(7,000 rows"):
        cases(house, shop, endless).read(WINDOW)
    monkeypatch.setattr(sql, "MOST_CHARACTERS", 1_000)
    with pytest.raises(SourceUnreadable, match="1,000 characters"):
        cases(house, shop, endless).read(WINDOW)


def test_neither_password_nor_value_is_told(house: Settings, shop: str) -> None:
    for query in (
        "SELECT 'c4nary'::text::int WHERE :start < :end",
        "SELECT nothing FROM claim WHERE at >= :start OR at < :end",
    ):
        with pytest.raises(SourceUnreadable) as refused:
            cases(house, shop, query).read(WINDOW)
        assert "c4nary" not in str(refused.value)
        assert PASSWORD not in str(refused.value)
    for url in (f"postgresql://r:{PASSWORD}@h:port/x", f"mysql://r:{PASSWORD}@h/x", f"{PASSWORD}://x", PASSWORD):
        with pytest.raises(SourceUnreadable, match="PIPELINE_SOURCE_SHOP") as refused:
            cases(house, url).read(WINDOW)
        assert PASSWORD not in str(refused.value)


def test_a_file_of_sqlite_is_opened_for_reading_alone(house: Settings, tmp_path: Path) -> None:
    file = tmp_path / "shop.db?mode=rwc"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE claim (claim_id TEXT, price REAL, at TEXT)")
    for change in (
        "DELETE FROM claim",
        "ATTACH '{0}' AS more",
        "CREATE TABLE more (a)",
        "VACUUM INTO '{0}'",
        "PRAGMA user_version = 7",
    ):
        url = reading_url(f"sqlite:///{file}".replace("?", "%3F"), "PIPELINE_SOURCE_SHOP")
        url = url.set(database=str(file))
        with pytest.raises(SQLAlchemyError), reading(url, "PIPELINE_SOURCE_SHOP") as connection:
            connection.exec_driver_sql(change.format(tmp_path / "more.db"))
    assert not (tmp_path / "more.db").exists()
    missing = make_url("sqlite:///x").set(database=str(tmp_path / "missing.db")).render_as_string()
    with pytest.raises(SourceUnreadable, match="OperationalError"):
        cases(house, missing).read(WINDOW)
    assert not (tmp_path / "missing.db").exists()


# -- the embedded server's daily user -------------------------------------------------------------------------------


def test_the_daily_user_can_do_nothing_to_the_machine(server: EmbeddedServer, tmp_path: Path) -> None:
    assert ask(server.url, "SELECT rolsuper FROM pg_roles WHERE rolname = session_user") is False
    for trick in (
        f"COPY (SELECT 1) TO PROGRAM 'touch {tmp_path / 'ran'}'",
        f"COPY (SELECT 1) TO '{tmp_path / 'ran'}'",
        "SELECT pg_read_file('postgresql.conf')",
        "ALTER ROLE pipeline SUPERUSER",
        "GRANT pg_execute_server_program TO pipeline",
        "SET ROLE postgres",
        "ALTER SYSTEM SET archive_command = 'id'",
        "CREATE FUNCTION c() RETURNS int LANGUAGE c AS 'libc.so.6', 'system'",
    ):
        with pytest.raises(SQLAlchemyError, match=r"permission denied|must be superuser|Only roles with"):
            run(server.url, trick)
    assert not (tmp_path / "ran").exists()


def test_a_home_of_an_older_release_changes_hands(tmp_path: Path) -> None:
    home = Path(tempfile.mkdtemp(prefix="pipeline-doors-"))
    server = EmbeddedServer(home / "postgres")
    try:
        server.start()
        strong = server.superuser_url
        # as a release left it that knew no daily user
        (server.folder / "pipeline.password").unlink()
        run(
            strong,
            "CREATE DATABASE pipeline_ledger",
            "CREATE ROLE pipeline_nights NOLOGIN",
            "ALTER ROLE pipeline NOLOGIN",
        )
        ledger = in_database(strong, "pipeline_ledger")
        run(
            ledger,
            "CREATE TABLE facts (number serial PRIMARY KEY, told text)",
            "INSERT INTO facts (told) VALUES ('kept')",
            "CREATE VIEW seen AS SELECT * FROM facts",
            "CREATE TYPE mood AS ENUM ('calm')",
            "CREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "CREATE SEQUENCE alone",
            "CREATE SCHEMA room",
            "CREATE TABLE room.more (a int)",
        )
        daily = in_database(server.start(), "pipeline_ledger")
        run(
            daily,
            "ALTER TABLE facts ADD COLUMN more int",
            "DROP VIEW seen",
            "ALTER TYPE mood ADD VALUE 'cross'",
            "CREATE OR REPLACE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "ALTER SEQUENCE alone RESTART",
            "DROP TABLE room.more",
            "INSERT INTO facts (told) VALUES ('after')",
            "GRANT pipeline_nights TO pipeline",
            "SET ROLE pipeline_nights",
        )
        assert ask(daily, "SELECT count(*) FROM facts") == 2
        assert server.start() == server.url
    finally:
        server.stop()
        shutil.rmtree(home)
