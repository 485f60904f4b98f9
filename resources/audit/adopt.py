"""Takes into a new chain what the ledger held before there was one."""

from __future__ import annotations

from itertools import islice

from sqlalchemy import select, text

from resources.audit.chain import LOCK, append
from resources.audit.coverage import COVERED
from resources.audit.reading import stream
from resources.ledger.audit_tables import audit_batches
from resources.ledger.schema import metadata
from resources.postgres import connected, engine_of

KIND = "adopted"
_AT_ONCE = 10_000


def adopt(url: str) -> int:
    """Appends the rows of the covered tables to a chain that is still empty; returns how many.

    A chain that has begun is left alone: taking in later what it does not hold would hide that it was inserted.

    Raises:
        DatabaseUnreachable: the database does not answer.
    """
    taken = 0
    with connected(engine_of(url)) as connection, connection.begin():
        if connection.scalar(select(audit_batches.c.number).limit(1)) is not None:
            return 0
        # nobody may begin the chain while this reads; the next statement sees who did before
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        if connection.scalar(select(audit_batches.c.number).limit(1)) is not None:
            return 0
        for name, condition in COVERED.items():
            query = select(metadata.tables[name])
            if condition is not None:
                query = query.where(text(condition))
            rows = ({"table": name, **record._mapping} for record in stream(connection, query))
            while chunk := list(islice(rows, _AT_ONCE)):
                taken += len(chunk)
                append(connection, KIND, "", chunk)
    return taken
