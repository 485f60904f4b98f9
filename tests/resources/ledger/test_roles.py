from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from pipeline_project.domain.core.errors import RolesMissing
from resources.ledger import migrate
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.granting import create_missing
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.roles import CHANGES, DESK, GRANTS, ROLES, VERBS
from resources.ledger.schema import FACTS, metadata
from resources.postgres.databases import engine_of, url_as
from resources.postgres.embedded import EmbeddedServer

NOT_ALLOWED, FACT_STAYS = "42501", "23001"
TABLES = sorted(metadata.tables)


def refused(connection: Connection, statement: str) -> str | None:
    """The error's code, None where the statement went through; nothing is left of it."""
    saved = connection.begin_nested()
    try:
        connection.execute(text(statement))
    except DBAPIError as error:
        assert isinstance(error.orig, psycopg2.Error)
        return str(error.orig.pgcode)
    finally:
        saved.rollback()
    return None


def statement(table: str, letter: str, role: str) -> str:
    """A statement that does nothing where it is allowed."""
    # a number counted up refuses to be written before any grant is looked at
    plain = [each.name for each in metadata.tables[table].columns if each.identity is None]
    mine = sorted(CHANGES[table].of(role)) if table in CHANGES and letter == "U" else []
    column = f'"{(mine or plain)[0]}"'
    return {
        "S": f"SELECT {column} FROM {table} LIMIT 0",
        "I": f"INSERT INTO {table} ({column}) SELECT NULL WHERE false",
        "U": f"UPDATE {table} SET {column} = NULL WHERE false",
        "D": f"DELETE FROM {table} WHERE false",
        "T": f"TRUNCATE {table} CASCADE",
    }[letter]


def test_every_table_has_its_line_of_grants() -> None:
    assert sorted(GRANTS) == TABLES


@pytest.mark.parametrize("table", sorted({*FACTS}))
def test_nobody_is_granted_more_on_a_fact_than_reading_and_adding(table: str) -> None:
    assert all(set(GRANTS[table].of(role)) <= {"S", "I"} for role in ROLES)


def test_nobody_may_truncate_anything_and_the_auditor_only_reads() -> None:
    assert not any("T" in grants.of(role) for grants in GRANTS.values() for role in ROLES)
    assert {grants.auditor for grants in GRANTS.values()} <= {"", "S"}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_does_with_each_table_what_it_was_granted_and_nothing_else(ledger: PostgresLedger, role: str) -> None:
    wrong = []
    with engine_of(url_as(ledger.url, role)).connect() as connection, connection.begin():
        assert connection.scalar(text("SELECT current_user")) == role
        for table in TABLES:
            for letter, verb in VERBS.items():
                code = refused(connection, statement(table, letter, role))
                granted = letter in GRANTS[table].of(role)
                if code != (None if granted else NOT_ALLOWED):
                    wrong.append((table, verb, granted, code))
    assert wrong == []


def test_what_may_be_updated_is_told_column_by_column() -> None:
    assert {name for name, grants in GRANTS.items() if any("U" in grants.of(role) for role in ROLES)} == CHANGES.keys()
    for name, changes in CHANGES.items():
        for role in ROLES:
            assert ("U" in GRANTS[name].of(role)) == bool(changes.of(role)), (name, role)
            assert changes.of(role) <= {column.name for column in metadata.tables[name].columns}, (name, role)


def test_the_server_grants_the_columns_that_are_told_and_no_others(ledger: PostgresLedger) -> None:
    """Every role, table and column as the server itself has them: a table-wide UPDATE would stand there as well."""
    with engine_of(ledger.url).connect() as connection:
        granted = connection.execute(
            text(
                "SELECT grantee, table_name, column_name FROM information_schema.column_privileges "
                "WHERE table_schema = 'public' AND privilege_type = 'UPDATE' AND grantee = ANY(:roles)"
            ),
            {"roles": [*ROLES]},
        ).all()
    told = {(role, name, column) for name, changes in CHANGES.items() for role in ROLES for column in changes.of(role)}
    assert {tuple(row) for row in granted} == told


@pytest.mark.parametrize("role", ROLES)
def test_each_role_updates_its_columns_and_no_others(ledger: PostgresLedger, role: str) -> None:
    """By trying: each column of each table, under the role itself."""
    wrong = []
    with engine_of(url_as(ledger.url, role)).connect() as connection, connection.begin():
        for table in TABLES:
            for column in metadata.tables[table].columns:
                # a number counted up may be set to nothing but its default
                value = "NULL" if column.identity is None else "DEFAULT"
                code = refused(connection, f'UPDATE {table} SET "{column.name}" = {value} WHERE false')
                may = table in CHANGES and column.name in CHANGES[table].of(role)
                if code != (None if may else NOT_ALLOWED):
                    wrong.append((table, column.name, may, code))
    assert wrong == []


