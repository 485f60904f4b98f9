"""Takes into the chain what the ledger held before the chain, or a column of it, was there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Select, Table, select, text

from resources.ledger.audit.chain import append
from resources.ledger.audit.coverage import BEFORE, MATRIX
from resources.ledger.audit.facts import Fact, held, key_columns, key_of
from resources.ledger.audit.reading import stream
from resources.ledger.schema import metadata
from resources.ledger.tables.audit import audit_batches, audit_rows
from resources.ledger.unit_of_work import unit_of_work
from resources.postgres.databases import pooled_engine
from resources.postgres.locks import CHAIN

KIND = "adopted"
_AT_ONCE = 10_000
#: The facts by which the chain remembers what it took in: a table and its columns, once.
_MARK, _COLUMNS = "adopted_table", "columns"


def adopt(url: str) -> int:
    """Appends the rows, and the columns of rows, that the chain does not vouch for yet; returns how many rows.

    Each table and column is taken in once, and the chain remembers that it was: what is inserted or changed later is
    told, not taken in. Rows of tables that an older chain held are taken in only where it holds them.

    Raises:
        DatabaseUnreachable: the database does not answer.
    """
    with unit_of_work(pooled_engine(url)) as connection:
        if not _lacking(connection):
            return 0
        # nobody may lengthen the chain while this reads; the next statement sees who did before
        CHAIN.take(connection)
        begun = connection.scalar(select(audit_batches.c.number).limit(1)) is not None
        lacking, marked = _lacking(connection), _marked(connection)
        adopted = 0
        for name, columns in lacking.items():
            only_known = name in marked or (begun and not marked and name in BEFORE)
            adopted += _take_in(connection, metadata.tables[name], columns, only_known=only_known)
        marks = [Fact(None, {_MARK: name, _COLUMNS: sorted(MATRIX[name].columns)}) for name in lacking]
        append(connection, KIND, "", marks)
    return adopted


def _lacking(connection: Connection) -> dict[str, frozenset[str]]:
    """By table the columns of which the chain does not say that they were taken in."""
    marked = _marked(connection)
    lacking = {name: coverage.columns - marked.get(name, frozenset()) for name, coverage in MATRIX.items()}
    return {name: columns for name, columns in lacking.items() if columns}


def _marked(connection: Connection) -> dict[str, frozenset[str]]:
    rows, batches = audit_rows.c, audit_batches.c
    query = select(rows.body).join_from(audit_rows, audit_batches, batches.number == rows.batch)
    marked: dict[str, frozenset[str]] = {}
    for body in connection.scalars(query.where(batches.kind == KIND, rows.source.is_(None))):
        values = json.loads(body)
        if _MARK in values:
            marked[values[_MARK]] = marked.get(values[_MARK], frozenset()) | frozenset(values[_COLUMNS])
    return marked


def _take_in(connection: Connection, table: Table, columns: frozenset[str], only_known: bool) -> int:
    adopted = 0
    rows = _facts(connection, table, columns, only_known)
    while chunk := list(islice(rows, _AT_ONCE)):
        adopted += len(chunk)
        append(connection, KIND, "", chunk)
    return adopted


def _facts(connection: Connection, table: Table, columns: frozenset[str], only_known: bool) -> Iterator[Fact]:
    query: Select[Any] = select(table)
    condition = MATRIX[table.name].rows
    if condition is not None:
        query = query.where(text(condition))
    keys = key_columns(table)
    for record in stream(connection, query):
        there = held(table, dict(record._mapping))
        if not only_known or _is_known(connection, table, there):
            yield Fact(table.name, {name: there[name] for name in {*keys, *columns}})


def _is_known(connection: Connection, table: Table, there: Mapping[str, Any]) -> bool:
    rows = audit_rows.c
    query = select(rows.batch).where(rows.source == table.name, rows.key == key_of(table, there)).limit(1)
    return connection.scalar(query) is not None
