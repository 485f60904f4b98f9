"""`python -m benchmarks.chaos.columns`: tampers with every column that the audit chain holds, one at a time.

Each table of the matrix (`resources.ledger.audit.coverage`) gets rows whose facts stand in the chain. Then each of its
columns is changed, emptied where it may be empty, and filled with what nobody can read; a row is taken out, and one put
in. Comparing the tables with the chain must find each, and nothing where nothing was done. `--without comparison`
leaves it out: the chain alone is whole all the while, so the suite must then fail.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Date,
    DateTime,
    Double,
    LargeBinary,
    Numeric,
    Text,
    Uuid,
    insert,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from benchmarks.chaos.verdicts import Seen, tell
from resources.ledger.audit.chain import append
from resources.ledger.audit.comparison import compare_table
from resources.ledger.audit.coverage import MATRIX
from resources.ledger.audit.facts import Fact, key_columns
from resources.ledger.audit.reading import check_chain
from resources.ledger.schema import metadata
from resources.ledger.tables.inbound import inbound_chained
from resources.ledger.tables.nights import NightColumn
from resources.ledger.tables.review import Content
from resources.postgres.databases import engine_of

CHANGED, EMPTIED, UNREADABLE, REMOVED, INSERTED = "changed", "emptied", "unreadable", "removed", "inserted"
HOW = (CHANGED, EMPTIED, UNREADABLE, REMOVED, INSERTED)
ROWS = 2


@dataclass(frozen=True)
class Act:
    """One act of tampering.

    Attributes:
        column: None where it is about a whole row.
        how: one of `HOW`.
        value: what the column is set to, as SQL.
        row: which of the table's rows, from 0.
    """

    table: str
    column: str | None
    how: str
    value: str = ""
    row: int = 0

    def __str__(self) -> str:
        return f"{self.table}.{self.column or '*'} {self.how}"


def fill(connection: Connection) -> None:
    """Rows in every table of the matrix, each in the chain; call it in a transaction that is never committed.

    Made-up rows obey no rule of the house: the rules are taken away first, as whoever owns the database can do as well.
    """
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    for name, rule in connection.execute(text(_RULES)).all():
        connection.execute(text(f'ALTER TABLE {name} DROP CONSTRAINT "{rule}"'))
    for name in MATRIX:
        table = metadata.tables[name]
        for column in table.columns:
            if column.identity is not None:
                connection.execute(text(f'ALTER TABLE {name} ALTER COLUMN "{column.name}" DROP IDENTITY'))
        made = [row_of(name, number) for number in range(1, ROWS + 1)]
        connection.execute(insert(table), made)
        facts = [Fact(name, {key: row[key] for key in key_columns(table)}) for row in made]
        append(connection, "made_up", "", facts)
    # which of the posted events must stand in the chain
    connection.execute(insert(inbound_chained), [{"event": 10 * number} for number in range(1, ROWS + 2)])


def row_of(name: str, number: int) -> dict[str, Any]:
    """A row of a table; another number is another row in every column that can tell two apart."""
    return {column.name: _value(column, number) for column in metadata.tables[name].columns}


def acts(name: str, random: Random) -> Iterator[Act]:
    """Every way of tampering with one table."""
    for column in metadata.tables[name].columns:
        if column.name not in MATRIX[name].columns:
            continue
        yield Act(name, column.name, CHANGED, _other(column), random.randrange(ROWS))
        if column.nullable:
            yield Act(name, column.name, EMPTIED, "NULL", random.randrange(ROWS))
        for value in _unreadable(column):
            yield Act(name, column.name, UNREADABLE, value, random.randrange(ROWS))
    yield Act(name, None, REMOVED, row=random.randrange(ROWS))
    yield Act(name, None, INSERTED)


def found(connection: Connection, act: Act, compare: bool = True) -> bool:
    """Whether an act is found by comparing its table with the chain, or by the chain alone; nothing of it is left."""
    saved = connection.begin_nested()
    try:
        _do(connection, act)
        if compare:
            return bool(compare_table(connection, metadata.tables[act.table]).findings)
        return not check_chain(connection, []).intact
    finally:
        saved.rollback()


def _do(connection: Connection, act: Act) -> None:
    here = f"ctid = (SELECT ctid FROM {act.table} ORDER BY ctid OFFSET {act.row} LIMIT 1)"
    if act.how == INSERTED:
        connection.execute(insert(metadata.tables[act.table]), [row_of(act.table, ROWS + 1)])
    elif act.how == REMOVED:
        connection.execute(text(f"DELETE FROM {act.table} WHERE {here}"))
    else:
        connection.execute(text(f'UPDATE {act.table} SET "{act.column}" = {act.value} WHERE {here}'))


_RULES = """
SELECT conrelid::regclass::text, conname FROM pg_constraint
WHERE contype IN ('c', 'f') AND connamespace = 'public'::regnamespace AND conrelid <> 0
  AND conrelid::regclass::text NOT LIKE 'audit_%'
