"""Compares the ledger's tables with what the chain holds of them: a decision changed behind its back is found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import ARRAY, Connection, Table, Text, bindparam, func, select, text

from pipeline_project.domain.audit.findings import AuditFinding, Tampering
from pipeline_project.domain.audit.verify import FINDINGS_KEPT
from resources.ledger.audit.coverage import MATRIX
from resources.ledger.audit.facts import Spelling, held, key_columns, key_of, row_values, same
from resources.ledger.audit.reading import stream
from resources.ledger.audit.rows import UNREADABLE, rows_of
from resources.ledger.schema import metadata
from resources.ledger.tables.audit import audit_rows

_AT_ONCE = 2_000


#: Facts of one row, oldest first: as they stand in the chain, and what they say.
_RowFacts = list[tuple[Any, Spelling]]


@dataclass(frozen=True)
class TableComparison:
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
    findings: Sequence[AuditFinding]


def compare_ledger(connection: Connection) -> list[TableComparison]:
    """Every table of which the chain holds something: a row that differs, that is gone, or that was never recorded."""
    return [compare_table(connection, metadata.tables[name]) for name in MATRIX]


def compare_table(connection: Connection, table: Table) -> TableComparison:
    """One table beside what the chain holds of it."""
    findings: list[AuditFinding] = []
    facts = 0
    rows = audit_rows.c
    query = select(rows.batch, rows.position, rows.key, rows.body)
    # the facts of one row follow each other, the newest last
    query = query.where(rows.source == table.name, rows.key.is_not(None))
    query = query.order_by(rows.key, rows.batch, rows.position)
    for chunk in _by_key(table, stream(connection, query)):
        facts += sum(len(row_facts) for row_facts in chunk)
        findings += islice(_of_chunk(connection, table, chunk), FINDINGS_KEPT - len(findings))
    outside = 0
    try:
        for key in _outside(connection, table):
            outside += 1
            if len(findings) < FINDINGS_KEPT:
                description = f"a row of {table.name} is not in the chain (key digest {_short(key)})"
                findings.append(AuditFinding(Tampering.LEDGER_INSERTED, 0, description))
    except UNREADABLE:
        description = f"a key of {table.name} cannot be read: the rows behind it were not looked for in the chain"
        findings.append(AuditFinding(Tampering.LEDGER_CHANGED, 0, description))
    return TableComparison(table.name, facts, True, outside, findings)


def _of_chunk(connection: Connection, table: Table, chunk: Sequence[_RowFacts]) -> Iterator[AuditFinding]:
    """What some rows are not as their facts say; one that nobody can read is a finding, and hides no other."""
    try:
        there = rows_of(connection, table, [row_facts[0][1] for row_facts in chunk])
        yield from [
            finding for row_facts in chunk for finding in _compared(table, row_facts, there.get(row_facts[0][0].key))
        ]
    except UNREADABLE:
        if len(chunk) > 1:
            for one in chunk:
                yield from _of_chunk(connection, table, [one])
            return
        record = chunk[0][-1][0]
        description = (
            f"the row of {table.name} that row {record.position} of batch {record.batch} recorded cannot be read"
        )
        yield AuditFinding(Tampering.LEDGER_CHANGED, record.batch, description, record.position)


def _by_key(table: Table, records: Iterable[Any]) -> Iterator[list[_RowFacts]]:
    """Some thousand rows at a time, each with its facts."""
    chunk: list[_RowFacts] = []
    for record in records:
        spelling = _spelling_of(table, record)
        if spelling is None:
            continue
        if chunk and chunk[-1][0][0].key == record.key:
            chunk[-1].append((record, spelling))
            continue
        if len(chunk) >= _AT_ONCE:
            yield chunk
            chunk = []
        chunk.append([(record, spelling)])
    if chunk:
        yield chunk


def _spelling_of(table: Table, record: Any) -> Spelling | None:
    """What a body says; None where it was changed so that it no longer has its key, which the chain's check tells."""
    try:
        spelling = json.loads(record.body)
    except ValueError:
        return None
    return spelling if isinstance(spelling, dict) and key_of(table, spelling) == record.key else None


def _compared(table: Table, row_facts: _RowFacts, row: Mapping[str, Any] | None) -> Iterator[AuditFinding]:
    """What a row is not as its facts say: columns that never change by every fact, others by the newest that names
    them."""
    if row is None:
        record = row_facts[-1][0]
        description = f"the row of {table.name} that row {record.position} of batch {record.batch} recorded is gone"
        yield AuditFinding(Tampering.LEDGER_REMOVED, record.batch, description, record.position)
        return
    coverage, plain = MATRIX[table.name], row_values(table, row)
    there = held(table, row)
    newest = {name: record for record, spelling in row_facts for name in spelling.keys() & coverage.latest_columns}
    for record, spelling in row_facts:
        names = (spelling.keys() & coverage.fixed_columns) | {name for name in newest if newest[name] is record}
        other = sorted(name for name in names if not _agrees(spelling[name], there[name], plain[name]))
        if other:
            where = f"row {record.position} of batch {record.batch}"
            description = f"{', '.join(other)} of a row of {table.name} are not what {where} recorded"
            yield AuditFinding(Tampering.LEDGER_CHANGED, record.batch, description, record.position)


def _agrees(recorded: Any, there: Any, plain: Any) -> bool:
    # facts from before a column was kept as a digest say its value
    return same(recorded, there) or same(recorded, plain)


def _outside(connection: Connection, table: Table) -> Iterator[str]:
    """Keys of the table's rows that the chain does not hold."""
    keys = key_columns(table)
    query = select(*(table.c[name] for name in keys))
    condition = MATRIX[table.name].rows
    if condition is not None:
        query = query.where(text(condition))
    rows = audit_rows.c
    for chunk in _chunks(stream(connection, query)):
        spelled = [str(key_of(table, row_values(table, dict(record._mapping)))) for record in chunk]
        given = rows.key == func.any(bindparam("keys", spelled, type_=ARRAY(Text)))
        held = set(connection.scalars(select(rows.key).where(rows.source == table.name, given)))
        yield from (key for key in spelled if key not in held)


def _chunks(records: Iterable[Any]) -> Iterator[list[Any]]:
    left = iter(records)
    while chunk := list(islice(left, _AT_ONCE)):
        yield chunk


def _short(key: str) -> str:
    from hashlib import sha256

    return sha256(key.encode()).hexdigest()[:12]
