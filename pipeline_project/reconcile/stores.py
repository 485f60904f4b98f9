"""Reading the lake and the ledger, and nothing else: Delta tables by pyarrow, rows by plain SQL in one snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from sqlalchemy import Connection, NullPool, create_engine, text

from pipeline_project.reconcile.scope import Span

Row: TypeAlias = Mapping[str, Any]
Rows: TypeAlias = list[Row]

_SPAN = "workflow = :w AND (CAST(:a AS text) IS NULL OR night >= :a) AND (CAST(:b AS text) IS NULL OR night <= :b)"
_OF_TASKS = f"WHERE task_id IN (SELECT id FROM review_tasks WHERE {_SPAN})"

#: The ledger of one workflow and a span of nights. Nothing here asks for a table by way of the project's own
#: definitions of them.
LEDGER: Mapping[str, str] = {
    "attempts": f"SELECT night::text, decided_at IS NOT NULL AS decided FROM attempts WHERE {_SPAN}",
    "decisions": f"SELECT night::text, case_id, epoch, option, made_by, spec_hash, amount FROM decisions WHERE {_SPAN}",
    "specs": "SELECT spec_hash, spec->'options' AS options, spec->'actions' AS actions, spec->'fields' AS fields "
    "FROM workflow_versions WHERE workflow = :w",
    "tasks": f"SELECT id, night::text, case_id, epoch, kind, state FROM review_tasks WHERE {_SPAN}",
    "answers": f"SELECT task_id, case_id, decided_epoch, option, person FROM review_answers {_OF_TASKS}",
    "members": f"SELECT task_id, case_id FROM cluster_members {_OF_TASKS}",
    "actions": "SELECT id, night::text, case_id, epoch, kind, destination, key::text, payload, money::float8 AS money, "
    f"live, undoes::text, state, uncertain, attempts FROM actions WHERE {_SPAN}",
    "events": "SELECT action_id, event FROM action_events WHERE event IN ('done', 'happened', 'rehearsed') "
    f"AND action_id IN (SELECT id FROM actions WHERE {_SPAN})",
    "releases": f"SELECT night::text FROM releases WHERE {_SPAN}",
    "posted": f"SELECT night::text, sum(rows)::bigint AS rows FROM inbound_events WHERE {_SPAN} "
    "AND kind = 'arrival' GROUP BY night",
}


@contextmanager
def snapshot(url: str) -> Iterator[Connection]:
    """A connection that can only read, and sees one moment however long it is used."""
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    with engine.connect() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        yield connection
        connection.rollback()


def ledger_of(connection: Connection, workflow: str, span: Span) -> dict[str, Rows]:
    """Everything that is compared, by the names of `LEDGER`."""
    bounds = {"w": workflow, "a": span.first, "b": span.last}
    return {
        name: [dict(row._mapping) for row in connection.execute(text(query), bounds)] for name, query in LEDGER.items()
    }


def keys_of_all(connection: Connection) -> set[str]:
    """The keys of every action there is, of whatever workflow."""
    return set(connection.scalars(text("SELECT key::text FROM actions")))


def lake_rows(
    lake_url: str, workflow: str, asset_name: str, columns: Sequence[str], span: Span
) -> tuple[Rows, set[str]]:
    """Rows of one lake table in a span of nights, and the nights that were written, empty ones included.

    Raises:
        Exception: of deltalake or pyarrow, where the table cannot be read.
    """
    from deltalake import DeltaTable

    uri = f"{lake_url.rstrip('/')}/{workflow}/{asset_name}"
    if not DeltaTable.is_deltatable(uri):
        return [], set()
    import pyarrow.compute as pc

    table = DeltaTable(uri)
    first, last = span.first or "0000-00-00", span.last or "9999-99-99"
    asked = (pc.field("night") >= first) & (pc.field("night") <= last)
    rows: Rows = table.to_pyarrow_dataset().to_table(columns=list(columns), filter=asked).to_pylist()
    return rows, {part["night"] for part in table.partitions() if part["night"] in span}
