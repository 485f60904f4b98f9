from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from resources.ledger import migrate
from resources.ledger.schema import FACTS, metadata
from resources.postgres.databases import connected, engine_of

RULES = text(
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version' ORDER BY 1, 2"
)
INDEXES = text(
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1"
)
TRIGGERS = text("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'facts_stay' ORDER BY 1")
LEFT_BEHIND = text(
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'alembic_version%' "
    "UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
)


def rows(url: str, question: object) -> list[tuple[object, ...]]:
    with connected(engine_of(url)) as connection:
        return [tuple(row) for row in connection.execute(question)]  # type: ignore[call-overload]


def test_the_steps_make_what_the_tables_declare(new_database: Callable[[], str]) -> None:
    stepped, declared = new_database(), new_database()
    migrate.upgrade(stepped)
    with connected(engine_of(stepped)) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    metadata.create_all(engine_of(declared))
    assert rows(stepped, RULES) == rows(declared, RULES)
    assert rows(stepped, INDEXES) == rows(declared, INDEXES)
    assert [table for (table,) in rows(stepped, TRIGGERS)] == sorted(FACTS)


def test_down_to_nothing_and_up_again(new_database: Callable[[], str]) -> None:
    url = new_database()
    migrate.upgrade(url)
    assert migrate.current(url) == migrate.head()
    migrate.downgrade(url, "base")
    assert migrate.current(url) is None
    assert rows(url, LEFT_BEHIND) == []
    migrate.upgrade(url)
    assert migrate.current(url) == migrate.head()


def test_files_are_named_after_their_revisions_as_alembic_has_them() -> None:
    scripts = ScriptDirectory.from_config(migrate._config())
    assert migrate.head() == scripts.get_current_head()
    for script in scripts.walk_revisions():
        assert Path(script.path).name.startswith(f"v{script.revision}_")


def test_a_schema_of_an_older_revision_is_brought_up(new_database: Callable[[], str]) -> None:
    url = new_database()
    migrate.upgrade(url, "0015")
    assert migrate.current(url) == "0015"
    migrate.upgrade(url)
    assert migrate.current(url) == migrate.head()


def test_processes_that_migrate_at_once_take_turns(new_database: Callable[[], str]) -> None:
    url = new_database()
    failed: list[BaseException] = []

    def upgrade() -> None:
        try:
            migrate.upgrade(url)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failed.append(error)

    threads = [threading.Thread(target=upgrade) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert migrate.current(url) == migrate.head()
