"""The cells of arrivals by column: Arrow reads the JSON of all rows at once, in a tenth of Python's time."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

#: Bytes of rows that are put together for Arrow, and that it reads at a time; more where one row alone is longer.
_PORTION, _BLOCK = 16 * 1024**2, 1024**2


class RawCells:
    """What stands in the rows of arrivals, as strings.

    Args:
        raw: as in `schema.ARRIVALS`.
        columns: those that are read together.
    """

    def __init__(self, raw: pa.ChunkedArray, columns: Collection[str]) -> None:
        self._raw = raw
        self._columns = _read_together(raw, list(dict.fromkeys(columns)))

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """The rows one by one; for what columns do not answer."""
        return [json.loads(raw) for raw in self._raw.to_pylist()]

    def column(self, name: str) -> Sequence[str | None] | pd.Series:
        """One cell per row, null where the row has none."""
        read = None if self._columns is None else self._columns.get(name)
        return [row.get(name) for row in self.rows] if read is None else read

    def names(self, wanted: Collection[str]) -> list[str]:
        """The columns that any row has, in the order in which they come; of those not wanted only as long as one of
        those wanted is in no row."""
        if self._columns is not None and all(self._columns[name].notna().any() for name in wanted):
            return list(wanted)
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def lacking(self, wanted: Collection[str], among: Sequence[int]) -> list[int]:
        """Of some rows those that do not have all of these columns, whatever stands in them."""
        if self._columns is not None:
            empty = pd.concat([self._columns[name].isna() for name in wanted], axis=1).any(axis=1).to_numpy(bool)
            among = [row for row in among if empty[row]]
        return [row for row in among if not self._row(row).keys() >= set(wanted)]

    def _row(self, row: int) -> dict[str, str]:
        return self.rows[row] if self._columns is None else json.loads(self._raw[row].as_py())


def _read_together(raw: pa.ChunkedArray, columns: list[str]) -> dict[str, pd.Series] | None:
    """Columns by name, or None where Arrow does not read these rows as Python does."""
    if not len(raw) or not columns:
        return None
    schema = pa.schema([pa.field(name, pa.large_string()) for name in columns])
    parts: list[pa.Table] = []
    for portion in _portions(raw):
        text = pc.binary_join(pa.ListArray.from_arrays([0, len(portion)], portion), "\n")[0].as_buffer()
        how = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        # Arrow does not put a row together again that lies in more than two blocks.
        longest = pc.max(pc.binary_length(portion)).as_py()
        blocks = pj.ReadOptions(use_threads=False, block_size=max(_BLOCK, longest + 1))
        try:
            part = pj.read_json(pa.BufferReader(text), read_options=blocks, parse_options=how)
        except pa.ArrowInvalid:
            return None
        if len(part) != len(portion):
            return None
        parts.append(part.select(columns))
    table = pa.concat_tables(parts)
    return {name: table.column(name).combine_chunks().to_pandas() for name in columns}


def _portions(raw: pa.ChunkedArray) -> Iterator[pa.Array]:
    for chunk in raw.chunks:
        size = pc.sum(pc.binary_length(chunk)).as_py() or 0
        rows = max(1, len(chunk) * _PORTION // max(size, 1))
        yield from (chunk.slice(first, rows) for first in range(0, len(chunk), rows))
