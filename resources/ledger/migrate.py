"""Brings the ledger's schema up and down; processes that do so at once take turns.

Alembic is imported where there is something to migrate: every command looks whether there is, and most find nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import text

from resources.ledger.revision import MIGRATIONS, head, refuse_newer
from resources.postgres.databases import begun, engine_of
from resources.postgres.locks import MIGRATION

__all__ = ["current", "downgrade", "head", "upgrade"]

if TYPE_CHECKING:
    from alembic.config import Config


def upgrade(url: str, to: str = "head") -> None:
    """Brings the schema to a revision; nothing happens when it is there already.

    Raises:
        DatabaseUnreachable: the database does not answer.
        LedgerNewer: a newer version of the code has brought it further.
    """
    if to == "head":
        revision = current(url)
        refuse_newer(revision)
        if revision == head():
            return
    from alembic import command

    with _migrating(url) as config:
        command.upgrade(config, to)


def downgrade(url: str, to: str = "base") -> None:
    """Takes the schema back to a revision; the rows of the tables that go are lost."""
    from alembic import command

    with _migrating(url) as config:
        command.downgrade(config, to)


def current(url: str) -> str | None:
    """The revision the schema is at, or None for an empty database."""
    with begun(engine_of(url)) as connection:
        if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
            return None
        revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return None if revision is None else str(revision)


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


@contextmanager
def _migrating(url: str) -> Iterator[Config]:
    config = _config()
    with begun(engine_of(url)) as connection:
        # the lock is taken before Alembic reads the revision, or two would run the same step
        MIGRATION.take(connection)
        config.attributes["connection"] = connection
        yield config
