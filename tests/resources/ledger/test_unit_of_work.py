"""The one way into the ledger: whole or not at all, again after a deadlock, refused without the row."""

from __future__ import annotations

import ast
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from pipeline_project.domain.core.errors import DatabaseUnreachable, LedgerMissing, LedgerRefused, ValueRefused
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.unit_of_work import TRIES, repeated, unit_of_work
from resources.postgres.databases import engine_of

ROOT = Path(__file__).parents[3]
#: Who opens connections besides, and to what.
OTHERS = {
    "resources/ledger/unit_of_work.py": "the one way",
    "resources/ledger/migrate.py": "the schema, whose mistakes show their statement",
    "resources/postgres/databases.py": "the server",
    "resources/postgres/sessions.py": "sessions that hold a lock for a whole run",
    "resources/postgres/tenants.py": "the server, and the roles and databases of tenants on it",
    "resources/postgres/dumps.py": "whole databases, as pg_dump reads and pg_restore writes them",
    "resources/run_workers/in_hand.py": "Dagster's database",
    "resources/dagster_storage/old_events.py": "Dagster's database",
    "pipeline_project/operations/moving/restore.py": "a ledger that was just put there, perhaps without its tables",
    "resources/dagster_storage/event_log.py": "Dagster's database",
    "resources/registry/database.py": "MLflow's database",
    "resources/destinations/sql.py": "somebody else's database",
    "resources/sources/reading_database.py": "somebody else's database",
    "pipeline_project/reconcile/stores.py": "the independent checker, which shares no code",
    "pipeline_project/reconcile/ages.py": "the independent checker, which shares no code",
}
SECRET = "customer-4711"


@pytest.fixture
def engine(ledger: PostgresLedger) -> Engine:
    return engine_of(ledger.url)


def keep(connection: Connection, workflow: str, place: str = "sql:shop") -> None:
    values = {"workflow": workflow, "place": place}
    connection.execute(text("INSERT INTO source_readers (workflow, place) VALUES (:workflow, :place)"), values)


def kept(engine: Engine) -> list[str]:
    with unit_of_work(engine) as connection:
        return list(connection.scalars(text("SELECT workflow FROM source_readers ORDER BY 1")))


def test_an_error_takes_everything_back(engine: Engine) -> None:
    with pytest.raises(RuntimeError), unit_of_work(engine) as connection:
        keep(connection, "returns")
        raise RuntimeError
    assert kept(engine) == []


def test_a_refusal_names_the_rule_and_never_the_row(engine: Engine) -> None:
    with unit_of_work(engine) as connection:
        keep(connection, "returns", SECRET)
    with pytest.raises(LedgerRefused, match="source_readers: pk_") as caught, unit_of_work(engine) as connection:
        keep(connection, "tickets", SECRET)
        keep(connection, "returns", SECRET)
    assert SECRET not in str(caught.value) and caught.value.__cause__ is None
    assert kept(engine) == ["returns"]


def test_what_no_column_can_hold_is_told_apart(engine: Engine) -> None:
    with pytest.raises(ValueRefused, match="out of range"), unit_of_work(engine) as connection:
        connection.execute(text("SELECT id FROM review_tasks WHERE id = CAST(:id AS bigint)"), {"id": str(10**30)})


def test_a_ledger_that_nobody_migrated_says_what_to_run(postgres_server: str) -> None:
    with pytest.raises(LedgerMissing, match="pipeline up"), unit_of_work(engine_of(postgres_server)) as connection:
        keep(connection, "returns")


def test_a_database_that_is_away_is_told_as_such() -> None:
    away = engine_of("postgresql+psycopg2://u:topsecret@127.0.0.1:1/x")
    with pytest.raises(DatabaseUnreachable) as caught, unit_of_work(away):
        pass
    assert "topsecret" not in str(caught.value)


def test_who_lost_a_deadlock_is_tried_again(engine: Engine) -> None:
    """Two that lock two rows crosswise: the server ends one of them, and both are done in the end."""
    with unit_of_work(engine) as connection:
        connection.execute(text("CREATE TABLE pair AS SELECT i, 0 AS n FROM generate_series(1, 2) AS i"))
    met, tries = threading.Barrier(2), list[int]()

    def work(connection: Connection, first: int) -> None:
        tries.append(first)
        add = text("UPDATE pair SET n = n + 1 WHERE i = :i")
        connection.execute(add, {"i": first})
        if len(tries) <= 2:
            met.wait()
        connection.execute(add, {"i": 3 - first})

    threads = [threading.Thread(target=repeated, args=(engine, lambda c, i=i: work(c, i))) for i in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with unit_of_work(engine) as connection:
        assert connection.execute(text("SELECT n FROM pair ORDER BY i")).scalars().all() == [2, 2]
    assert len(tries) == 3


@pytest.mark.parametrize(("state", "times"), [("40P01", TRIES), ("40001", TRIES), ("55P03", 1)])
def test_only_what_another_one_ended_is_tried_again_and_not_for_ever(engine: Engine, state: str, times: int) -> None:
    tries = []

    def work(connection: Connection) -> None:
        tries.append(state)
        connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$"))

    with pytest.raises(DBAPIError):
        repeated(engine, work)
    assert len(tries) == times


def opens(path: Path) -> list[int]:
    """The lines on which a file opens a connection or a transaction by itself."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        by_name = isinstance(called, ast.Name) and called.id in ("connected", "begun")
        by_hand = (
            isinstance(called, ast.Attribute)
            and called.attr in ("begin", "connect")
            and not node.args
            and not node.keywords
        )
        if by_name or by_hand:
            found.append(node.lineno)
    return found


def test_there_is_no_other_way_in() -> None:
    files = [path for room in ("pipeline_project", "assets", "resources") for path in (ROOT / room).rglob("*.py")]
    ways = {str(path.relative_to(ROOT)) for path in files if opens(path)}
    assert ways == set(OTHERS), "open a unit of work (resources/ledger/unit_of_work.py) instead"


def test_the_lint_sees_each_way(tmp_path: Path) -> None:
    file = tmp_path / "store.py"
    for line in ("with engine.begin() as c: pass", "engine.connect()", "connected(engine)", "begun(engine)"):
        file.write_text(line)
        assert opens(file) == [1], line
    file.write_text("sessions.begin(person)")
    assert opens(file) == []
