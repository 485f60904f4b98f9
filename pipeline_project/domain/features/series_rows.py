"""Rows of a series as numbers: strings of a source, or the workflow's own cases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType, Role
from pipeline_project.domain.features.history import thousandths
from pipeline_project.domain.features.series import SeriesRows
from pipeline_project.domain.features.table import floats, strings
from pipeline_project.domain.intake.parsing import parse


@dataclass(frozen=True)
class SeriesColumns:
    """Where a series finds what it needs.

    Attributes:
        key, at: columns of the rows.
        moment: what `at` holds, a time or a number.
        values: columns of numbers.
    """

    key: str
    at: str
    moment: FieldType
    values: tuple[str, ...]


@dataclass(frozen=True)
class MeasuredRows:
    """Rows of a series with their keys by name.

    Attributes:
        key: strings, None where there is none or it cannot be read.
        at: microseconds, or thousandths of a number; int64.
        values: float64 by column.
        unusable: rows without a key or a moment that could be read; they count for nobody.
    """

    key: np.ndarray
    at: np.ndarray
    values: dict[str, np.ndarray]
    unusable: int

    def coded(self, keys: np.ndarray) -> tuple[SeriesRows, np.ndarray]:
        """The rows, and the codes of the cases' keys: equal where the keys are, -1 for none."""
        together = pd.factorize(np.concatenate([self.key, keys]))[0].astype(np.int64)
        return SeriesRows(together[: len(self.key)], self.at, self.values), together[len(self.key) :]


def from_strings(rows: pa.Table, columns: SeriesColumns, schema: CaseSchema) -> MeasuredRows:
    """Rows as `ARRIVALS`: numbers and times are written as those of the workflow's cases.

    What cannot be read as a number is missing; a row whose key or moment cannot be read is left out and counted.
    """
    cells = [json.loads(raw) for raw in rows.column("raw").to_pylist()]

    def read(name: str, kind: FieldType, role: Role = Role.IGNORE) -> pd.Series:
        return parse([row.get(name) for row in cells], Field(name, kind, name, role), schema).values

    key = read(columns.key, FieldType.IDENTIFIER, Role.SUBJECT).astype(object)
    key_known = key.notna().to_numpy()
    moments = read(columns.at, columns.moment)
    usable = key_known & moments.notna().to_numpy() & rows.column("problem").is_null().to_numpy()
    if columns.moment == FieldType.TIME:
        at = moments.dt.as_unit("us").astype("int64").to_numpy()
    else:
        at = thousandths(moments.to_numpy(np.float64))
    values = {name: read(name, FieldType.NUMBER).to_numpy(np.float64)[usable] for name in columns.values}
    return MeasuredRows(key.to_numpy(object)[usable], at[usable], values, int((~usable).sum()))


def from_cases(cases: pa.Table, columns: SeriesColumns) -> MeasuredRows:
    """The workflow's own cases as rows; those without key or moment are left out."""
    at = moments_of(cases, columns.at, columns.moment)
    key = strings(cases.column(columns.key).cast(pa.string()))
    usable = ~cases.column(columns.at).is_null().to_numpy() & np.array([name is not None for name in key], dtype=bool)
    values = {name: floats(cases.column(name))[usable] for name in columns.values}
    return MeasuredRows(key[usable], at[usable], values, 0)


def moments_of(cases: pa.Table, name: str, moment: FieldType) -> np.ndarray:
    """A case's field as moments of a series, int64; 0 where it is missing."""
    column = cases.column(name)
    if moment == FieldType.TIME:
        return np.asarray(column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).fill_null(0).to_numpy())
    return thousandths(floats(column))


def keys_of(cases: pa.Table, name: str, at: str) -> np.ndarray:
    """Keys of cases as strings; None where the key or the case's moment is missing."""
    keys = strings(cases.column(name).cast(pa.string()))
    keys[cases.column(at).is_null().to_numpy()] = None
    return keys


def columns_read(series: Sequence[SeriesColumns]) -> list[str]:
    """Fields of own cases that these need."""
    return list(dict.fromkeys(name for one in series for name in (one.key, one.at, *one.values)))
