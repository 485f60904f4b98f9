"""What goes into the ledger's columns, and rows of it as values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from sqlalchemy import Column, Connection, Select, Table, bindparam, column, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Value = TypeVar("Value", bound="DataclassInstance")


def columns(kind: type[DataclassInstance], table: Table) -> list[Column[Any]]:
    """The columns of a table that a value of this class holds."""
    return [table.c[field.name] for field in fields(kind)]


def values(connection: Connection, kind: type[Value], query: Select[*tuple[Any, ...]]) -> list[Value]:
    """The rows of a query as values of a class whose fields its columns are."""
    return [kind(**row._asdict()) for row in connection.execute(query)]


def value(connection: Connection, kind: type[Value], query: Select[*tuple[Any, ...]]) -> Value | None:
    """The first row of a query, as `values` does; None where there is none."""
    row = connection.execute(query).first()
    return None if row is None else kind(**row._asdict())


def jsonable(value: Any) -> Any:
    """The same value in what JSONB and the columns take: numpy unpacked, NaN and infinities null, NUL replaced."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): jsonable(part) for key, part in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist())
    if isinstance(value, Sequence | set | frozenset):
        return [jsonable(part) for part in (sorted(value) if isinstance(value, set | frozenset) else value)]
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if isoformat else str(value)


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """Inserts the rows that break no unique constraint and returns their `key`; waits for a transaction that is
    adding the same ones.

    All rows travel as one JSON parameter: several times quicker than as many parameters.
    """
    if not rows:
        return []
    names = list(rows[0])
    sent = func.jsonb_to_recordset(bindparam("sent", list(rows), type_=JSONB))
    given = sent.table_valued(*[column(name, table.c[name].type) for name in names]).render_derived(with_types=True)
    statement = insert(table).from_select(names, select(given)).on_conflict_do_nothing().returning(table.c[key])
    return list(connection.scalars(statement))
