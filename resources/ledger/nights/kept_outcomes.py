"""The outcomes of a workflow as a process has read them: each is read from the database once.

A night asks seven times what was known at some moment, over all nights before it. Outcomes are only ever added, so what
was read stays true; how many there are says whether there is more to read.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from threading import RLock
from typing import Any, NamedTuple

import pandas as pd
from sqlalchemy import Connection, func, select

from resources.ledger.tables import nights as tables

#: Workflows that a process keeps, and outcomes of all of them together, some hundred bytes each: the workflow that was
#: asked longest ago goes first, and one that has more by itself is read each time.
MOST_WORKFLOWS, MOST_OUTCOMES = 16, 2_000_000

_COLUMNS = ["id", "case_id", "label", "known_at"]
_TYPES = {"id": "int64", "case_id": "str", "label": "str", "known_at": "datetime64[us, UTC]"}


class _Stamp(NamedTuple):
    """What tells one state of the table from every other: how many, the last, and when the newest was recorded."""

    number: int
    last: int | None
    recorded: datetime | None

    def with_more(self, more: _Stamp) -> _Stamp:
        if not more.number:
            return self
        recorded = [at for at in (self.recorded, more.recorded) if at is not None]
        return _Stamp(self.number + more.number, more.last, max(recorded))


_NONE = _Stamp(0, None, None)


class KeptOutcomes:
    """Those of all workflows of one process, by database."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._kept: OrderedDict[tuple[str, str], tuple[_Stamp, pd.DataFrame]] = OrderedDict()

    def standing(self, connection: Connection, workflow: str, as_of: datetime) -> pd.DataFrame:
        """The outcome of each case as it was known before `as_of`: case_id, label, known_at (UTC), by case.

        Of several the latest known_at wins, then the last recorded.
        """
        outcomes = self._all(connection, workflow)
        latest = outcomes[outcomes["known_at"] < as_of].drop_duplicates("case_id")
        return latest[_COLUMNS[1:]].reset_index(drop=True)

    def history(self, connection: Connection, workflow: str, before: datetime) -> pd.DataFrame:
        """Every outcome that became known before then: columns as `standing`, in the order in which they did."""
        outcomes = self._all(connection, workflow)
        past = outcomes[outcomes["known_at"] < before].sort_values(["known_at", "id"])
        return past[_COLUMNS[1:]].reset_index(drop=True)

    def _all(self, connection: Connection, workflow: str) -> pd.DataFrame:
        """All outcomes, by case, the one that counts first."""
        place = (connection.engine.url.render_as_string(hide_password=True), workflow)
        with self._lock:
            stamp, outcomes = self._kept.get(place, (_NONE, _frame([])))
            now, of_kept = _stamps(connection, workflow, stamp.last or 0)
            if now != stamp:
                if of_kept != stamp:
                    stamp, outcomes = _NONE, _frame([])
                new, more = _read(connection, workflow, stamp.last or 0)
                stamp, outcomes = stamp.with_more(new), _in_order(pd.concat([outcomes, more]))
            if stamp.number <= MOST_OUTCOMES:
                self._kept[place] = stamp, outcomes
                self._kept.move_to_end(place)
            while len(self._kept) > MOST_WORKFLOWS or sum(of.number for of, _ in self._kept.values()) > MOST_OUTCOMES:
                self._kept.popitem(last=False)
            return outcomes


#: Of this process.
KEPT = KeptOutcomes()


def _stamps(connection: Connection, workflow: str, last: int) -> tuple[_Stamp, _Stamp]:
    """Of all outcomes, and of those up to a number: a backup that was put back has others under the same numbers, and
    one that was recorded by a longer transaction has a number from before."""
    outcomes = tables.outcomes.c
    whole = (func.count(), func.max(outcomes.id), func.max(outcomes.recorded_at))
    before = tuple(of.filter(outcomes.id <= last) for of in whole)
    row = connection.execute(select(*whole, *before).where(outcomes.workflow == workflow)).one()
    return _Stamp(*row[:3]), _Stamp(*row[3:])


def _read(connection: Connection, workflow: str, after: int) -> tuple[_Stamp, pd.DataFrame]:
    """The outcomes with higher numbers."""
    outcomes = tables.outcomes.c
    query = select(*(outcomes[name] for name in _COLUMNS), outcomes.recorded_at)
    rows = connection.execute(query.where(outcomes.workflow == workflow, outcomes.id > after)).all()
    frame = _frame([tuple(row[:-1]) for row in rows])
    recorded = max((row.recorded_at for row in rows), default=None)
    return _Stamp(len(rows), max((row.id for row in rows), default=None), recorded), frame


def _frame(rows: list[Any]) -> pd.DataFrame:
    return pd.DataFrame.from_records(rows, columns=_COLUMNS).astype(_TYPES)


def _in_order(outcomes: pd.DataFrame) -> pd.DataFrame:
    return outcomes.sort_values(["case_id", "known_at", "id"], ascending=[True, False, False], ignore_index=True)
