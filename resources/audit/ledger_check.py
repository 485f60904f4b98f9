"""Compares the ledger's tables with what the chain holds of them: a decision changed behind its back is found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import ARRAY, Connection, Table, Text, bindparam, column, func, select, text
from sqlalchemy.dialects.postgresql import JSONB

from pipeline_project.domain.audit.findings import Finding, Tampering
from pipeline_project.domain.audit.verify import FINDINGS_KEPT
from resources.audit.coverage import COVERED, LASTING
from resources.audit.facts import key_columns, key_of, row_values, same
from resources.audit.reading import stream
from resources.ledger.audit_tables import audit_rows
from resources.ledger.schema import FACTS, metadata

_AT_ONCE = 2_000


@dataclass(frozen=True)
class Compared:
    """One table beside the chain.

    Attributes:
        facts: rows of the chain that were compared.
        covered: whether every row of the table must stand in the chain.
        outside: rows that should and do not.
    """

    table: str
    facts: int
    covered: bool
    outside: int
    findings: Sequence[Finding]


def compare_ledger(connection: Connection) -> list[Compared]:
    """Every table of facts beside the chain: a row that differs, that is gone, or that was never recorded.

    Of the tables in `LASTING` the columns that never change are compared.
    """
    names = [*(name for name in FACTS if not name.startswith("audit_")), *LASTING]
    return [_compare(connection, metadata.tables[name]) for name in names]


def _compare(connection: Connection, table: Table) -> Compared:
    found: list[Finding] = []
    facts = 0
    known = audit_rows.c
    query = select(known.batch, known.position, known.key, known.body)
    query = query.where(known.source == table.name, known.key.is_not(None))
    for chunk in _chunks(stream(connection, query)):
        readable = [(record, said) for record in chunk if (said := _said(table, record)) is not None]
        facts += len(readable)
        there = _rows_of(connection, table, [said for _, said in readable])
        for record, said in readable:
            finding = _compared(table, record, said, there.get(record.key))
            if finding is not None and len(found) < FINDINGS_KEPT:
                found.append(finding)
    outside, covered = 0, table.name in COVERED
    for key in _outside(connection, table) if covered else ():
        outside += 1
        if len(found) < FINDINGS_KEPT:
            words = f"a row of {table.name} is not in the chain (key digest {_short(key)})"
            found.append(Finding(Tampering.LEDGER_INSERTED, 0, words))
    return Compared(table.name, facts, covered, outside, found)


def _said(table: Table, record: Any) -> dict[str, Any] | None:
    """What a body says; None where it was changed so that it no longer has its key, which the chain's check tells."""
    try:
        said = json.loads(record.body)
    except ValueError:
        return None
    return said if isinstance(said, dict) and key_of(table, said) == record.key else None


def _compared(table: Table, record: Any, said: Mapping[str, Any], there: Mapping[str, Any] | None) -> Finding | None:
    where = f"row {record.position} of batch {record.batch}"
    if there is None:
        words = f"the row of {table.name} that {where} recorded is gone"
        return Finding(Tampering.LEDGER_REMOVED, record.batch, words, record.position)
    lasting = LASTING.get(table.name, there.keys())
    other = [name for name, value in said.items() if name in lasting and not same(value, there[name])]
    if not other:
        return None
    words = f"{', '.join(sorted(other))} of a row of {table.name} are not what {where} recorded"
    return Finding(Tampering.LEDGER_CHANGED, record.batch, words, record.position)


def _rows_of(connection: Connection, table: Table, said: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The table's rows with the keys of these facts, spelled, by key."""
    keys = key_columns(table)
    sent = func.jsonb_to_recordset(bindparam("sent", [{name: one[name] for name in keys} for one in said], type_=JSONB))
    given = sent.table_valued(*[column(name, table.c[name].type) for name in keys]).render_derived(with_types=True)
    wanted = select(table).join(given, _and(table, given, keys))
    rows = (row_values(table, dict(record._mapping)) for record in connection.execute(wanted))
    return {str(key_of(table, row)): row for row in rows}


def _and(table: Table, given: Any, keys: Sequence[str]) -> Any:
    condition = table.c[keys[0]] == given.c[keys[0]]
    for name in keys[1:]:
        condition = condition & (table.c[name] == given.c[name])
    return condition


def _outside(connection: Connection, table: Table) -> Iterator[str]:
    """Keys of the table's rows that the chain does not hold."""
    keys = key_columns(table)
    query = select(*(table.c[name] for name in keys))
    condition = COVERED.get(table.name)
    if condition is not None:
        query = query.where(text(condition))
    known = audit_rows.c
    for chunk in _chunks(stream(connection, query)):
        spelled = [str(key_of(table, row_values(table, dict(record._mapping)))) for record in chunk]
        given = known.key == func.any(bindparam("keys", spelled, type_=ARRAY(Text)))
        held = set(connection.scalars(select(known.key).where(known.source == table.name, given)))
        yield from (key for key in spelled if key not in held)


def _chunks(records: Iterable[Any]) -> Iterator[list[Any]]:
    left = iter(records)
    while chunk := list(islice(left, _AT_ONCE)):
        yield chunk


def _short(key: str) -> str:
    from hashlib import sha256

    return sha256(key.encode()).hexdigest()[:12]
