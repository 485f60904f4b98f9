"""The chain as it streams out of the database, a few thousand rows at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, case, select, text

from pipeline_project.domain.audit.chain import ChainBatch
from pipeline_project.domain.audit.findings import ChainVerdict, Checkpoint
from pipeline_project.domain.audit.verify import Start, StoredRow, verify_chain, with_rows
from resources.ledger.audit.facts import ChainColumns, columns_of
from resources.ledger.tables.audit import audit_batches, audit_rows
from resources.ledger.unit_of_work import unit_of_work
from resources.postgres.databases import pooled_engine

_AT_ONCE = 5_000
_COLUMNS = tuple(column.name for column in audit_batches.columns)
#: Times that Python can hold.
_FIRST, _LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


@contextmanager
def snapshot(url: str) -> Iterator[Connection]:
    """A connection that sees one moment of the ledger, however long it reads, and cannot write."""
    with unit_of_work(pooled_engine(url)) as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        yield connection


def batch_of(record: Any) -> ChainBatch:
    """The batch of a row of `audit_batches`."""
    # by name: a row is a tuple, and `record.count` its method
    return ChainBatch(**{name: record._mapping[name] for name in _COLUMNS})


def read_batches(connection: Connection, after: int = 0) -> Iterator[ChainBatch]:
    batches = audit_batches.c
    # a time that nobody can hold is read as another one: it is not what was hashed either
    at = case((batches.at.between(_FIRST, _LAST), batches.at), else_=_FIRST).label(batches.at.name)
    columns = [at if column is batches.at else column for column in batches]
    query = select(*columns).where(batches.number > after).order_by(batches.number)
    return (batch_of(record) for record in stream(connection, query))


def read_rows(connection: Connection, after: int = 0) -> Iterator[StoredRow]:
    rows = audit_rows.c
    query = select(audit_rows).where(rows.batch > after).order_by(rows.batch, rows.position)
    return (_row(record) for record in stream(connection, query))


def stream(connection: Connection, query: Select[Any]) -> Iterator[Any]:
    """The rows of a query through a cursor of the server's, so that memory holds a few thousand."""
    yield from connection.execute(query.execution_options(yield_per=_AT_ONCE))


def _row(record: Any) -> StoredRow:
    try:
        spelling = json.loads(record.body)
        fits = columns_of(spelling) == ChainColumns(
            source=record.source, key=record.key, case_id=record.case_id, person=record.person
        )
    except (ValueError, AttributeError):
        fits = False
    return StoredRow(record.batch, record.position, record.leaf, record.body, fits)


def check_chain(connection: Connection, checkpoints: list[Checkpoint], start: Start | None = None) -> ChainVerdict:
    """Checks what a connection sees of the chain, from its beginning or from a batch that was checked before."""
    orphans: dict[int, int] = {}

    def orphan(row: StoredRow) -> None:
        orphans[row.batch] = orphans.get(row.batch, 0) + 1

    after = start.number if start else 0
    pairs = with_rows(read_batches(connection, after), read_rows(connection, after), orphan)
    # orphans are known once all rows were read: the items are taken then
    return verify_chain(pairs, checkpoints, _later(orphans), start)


def _later(orphans: dict[int, int]) -> Iterator[tuple[int, int]]:
    yield from orphans.items()