"""


def _value(column: Column[Any], number: int) -> Any:
    kind = column.type
    if isinstance(kind, NightColumn):
        return f"2026-01-{number:02}"
    if isinstance(kind, DateTime):
        return datetime(2026, 1, number, tzinfo=UTC)
    if isinstance(kind, Boolean):
        return False
    if isinstance(kind, Uuid):
        return UUID(int=number)
    if isinstance(kind, JSONB | Content):
        return {"a": number}
    if isinstance(kind, LargeBinary):
        return bytes([number])
    if isinstance(kind, Text):
        return f"{column.name}-{number}"
    if isinstance(kind, Double):
        return number + 0.5
    # whole numbers and money, and lists of names
    return 10 * number if kind.python_type is not list else [f"{column.name}-{number}"]


def _other(column: Column[Any]) -> str:
    kind, name = column.type, f'"{column.name}"'
    if isinstance(kind, NightColumn):
        return f"CASE {name} WHEN '2027-01-01' THEN '2027-01-02' ELSE '2027-01-01' END"
    if isinstance(kind, DateTime):
        return f"{name} + interval '1 second'"
    if isinstance(kind, Boolean):
        return f"NOT {name}"
    if isinstance(kind, Uuid):
        return "gen_random_uuid()"
    if isinstance(kind, JSONB | Content):
        return "'{\"a\": 99}'"
    if isinstance(kind, LargeBinary):
        return "'\\x99'"
    return f"{name} || 'x'" if isinstance(kind, Text) else f"{name} + 1"


def _unreadable(column: Column[Any]) -> Sequence[str]:
    """What the database holds and Python cannot read."""
    if isinstance(column.type, Date | DateTime):
        return ("'200000-01-01'", "'infinity'")
    if isinstance(column.type, JSONB | Content):
        return ("(repeat('[', 5000) || repeat(']', 5000))::jsonb", "('1' || repeat('0', 9000))::jsonb")
    return ("'NaN'",) if isinstance(column.type, Numeric | Double) else ()


def main() -> int:
    from resources.ledger.migrate import upgrade
    from resources.postgres.embedded import EmbeddedServer

    given = _arguments()
    counted, missed = Counter[str](), list[str]()
    with tempfile.TemporaryDirectory(prefix="pipeline-chaos-") as name:
        server = EmbeddedServer(Path(name) / "postgres")
        try:
            server.start()
            upgrade(server.superuser_url)
            with engine_of(server.superuser_url).connect() as connection:
                fill(connection)
                untouched = [name for name in MATRIX if compare_table(connection, metadata.tables[name]).findings]
                for seed in range(given.seed, given.seed + given.times):
                    for act in (act for name in MATRIX for act in acts(name, Random(seed))):
                        counted[act.how] += 1
                        missed += [] if found(connection, act, given.without is None) else [str(act)]
                connection.rollback()
        finally:
            server.stop()
    columns = sum(len(kept.columns) for kept in MATRIX.values())
    print(f"## Columns, {columns} of {len(MATRIX)} tables x {given.times}, seeds from {given.seed}\n")
    print("| how | times |\n|---|---:|")
    for how in HOW:
        print(f"| {how} | {counted[how]:,} |")
    for each in missed[:20]:
        print(f"not found: {each}")
    for table in untouched:
        print(f"found where nothing was done: {table}")
    tried = counted.total()
    words = f"{tried - len(missed):,} of {tried:,} found, {columns} columns of {len(MATRIX)} tables"
    return tell(Seen(not missed and not untouched, words, tried, silent=len(missed)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos.columns", description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="of each act (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="the first seed (default: %(default)s)")
    parser.add_argument("--without", choices=["comparison"], help="take this protection out")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
