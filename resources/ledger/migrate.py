"""Brings the ledger's schema up and down; processes that do so at once take turns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from resources.postgres.databases import begun, engine_of
from resources.postgres.locks import MIGRATION


def upgrade(url: str, to: str = "head") -> None:
    """Brings the schema to a revision; nothing happens when it is there already.

    Raises:
        DatabaseUnreachable: the database does not answer.
    """
    with _migrating(url) as config:
        command.upgrade(config, to)


def downgrade(url: str, to: str = "base") -> None:
    """Takes the schema back to a revision; the rows of the tables that go are lost."""
    with _migrating(url) as config:
        command.downgrade(config, to)


def current(url: str) -> str | None:
    """The revision the schema is at, or None for an empty database."""
    with begun(engine_of(url)) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str | None:
    """The newest revision there is."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


@contextmanager
def _migrating(url: str) -> Iterator[Config]:
    config = _config()
    with begun(engine_of(url)) as connection:
        # the lock is taken before Alembic reads the revision, or two would run the same step
        MIGRATION.take(connection)
        config.attributes["connection"] = connection
        yield config
