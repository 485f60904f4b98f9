"""What Dagster's log tells of steps that ended long ago. What a night's state hangs on stays: runs, materializations,
observations and failures, and the last word of each check."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dagster import DagsterEventType
from sqlalchemy import Connection, NullPool, TextClause, bindparam, create_engine, make_url, text

from resources.dagster_storage.event_log import PLAIN
from resources.postgres.databases import begun, connect_args, engine_of

_AT_ONCE = 20_000
#: Of runs that went through: that a table was to be made says nothing once it was.
_OF_SUCCESS = DagsterEventType.ASSET_MATERIALIZATION_PLANNED
_TYPES = sorted({kind.value for kind in PLAIN} - {_OF_SUCCESS.value})
_ENDED = (
    "SELECT run_id, status FROM runs WHERE status IN ('SUCCESS', 'FAILURE', 'CANCELED') "
    "AND coalesce(end_time, extract(epoch FROM update_timestamp)) < :before"
)
_EVENTS = f"""
FROM event_logs AS told JOIN ({_ENDED}) AS ended USING (run_id)
WHERE told.dagster_event_type IS NULL OR told.dagster_event_type IN :types
  OR (told.dagster_event_type = '{_OF_SUCCESS.value}' AND ended.status = 'SUCCESS')
"""
_CHECKS = f"""
FROM asset_check_executions AS told JOIN ({_ENDED}) AS ended USING (run_id)
WHERE EXISTS (SELECT FROM asset_check_executions AS later WHERE later.asset_key = told.asset_key
  AND later.check_name = told.check_name AND later.id > told.id)
"""
_TABLES = {"event_logs": (_EVENTS, "event"), "asset_check_executions": (_CHECKS, "evaluation_event")}


@dataclass(frozen=True)
class OldRows:
    """How many rows of a table, and the bytes of what they hold."""

    table: str
    rows: int
    size: int


def old_rows(url: str, before: datetime) -> list[OldRows]:
    """What `remove_old_rows` would take away."""
    with begun(engine_of(url)) as connection:
        return [OldRows(table, *_counted(connection, table, before)) for table in _TABLES if _there(connection, table)]


def remove_old_rows(url: str, before: datetime) -> list[OldRows]:
    """Takes away what is told of runs that ended before a moment; thousands at a time, beside whatever is running."""
    removed = []
    for old in old_rows(url, before):
        if old.rows:
            _remove(url, old.table, before)
            removed.append(old)
    if removed:
        _vacuum(url, [old.table for old in removed])
    return removed


def ended_runs(url: str, before: datetime) -> set[str]:
    """The runs that ended before a moment."""
    with begun(engine_of(url)) as connection:
        if not _there(connection, "runs"):
            return set()
        return {str(row.run_id) for row in connection.execute(text(_ENDED), {"before": before.timestamp()})}


def _counted(connection: Connection, table: str, before: datetime) -> tuple[int, int]:
    chosen, column = _TABLES[table]
    row = connection.execute(
        _statement(f"SELECT count(*), coalesce(sum(octet_length(told.{column})), 0) {chosen}"), _given(before)
    ).one()
    return int(row[0]), int(row[1])


def _remove(url: str, table: str, before: datetime) -> None:
    chosen, _ = _TABLES[table]
    delete = _statement(f"DELETE FROM {table} WHERE id IN (SELECT told.id {chosen} LIMIT {_AT_ONCE})")
    while True:
        with begun(engine_of(url)) as connection:
            if not connection.execute(delete, _given(before)).rowcount:
                return


def _vacuum(url: str, tables: list[str]) -> None:
    """The room is used again by what comes; the files of the tables stay as large as they were."""
    engine = create_engine(
        url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=connect_args(make_url(url)),
        hide_parameters=True,
    )  # fmt: skip
    with engine.connect() as connection:
        for table in tables:
            connection.execute(text(f"VACUUM (ANALYZE) {table}"))


def _there(connection: Connection, table: str) -> bool:
    return connection.scalar(text("SELECT to_regclass(:table)"), {"table": table}) is not None


def _given(before: datetime) -> dict[str, object]:
    return {"before": before.timestamp(), "types": _TYPES}


def _statement(sql: str) -> TextClause:
    return text(sql).bindparams(bindparam("types", expanding=True)) if ":types" in sql else text(sql)
