"""Rows that came more than once: how many were dropped, and how many of them tell another truth than the row kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.core.schema import NIGHT
from pipeline_project.domain.intake.contents import hits

_ROW = "row_sha256"


@dataclass(frozen=True)
class OutcomeCell:
    """Where the truth stands in a row: the hash of a row leaves it out.

    Attributes:
        column: of the source.
        values: value in the column -> label.
        missing: texts that mean no value.
    """

    column: str
    values: Mapping[str, str]
    missing: frozenset[str]

    def label(self, raw: str) -> str | None:
        """The label that a row tells, None where it tells none yet."""
        value = json.loads(raw).get(self.column)
        text = value.strip() if isinstance(value, str) else ""
        return None if not text or text in self.missing else self.values.get(text, text)


def repeated(arrivals: pa.Table) -> pa.Table:
    """The rows whose very content came more than once.

    Args:
        arrivals: night and row_sha256 at least, as `schema.ARRIVALS`.
    """
    counts = arrivals.group_by(_ROW).aggregate([(_ROW, "count")])
    again = counts.filter(pc.greater(counts[f"{_ROW}_count"], 1))
    return hits(arrivals, _ROW, again[_ROW].to_pylist())


def contradicting(rows: pa.Table, cell: OutcomeCell) -> int:
    """How many of the repeats tell another outcome than the first row with their content that tells one.

    Args:
        rows: as `repeated`, with raw.
    """
    first: dict[str, str] = {}
    count = 0
    ordered = rows.take(pc.sort_indices(rows, sort_keys=[(NIGHT, "ascending")]))
    for row, raw in _pairs(ordered):
        label = cell.label(raw)
        if label is not None:
            count += first.setdefault(row, label) != label
    return count


def _pairs(rows: pa.Table) -> Iterable[tuple[str, str]]:
    return zip(rows[_ROW].to_pylist(), rows["raw"].to_pylist(), strict=True)
