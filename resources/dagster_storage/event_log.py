"""Dagster's event log, written in batches.

A run of a night has some three hundred events. Dagster sends each by itself, tells a channel to which nobody listens
any more, and asks the catalogue of the database each time whether a table is there. Here what only tells of a run
waits for what others act upon, a second at most, and all of it is written in one transaction.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from dagster import AssetKey, DagsterEventType
from sqlalchemy.dialects import postgresql

from pipeline_project.dagster_internals.event_log import (
    ASSET_EVENTS,
    ASSET_KEY_INDEX_COLS,
    AssetCheckExecutionRecordStatus,
    AssetCheckExecutionsTable,
    AssetKeyTable,
    EventLogEntry,
    SqlEventLogStorageTable,
)
from resources.dagster_storage.pools import RaceFreePools
from resources.metering import METER

#: An event is written after this many seconds at the latest, and with so many others at most.
WAITS_SECONDS, MOST = 1.0, 500
#: What only tells how a step went on. Everything else is written at once: others act upon it.
PLAIN = frozenset(
    {
        DagsterEventType.STEP_OUTPUT,
        DagsterEventType.STEP_INPUT,
        DagsterEventType.STEP_START,
        DagsterEventType.STEP_SUCCESS,
        DagsterEventType.LOADED_INPUT,
        DagsterEventType.HANDLED_OUTPUT,
        DagsterEventType.LOGS_CAPTURED,
        DagsterEventType.ENGINE_EVENT,
        DagsterEventType.RESOURCE_INIT_STARTED,
        DagsterEventType.RESOURCE_INIT_SUCCESS,
        DagsterEventType.ASSET_CHECK_EVALUATION,
        DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
        DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    }
)

ENDS = frozenset({DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_CANCELED})
#: What is asked of an asset that stays the same when it is made again.
_DETAILS = "details"

#: An event with its number in the log.
Stored = tuple[EventLogEntry, int]


class BatchedEventLog(RaceFreePools):
    """As `PostgresEventLogStorage`, row for row; whatever is read through it has seen what was stored through it."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self._held: list[EventLogEntry] = []
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._there: set[str] = set()
        self._mine = threading.local()
        self._running: set[str] = set()
        self._planned: set[AssetKey] = set()
        self._known: dict[tuple[Any, ...], Any] = {}
        super().__init__(*given, **named)
        atexit.register(_flush, weakref.ref(self))
        _LOGS.add(self)

    def store_event(self, event: EventLogEntry) -> None:
        """Keeps a plain event for the next batch; writes any other, with what is kept."""
        _measure(event)
        self._store([event], wait=_type(event) is None or _type(event) in PLAIN)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Writes them, with what is kept."""
        self._store([*events], wait=False)

    def flush(self) -> None:
        """Writes what is kept."""
        self._store([], wait=False)

    def dispose(self) -> None:
        self.flush()
        super().dispose()

    def forked(self) -> None:
        """What the parent keeps the parent writes."""
        self._held, self._lock, self._timer = [], threading.RLock(), None

    # -- what is asked again and again -------------------------------------------------------------------------

    def has_table(self, table_name: str) -> bool:
        """A table that was there once is there."""
        if table_name not in self._there and super().has_table(table_name):
            self._there.add(table_name)
        return table_name in self._there

    def _has_asset_key_col_on_connection(self, conn: sa.Connection, column_name: str) -> bool:
        name = f"{AssetKeyTable.name}.{column_name}"
        if name not in self._there and super()._has_asset_key_col_on_connection(conn, column_name):
            self._there.add(name)
        return name in self._there

    def has_asset_key_col(self, column_name: str) -> bool:
        return f"{AssetKeyTable.name}.{column_name}" in self._there or super().has_asset_key_col(column_name)

    def fetch_materializations(
        self, records_filter: Any, limit: int, cursor: Any = None, ascending: bool = False
    ) -> Any:
        asset_key = records_filter if isinstance(records_filter, AssetKey) else records_filter.asset_key
        asked = ("materializations", asset_key, repr(records_filter), limit, cursor, ascending)
        return self._remembered(
            asked, partial(super().fetch_materializations, records_filter, limit, cursor, ascending)
        )

    def get_latest_tags_by_partition(self, asset_key: AssetKey, *given: Any, **named: Any) -> Any:
        asked = ("tags", asset_key, repr(given), repr(named))
        return self._remembered(asked, partial(super().get_latest_tags_by_partition, asset_key, *given, **named))

    def get_asset_records(self, asset_keys: Any = None) -> Any:
        with self._of_assets_alone():
            return super().get_asset_records(asset_keys)

    def _get_assets_details(self, asset_keys: Sequence[AssetKey]) -> Any:
        """When assets were wiped; within a run asked once, for all that the run is to make."""
        if not self._running:
            return super()._get_assets_details(asset_keys)
        if any((_DETAILS, key) not in self._known for key in asset_keys):
            wanted = [*dict.fromkeys([*asset_keys, *self._planned])]
            details = zip(wanted, super()._get_assets_details(wanted), strict=True)
            self._known.update({(_DETAILS, key): of_asset for key, of_asset in details})
        return [self._known[(_DETAILS, key)] for key in asset_keys]

    def wipe_asset(self, asset_key: AssetKey) -> None:
        self._known.clear()
        super().wipe_asset(asset_key)

    def _remembered(self, asked: tuple[Any, ...], ask: Callable[[], Any]) -> Any:
        """The answer about an asset; while a run is under way here, once until the asset is made again.

        Dagster asks for the last materialization of an asset with each of its checks, and for the data versions of
        what an asset is made of with each asset. The run itself is who makes them.
        """
        if asked in self._known:
            return self._known[asked]
        with self._of_assets_alone():
            answer = ask()
        if self._running:
            self._known[asked] = answer
        return answer

    @contextmanager
    def _of_assets_alone(self) -> Iterator[None]:
        """Within, nothing is asked that a kept event could change."""
        before = getattr(self._mine, "unasked", False)
        self._mine.unasked = True
        try:
            yield
        finally:
            self._mine.unasked = before

    def _forget(self, events: Sequence[EventLogEntry]) -> None:
        """Lets go of what these events may have changed."""
        for event in events:
            if _type(event) == DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
                self._planned.update(filter(None, [event.get_dagster_event().asset_key]))
            elif _type(event) == DagsterEventType.RUN_START:
                self._running.add(event.run_id)
            elif event.is_dagster_event and event.get_dagster_event().is_job_event:
                self._running.discard(event.run_id)
                if _type(event) in ENDS:
                    self._planned.clear()
        changed = {event.get_dagster_event().asset_key for event in events if _type(event) in ASSET_EVENTS}
        for asked in [*self._known]:
            if not self._running or (asked[1] in changed and asked[0] != _DETAILS):
                self._known.pop(asked, None)

    # -- writing -----------------------------------------------------------------------------------------------

    def _store(self, events: list[EventLogEntry], wait: bool) -> None:
        with self._lock:
            if wait and len(self._held) < MOST:
                self._held += events
                self._flush_later()
                return
            kept, self._held = self._held, []
            if not kept and not events:
                return
            try:
                self._write([*kept, *events])
            except BaseException:
                # whoever gave `events` hears of it; of the others nobody would
                self._held = kept
                raise

    def _write(self, events: Sequence[EventLogEntry]) -> None:
        with self._one_transaction() as connection:
            inserted = self.prepare_insert_event_batch(events).returning(SqlEventLogStorageTable.c.id)
            numbers = [int(number) for number in connection.execute(inserted).scalars()]
            stored = list(zip(events, numbers, strict=True))
            self._store_assets(connection, [one for one in stored if _type(one[0]) in ASSET_EVENTS and _of_asset(one)])
            planned = [one for one in stored if _type(one[0]) == DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED]
            self._store_planned_checks(connection, planned)
            evaluated = [one for one in stored if _type(one[0]) == DagsterEventType.ASSET_CHECK_EVALUATION]
            self._store_evaluations(connection, evaluated)
        self._forget(events)

    def _store_assets(self, connection: sa.Connection, stored: Sequence[Stored]) -> None:
        """What the table of assets says of their last events, and the tags of these."""
        self._store_asset_event_tags(connection, [event for event, _ in stored], [number for _, number in stored])
        indexed = bool(stored) and self.has_secondary_index(ASSET_KEY_INDEX_COLS)
        rows = [
            {"asset_key": _of_asset((event, number)), **self._get_asset_entry_values(event, number, indexed)}
            for event, number in stored
        ]
        for columns, alike in groupby(rows, key=tuple):
            # of one asset the last event counts; a statement may not change a row twice
            last = {row["asset_key"]: row for row in alike}
            upsert = postgresql.insert(AssetKeyTable).values(list(last.values()))
            changed = {name: upsert.excluded[name] for name in columns if name != "asset_key"}
            connection.execute(
                upsert.on_conflict_do_update(index_elements=[AssetKeyTable.c.asset_key], set_=changed)
                if changed
                else upsert.on_conflict_do_nothing()
            )

    def _store_planned_checks(self, connection: sa.Connection, stored: Sequence[Stored]) -> None:
        rows = []
        for event, number in stored:
            planned = _data(event)
            nights = planned.partitions_subset.get_partition_keys() if planned.partitions_subset else [None]
            rows += [
                {
                    "asset_key": planned.asset_key.to_string(),
                    "check_name": planned.check_name,
                    "partition": night,
                    "run_id": event.run_id,
                    "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
                    **self._evaluation(event, number),
                }
                for night in nights
            ]
        if rows:
            connection.execute(AssetCheckExecutionsTable.insert().values(rows))

    def _store_evaluations(self, connection: sa.Connection, stored: Sequence[Stored]) -> None:
        """Each becomes the row that was planned for it in its run, or one of its own where none was."""
        last: dict[tuple[Any, ...], Mapping[str, Any]] = {}
        for event, number in stored:
            row = self._evaluated(event, number)
            if not event.run_id:
                connection.execute(AssetCheckExecutionsTable.insert().values(**row))
            else:
                last[tuple(row[name] for name in _PLACE)] = row
        if not last:
            return
        updated = {tuple(place) for place in connection.execute(_updates([*last.values()]))}
        if unplanned := [row for place, row in last.items() if place not in updated]:
            connection.execute(AssetCheckExecutionsTable.insert().values(unplanned))

    def _evaluated(self, event: EventLogEntry, number: int) -> Mapping[str, Any]:
        check = _data(event)
        status = AssetCheckExecutionRecordStatus.SUCCEEDED if check.passed else AssetCheckExecutionRecordStatus.FAILED
        target = check.target_materialization_data
        return {
            "asset_key": check.asset_key.to_string(),
            "check_name": check.check_name,
            "partition": check.partition,
            "run_id": event.run_id,
            "execution_status": status.value,
            "materialization_event_storage_id": target.storage_id if target else None,
            **self._evaluation(event, number),
        }

    def _evaluation(self, event: EventLogEntry, number: int) -> Mapping[str, Any]:
        row = self._event_to_row(event)
        return {
            "evaluation_event": row["event"],
            "evaluation_event_timestamp": row["timestamp"],
            "evaluation_event_storage_id": number,
        }

    @contextmanager
    def _one_transaction(self) -> Iterator[sa.Connection]:
        """Whatever asks for a connection within gets this one."""
        with super()._connect() as connection:
            connection = connection.execution_options(isolation_level="READ COMMITTED")
            self._mine.connection = connection
            try:
                with connection.begin():
                    yield connection
            finally:
                self._mine.connection = None

    def _connect(self) -> AbstractContextManager[sa.Connection]:
        if (connection := getattr(self._mine, "connection", None)) is not None:
            return nullcontext(connection)
        if not getattr(self._mine, "unasked", False):
            self.flush()
        return super()._connect()

    def _flush_later(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(WAITS_SECONDS, self._flush_in_time)
            self._timer.daemon = True
            self._timer.start()

    def _flush_in_time(self) -> None:
        with self._lock:
            self._timer = None
            self.flush()


_PLACE = ("asset_key", "check_name", "partition", "run_id")
_CHANGED = (
    "execution_status",
    "evaluation_event",
    "evaluation_event_timestamp",
    "evaluation_event_storage_id",
    "materialization_event_storage_id",
)


def _updates(rows: Sequence[Mapping[str, Any]]) -> Any:
    """One statement for all of them; it gives the places of the rows that it found."""
    table = AssetCheckExecutionsTable
    names = [*_PLACE, *_CHANGED]
    values = sa.values(*(sa.column(name, sa.Text) for name in names), name="evaluated")
    given = values.data([tuple(row[name] for name in names) for row in rows])

    def of(name: str) -> Any:
        # what is not text has to be said: a list of values has the types of its words
        return sa.cast(given.c[name], table.c[name].type)

    return (
        table.update()
        .where(*(table.c[name].is_not_distinct_from(of(name)) for name in _PLACE))
        .values({name: of(name) for name in _CHANGED})
        .returning(*(table.c[name] for name in _PLACE))
    )


def _type(event: EventLogEntry) -> DagsterEventType | None:
    return event.dagster_event_type if event.is_dagster_event else None


def _measure(event: EventLogEntry) -> None:
    """Lets the process's meter know where a step begins and ends: where it is carried out, its events are stored."""
    kind = _type(event)
    if kind is not None and event.step_key is not None:
        METER.observe(kind, event.run_id, event.step_key)


def _data(event: EventLogEntry) -> Any:
    return event.get_dagster_event().event_specific_data


def _of_asset(stored: Stored) -> str | None:
    asset_key = stored[0].get_dagster_event().asset_key
    return asset_key.to_string() if asset_key else None


def _forked() -> None:
    for log in [*_LOGS]:
        log.forked()


_LOGS: weakref.WeakSet[BatchedEventLog] = weakref.WeakSet()
os.register_at_fork(after_in_child=_forked)


def _flush(log: weakref.ReferenceType[BatchedEventLog]) -> None:
    if (alive := log()) is not None:
        alive.flush()
