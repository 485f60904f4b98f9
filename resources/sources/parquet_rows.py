"""Rows out of Parquet: every value as text, and one that Python cannot hold costs no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.intake.file_hints import DeclaredColumns
from resources.sources.lines import MAX_COLUMNS, Reading
from resources.sources.rows import SourceRow, as_string, bounded, inside, matched_names, unique_names

_BATCH_ROWS = 256
# What one value raises: out of range, no UTF-8, a time zone that there is not.
_NOT_HELD = (ArithmeticError, LookupError, TypeError, ValueError, pa.ArrowException)


def parquet_rows(
    path: Path, name: str, reading: Reading, declared: DeclaredColumns | None, most_bytes: int
) -> Iterator[SourceRow]:
    """The rows of a Parquet file, read in batches of a few hundred so that memory stays bounded; `line` counts rows.

    Raises:
        SourceUnreadable: it is no Parquet file, a truncated one, or unpacks to more than `most_bytes`.
    """
    wanted = tuple(declared.columns) if declared else ()
    number, read = 0, 0
    try:
        with pq.ParquetFile(path) as file:
            reading.lines = file.metadata.num_rows
            if len(file.schema_arrow.names) > MAX_COLUMNS:
                raise SourceUnreadable(f"{name}: has more than {MAX_COLUMNS:,} columns; deliver those that are needed")
            names = matched_names(unique_names(list(file.schema_arrow.names)), wanted, reading)
            reading.columns.update(dict.fromkeys(names))
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
                read += batch.nbytes
                if read > most_bytes:
                    raise SourceUnreadable(f"{name}: more than {most_bytes // 1024**3} GiB unpacked; split it")
                columns = [_values(column) for column in batch.columns]
                for values in zip(*columns, strict=True):
                    number += 1
                    whole = dict(zip(names, values, strict=True))
                    within = inside(whole, wanted)
                    reading.columns.update(dict.fromkeys(within))
                    cells = {column: as_string(value) for column, value in whole.items()}
                    yield bounded(SourceRow(number, cells, _unreadable(whole, wanted), within))
    except (pa.ArrowException, OSError) as error:
        raise SourceUnreadable(
            f"{name}: no whole Parquet file ({type(error).__name__}); it may be half-written or truncated. "
            "Deliver it again"
        ) from error


class _Bytes(str):
    """A text whose bytes are no UTF-8, those written out as \\xNN."""


def _unreadable(values: dict[str, Any], wanted: tuple[str, ...]) -> str | None:
    """What a declared column holds that is no text; in a column that nobody asked for it does not matter."""
    wrong = any(isinstance(values.get(column), _Bytes) for column in wanted)
    return "has bytes that are not UTF-8 in a text; write it as UTF-8" if wrong else None


def _values(column: pa.Array) -> list[Any]:
    """The values of a column; where Python cannot hold one of them, each by itself and that one as text."""
    try:
        return column.to_pylist()
    except _NOT_HELD:
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except _NOT_HELD:
        return _by_arrow(scalar)


def _by_arrow(scalar: pa.Scalar) -> Any:
    """A value that is no Python object, as text: by Arrow where it can, else the number that stands in the file."""
    kind = scalar.type
    if pa.types.is_dictionary(kind):
        return _value(scalar.value)
    if isinstance(scalar, pa.ListScalar) and scalar.values is not None:
        return [_value(element) for element in scalar.values]
    if isinstance(scalar, pa.StructScalar):
        return {field: _value(scalar[field]) for field in kind.names}
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _Bytes(scalar.as_buffer().to_pybytes().decode("utf-8", "backslashreplace"))
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        # The zone only says how to show it: the moment itself is UTC.
        shown = _value(pc.cast(scalar, pa.timestamp(kind.unit)))
        return shown if isinstance(shown, str) else f"{shown.isoformat()}Z"
    return f"{getattr(scalar, 'value', 'a value')} ({kind}), which is out of range"
