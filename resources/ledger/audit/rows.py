"""Rows of the ledger's tables as the chain holds them, and facts completed with them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, Connection, Table, Text, any_, bindparam, column, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DataError

from resources.ledger.audit.coverage import MATRIX
from resources.ledger.audit.facts import Fact, Spelling, held, key_columns, key_of, needed, row_values, same
from resources.ledger.schema import metadata
from resources.ledger.tables.audit import audit_rows

_AT_ONCE = 2_000
#: What a value raises that the database holds and Python cannot: a year beyond 9999, nesting or digits beyond reading.
UNREADABLE = (ValueError, ArithmeticError, RecursionError, DataError)


def rows_of(
    connection: Connection, table: Table, facts: Sequence[Spelling], columns: Collection[str] | None = None
) -> Mapping[str, Mapping[str, Any]]:
    """The table's rows with the keys of these facts, as they stand there, by key.

    Args:
        facts: spelled; each has the whole key.
        columns: those to read beside the key; all without it.
    """
    keys = key_columns(table)
    sent = func.jsonb_to_recordset(
        bindparam("sent", [{name: one[name] for name in keys} for one in facts], type_=JSONB)
    )
    given = sent.table_valued(*[column(name, table.c[name].type) for name in keys]).render_derived(with_types=True)
    named = table.c if columns is None else [table.c[name] for name in sorted({*keys, *columns})]
    wanted = select(*named).join_from(table, given, _and(table, given, keys))
    rows = (dict(record._mapping) for record in connection.execute(wanted))
    return {str(key_of(table, row_values(table, {name: row[name] for name in keys}))): row for row in rows}


def _and(table: Table, given: Any, keys: Sequence[str]) -> Any:
    condition = table.c[keys[0]] == given.c[keys[0]]
    for name in keys[1:]:
        condition = condition & (table.c[name] == given.c[name])
    return condition


def recorded(connection: Connection, table: Table, keys: Collection[str]) -> Mapping[str, Spelling]:
    """What the chain says of rows, by key: of a column that never changes the first word, of others the newest."""
    rows = audit_rows.c
    given = rows.key == any_(literal(list(keys), ARRAY(Text)))
    query = select(rows.key, rows.body).where(rows.source == table.name, given)
    coverage = MATRIX[table.name]
    spellings = defaultdict[str, dict[str, object]](dict)
    for record in connection.execute(query.order_by(rows.batch, rows.position)):
        spelling = spellings[record.key]
        for name, value in json.loads(record.body).items():
            if name in coverage.latest_columns:
                spelling[name] = value
            elif name in coverage.fixed_columns:
                spelling.setdefault(name, value)
    return spellings


def unlike(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> list[list[str] | None]:
    """For each whole row the columns that are not what the chain recorded; None where it knows of no such row.

    For whoever acts on a row: what was changed behind the ledger's back is not acted on.
    """
    keys = [str(key_of(table, held(table, row))) for row in rows]
    spellings = recorded(connection, table, keys)
    return [_unlike(table, row, spellings.get(key)) for row, key in zip(rows, keys, strict=True)]


def _unlike(table: Table, row: Mapping[str, Any], spelling: Spelling | None) -> list[str] | None:
    if spelling is None:
        return None
    there, plain = held(table, row), row_values(table, row)
    return sorted(
        name
        for name in spelling.keys() & MATRIX[table.name].fixed_columns
        if not (same(spelling[name], there[name]) or same(spelling[name], plain[name]))
    )


def completed(connection: Connection, facts: Sequence[Fact]) -> list[Fact]:
    """The facts with what the chain must hold of their rows, as the rows stand in this transaction.

    What a writer leaves out (a time that the database gave, a payload) is read here, so that no writer can forget it.
    """
    whole = list(facts)
    by_table: dict[str, list[int]] = {}
    for place, fact in enumerate(whole):
        if fact.table in MATRIX:
            by_table.setdefault(str(fact.table), []).append(place)
    for name, places in by_table.items():
        for start in range(0, len(places), _AT_ONCE):
            _complete(connection, metadata.tables[name], whole, places[start : start + _AT_ONCE])
    return whole


def _complete(connection: Connection, table: Table, whole: list[Fact], places: Iterable[int]) -> None:
    keys, wanted = key_columns(table), {}
    for place in places:
        values = whole[place].values
        spelled = row_values(table, {name: values[name] for name in keys if values.get(name) is not None})
        key, columns = key_of(table, spelled), needed(table, values)
        if key is not None and columns:
            wanted[place] = (key, columns, spelled)
    if not wanted:
        return
    columns = frozenset().union(*(request[1] for request in wanted.values()))
    # what is read of a state depends on whether the action is live
    more = {"live"} if table.name == "actions" else set()
    rows = rows_of(connection, table, [request[2] for request in wanted.values()], columns | more)
    for place, (key, lacking, _) in wanted.items():
        if key in rows:
            there = held(table, rows[key])
            whole[place] = Fact(table.name, {**whole[place].values, **{name: there[name] for name in lacking}})
