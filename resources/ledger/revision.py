"""Which revision the ledger's schema is at, and whether this process was written for it.

While a house is updated, processes of two versions of the code are at work. The first of the newer ones migrates the
ledger; the older ones notice it at their next transaction, at the latest after `LOOK_SECONDS`, and do nothing more.
"""

from __future__ import annotations

import re
import time
from functools import cache
from pathlib import Path
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from pipeline_project.domain.core.errors import LedgerMissing, LedgerNewer
from resources.postgres.databases import safe

#: How old the last look of a process may be.
LOOK_SECONDS = 10.0
MIGRATIONS = Path(__file__).parent / "migrations"
#: A migration's file is named after its revision, which tests hold it to.
_FILE = re.compile(r"v(\d{4})_\w+\.py")
_LOOKED: WeakKeyDictionary[Engine, float] = WeakKeyDictionary()
_UNDEFINED_TABLE, _NOT_ALLOWED = "42P01", "42501"


@cache
def head() -> str:
    """The newest revision that this version of the code has, as the files lay at the first call."""
    return max(match[1] for path in (MIGRATIONS / "versions").iterdir() if (match := _FILE.fullmatch(path.name)))


def refuse_newer(revision: str | None) -> None:
    """
    Raises:
        LedgerNewer: a ledger at this revision was migrated by a newer version.
    """
    if revision is not None and revision > head():
        raise LedgerNewer(
            f"the ledger is at revision {revision} and this process has {head()} as its newest: a newer version of the "
            "code migrated it. Nothing was written; install that version here and start this process again"
        )


def look_now_and_then(connection: Connection) -> None:
    """`refuse_other`, where the last look of this process is too long ago; before a transaction begins.

    Raises:
        LedgerNewer, LedgerMissing: as `refuse_other`.
    """
    looked = _LOOKED.get(connection.engine)
    if looked is not None and time.monotonic() - looked < LOOK_SECONDS:
        return
    try:
        refuse_other(connection)
    finally:
        # whoever sets an isolation level does so before anything else
        connection.rollback()
    _LOOKED[connection.engine] = time.monotonic()


def refuse_other(connection: Connection) -> None:
    """Looks whether the ledger is at the revision of this process.

    Raises:
        LedgerNewer: a newer version of the code has migrated it.
        LedgerMissing: nobody has migrated it, or not as far as this version needs it.
    """
    revision = _revision(connection)
    refuse_newer(revision)
    if revision != head():
        raise LedgerMissing(
            f"the ledger at {safe(connection.engine.url)} is at revision {revision or 'none'} and this version of the "
            f"code needs {head()}; run `pipeline setup` or `pipeline up` to migrate it"
        )


def _revision(connection: Connection) -> str | None:
    """None where nobody has migrated it, or so long ago that its roles may not look."""
    try:
        revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    except ProgrammingError as error:
        if getattr(error.orig, "pgcode", None) in (_UNDEFINED_TABLE, _NOT_ALLOWED):
            return None
        raise
    return None if revision is None else str(revision)
