"""When each night of an asset was last made, and from what: each event of Dagster's log is read once a process.

A sensor asks this of every night at every tick. Which event is a night's last one is one statement without their
contents; what an event says never changes, so only those that are new are fetched.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast
from weakref import WeakKeyDictionary

from dagster import AssetKey, AssetRecordsFilter, DagsterEventType, DagsterInstance, EventLogRecord

from pipeline_project.domain.intake.due_nights import LANDED, LATE, LATE_AT

_PAGE = 1000
#: Assets of which is kept what was read, those asked for longest ago go first.
_MOST_ASSETS = 4000


@dataclass(frozen=True, slots=True)
class LastMade:
    """What the latest materialization of an asset says of a night.

    Attributes:
        number: of the event in Dagster's log; a later event has a higher one.
        at: seconds since 1970.
        landed: fingerprint of what was taken in; None where the asset takes in nothing.
        late_at: when something that had landed late was last taken in, in seconds since 1970.
    """

    number: int
    at: float
    landed: str | None
    late_at: float | None


@dataclass(slots=True)
class _Read:
    by_night: dict[str, LastMade] = field(default_factory=dict)
    newest: LastMade | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


_READ: OrderedDict[tuple[str, AssetKey], _Read] = OrderedDict()
_READ_LOCK = threading.Lock()
_DATABASES: WeakKeyDictionary[DagsterInstance, str] = WeakKeyDictionary()


def last_made(instance: DagsterInstance, key: AssetKey, nights: Iterable[str]) -> dict[str, LastMade]:
    """The latest materialization of an asset on each of these nights that has one, by night."""
    wanted = set(nights)
    if not wanted:
        return {}
    read = _read_so_far(instance, key)
    with read.lock:
        numbers = instance.get_latest_storage_id_by_partition(key, DagsterEventType.ASSET_MATERIALIZATION, wanted)
        unread = [number for night, number in numbers.items() if not _holds(read, night, number)]
        if not _take_in(instance, key, read, unread):
            # events were removed, or the database is at another point: the same number may be another event
            read.by_night, read.newest = {}, None
            _take_in(instance, key, read, list(numbers.values()))
        # an event that was removed between the two statements is no longer anybody's last one
        return {night: read.by_night[night] for night, number in numbers.items() if _holds(read, night, number)}


def _read_so_far(instance: DagsterInstance, key: AssetKey) -> _Read:
    database = _DATABASES.get(instance)
    if database is None:
        # what every storage of Dagster's has that is a database, though the type of all storages does not say so
        database = _DATABASES[instance] = str(cast("Any", instance.run_storage).get_run_storage_id())
    with _READ_LOCK:
        read = _READ.setdefault((database, key), _Read())
        _READ.move_to_end((database, key))
        while len(_READ) > _MOST_ASSETS:
            _READ.popitem(last=False)
    return read


def _holds(read: _Read, night: str, number: int) -> bool:
    made = read.by_night.get(night)
    return made is not None and made.number == number


def _take_in(instance: DagsterInstance, key: AssetKey, read: _Read, unread: list[int]) -> bool:
    """Reads these events; False where the newest of those read before is no longer the same."""
    newest_read = read.newest
    asked = [*unread, *([] if newest_read is None or newest_read.number in unread else [newest_read.number])]
    for start in range(0, len(asked), _PAGE):
        page = asked[start : start + _PAGE]
        for record in instance.fetch_materializations(AssetRecordsFilter(key, storage_ids=page), limit=_PAGE).records:
            made = _of(record)
            if read.newest is None or made.number > read.newest.number:
                read.newest = made
            if made == newest_read:
                newest_read = None
            else:
                read.by_night[str(record.partition_key)] = made
    return newest_read is None


def _of(record: EventLogRecord) -> LastMade:
    entries = record.asset_materialization.metadata if record.asset_materialization else {}
    metadata = {name: entries[name].value for name in (LANDED, LATE, LATE_AT) if name in entries}
    landed = metadata.get(LANDED)
    late_at = record.timestamp if metadata.get(LATE) else metadata.get(LATE_AT)
    return LastMade(
        number=record.storage_id,
        at=record.timestamp,
        landed=None if landed is None else str(landed),
        late_at=None if late_at is None else float(str(late_at)),
    )
