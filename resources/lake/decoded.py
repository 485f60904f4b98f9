"""Columns of the lake's files as they were read last: a night reads the same files again and again, and none changes.

What is kept are the columns as they lie in the files, personal values sealed. A file is known by its path, size and
time: one that was damaged or put back is read, and compared with its checksums, anew.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeAlias

import pyarrow as pa

#: A table's folder, a file in it with size and time, and a column.
Place: TypeAlias = tuple[str, str, int, int, pa.Field]

#: Bytes of columns that a process keeps.
MOST_BYTES = 256 * 2**20


class DecodedColumns:
    """What a process has read, the least recently used first; safe for many threads."""

    def __init__(self) -> None:
        self._columns: OrderedDict[Place, pa.ChunkedArray] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def find(self, places: Sequence[Place]) -> list[pa.ChunkedArray] | None:
        """The columns in that order; None unless all of them are kept."""
        with self._lock:
            if not all(place in self._columns for place in places):
                return None
            for place in places:
                self._columns.move_to_end(place)
            return [self._columns[place] for place in places]

    def keep(self, places: Sequence[Place], columns: Sequence[pa.ChunkedArray]) -> None:
        """Keeps columns, and lets go of those that were not asked for the longest."""
        with self._lock:
            for place, column in zip(places, columns, strict=True):
                self._let_go(place)
                self._columns[place] = column
                self._bytes += column.nbytes
            while self._bytes > MOST_BYTES and self._columns:
                self._let_go(next(iter(self._columns)))

    def begin_anew(self) -> None:
        self._columns.clear()
        self._bytes, self._lock = 0, threading.Lock()

    def _let_go(self, place: Place) -> None:
        column = self._columns.pop(place, None)
        if column is not None:
            self._bytes -= column.nbytes


DECODED = DecodedColumns()
# a child forked while somebody held the lock would wait for it for ever
os.register_at_fork(after_in_child=DECODED.begin_anew)