def test_no_service_may_change_what_is_paid_to_whom(ledger: PostgresLedger) -> None:
    what = {
        "payload",
        "fingerprint",
        "destination",
        "money",
        "key",
        "case_id",
        "night",
        "live",
        "kind",
        "final",
        "undoes",
    }
    assert not any(CHANGES["actions"].of(role) & what for role in ROLES)
    asked = {"content", "amount", "subject", "case_id", "why", "epoch"}
    assert not any(CHANGES["review_tasks"].of(role) & asked for role in ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_no_role_gets_round_its_grants(ledger: PostgresLedger, role: str) -> None:
    with engine_of(url_as(ledger.url, role)).connect() as connection, connection.begin():
        for trick in (
            "CREATE TABLE public.mine (a int)",
            "ALTER TABLE decisions DISABLE TRIGGER ALL",
            "ALTER TABLE decisions DROP CONSTRAINT pk_decisions",
            "DROP TRIGGER facts_stay ON decisions",
            "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "SET session_replication_role = replica",
            "CREATE ROLE pipeline_more",
        ):
            assert refused(connection, trick) == NOT_ALLOWED, trick


@pytest.mark.parametrize("table", sorted(FACTS))
def test_facts_refuse_truncation_even_by_their_owner(ledger: PostgresLedger, table: str) -> None:
    with engine_of(ledger.url).connect() as connection, connection.begin():
        assert refused(connection, f"TRUNCATE {table} CASCADE") == FACT_STAYS


def test_the_public_has_nothing(ledger: PostgresLedger) -> None:
    with engine_of(ledger.url).begin() as connection:
        connection.execute(text("CREATE ROLE nobody_special NOLOGIN"))
        try:
            connection.execute(text("SET LOCAL ROLE nobody_special"))
            found = [refused(connection, f"SELECT 1 FROM public.{table}") for table in TABLES]
        finally:
            connection.execute(text("RESET ROLE"))
            connection.execute(text("DROP ROLE nobody_special"))
    assert set(found) == {NOT_ALLOWED}


@pytest.mark.parametrize("role", ROLES[:3])
def test_whoever_makes_facts_may_append_to_the_chain(ledger: PostgresLedger, role: str) -> None:
    with engine_of(url_as(ledger.url, role)).begin() as connection:
        assert append(connection, "answers", "returns", [Fact(None, {"case_id": "C-1"})]) == 1


def test_an_auditor_may_not_append(ledger: PostgresLedger) -> None:
    with pytest.raises(DBAPIError), engine_of(url_as(ledger.url, ROLES[3])).begin() as connection:
        append(connection, "answers", "returns", [Fact(None, {"case_id": "C-1"})])


def test_a_role_is_kept_beside_other_options() -> None:
    url = make_url(url_as("postgresql+psycopg2://u:p@h/d?options=-c%20work_mem%3D8MB", DESK))
    assert url.query["options"] == f"-c work_mem=8MB -c role={DESK}"
    assert url.password == "p"


# -- making the roles, on a server of their own ------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_server() -> Iterator[str]:
    """A server without the ledger's roles."""
    home = Path(tempfile.mkdtemp(prefix="pipeline-roles-"))
    server = EmbeddedServer(home / "postgres")
    try:
        server.start()
        yield server.superuser_url
    finally:
        server.stop()
        shutil.rmtree(home)


def as_owner(server: str, name: str, rights: str) -> str:
    """The URL of a new database whose owner has these rights and no more."""
    with create_engine(server, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'x' {rights}"))
        connection.execute(text(f"CREATE DATABASE {name} OWNER {name} TEMPLATE template0"))
    url = make_url(server).set(username=name, password="x", database=name)
    return url.render_as_string(hide_password=False)


def test_who_may_not_create_roles_is_told_what_to_run_and_it_is_enough(own_server: str) -> None:
    url = as_owner(own_server, "plain_owner", "")
    with pytest.raises(RolesMissing) as told:
        migrate.upgrade(url)
    assert migrate.current(url) is None
    with create_engine(own_server, isolation_level="AUTOCOMMIT").connect() as connection:
        for each in str(told.value).partition("to run: ")[2].split("; "):
            connection.execute(text(each))
        migrate.upgrade(url)
        assert migrate.current(url) == migrate.head()
        migrate.downgrade(url, "base")
        for role in ROLES:
            connection.execute(text(f"DROP ROLE {role}"))


def test_databases_that_make_the_roles_at_once_agree(own_server: str) -> None:
    urls = [as_owner(own_server, f"maker_{number}", "SUPERUSER") for number in range(4)]
    together = threading.Barrier(len(urls))
    failed: list[BaseException] = []

    def make(url: str) -> None:
        try:
            with engine_of(url).begin() as connection:
                connection.execute(text("SELECT 1"))
                together.wait(timeout=300)
                create_missing(connection)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failed.append(error)

    threads = [threading.Thread(target=make, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with engine_of(url_as(urls[0], DESK)).connect() as connection:
        assert connection.scalar(text("SELECT current_user")) == DESK


def test_the_right_to_create_roles_is_enough(own_server: str) -> None:
    with create_engine(own_server, isolation_level="AUTOCOMMIT").connect() as connection:
        for role in connection.scalars(
            text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:r)"), {"r": [*ROLES]}
        ).all():
            connection.execute(text(f"DROP ROLE {role}"))
    url = as_owner(own_server, "role_maker", "CREATEROLE")
    migrate.upgrade(url)
    with engine_of(url_as(url, DESK)).connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM decisions")) == 0
