"""Arrivals read as their declared types, row by row, with a reason for everything that could not be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.schema import CASE_ID, CONTENT, CaseSchema, Field, Role
from pipeline_project.domain.intake.contents import contents
from pipeline_project.domain.intake.file_hints import column_advice
from pipeline_project.domain.intake.parsing import case_ids, id_columns, parse
from pipeline_project.domain.intake.raw_cells import RawCells

#: Columns of the frame beside the fields; two underscores, so that no reader takes them for a field.
WHOLE = "row__whole"
ID_USABLE = "case_id__usable"

#: Row -> (field or None, why) for all that speaks against it.
Reasons = dict[int, list[tuple[str | None, str]]]


def readable_column(name: str) -> str:
    """The bool column of the frame that says whether a field's value could be read."""
    return f"{name}__readable"


@dataclass(frozen=True)
class TypedRows:
    """Arrivals read as their declared types, row by row.

    Attributes:
        frame: one row per arrival in the same order: case_id, row_sha256, content_sha256, file, line, `row__whole`,
            `case_id__usable`, and every declared field with `<field>__readable`. A field whose column is in no row
            at all is left out, so that the contract sees it missing.
        missing: field -> what to do, for the fields that were left out.
        reasons: row -> (field or None, why) for all that could not be read.
        notes: what was assumed, with counts.
    """

    schema: CaseSchema
    arrivals: pa.Table
    frame: pd.DataFrame
    missing: dict[str, str]
    reasons: Reasons
    notes: tuple[str, ...]


def read_rows(arrivals: pa.Table, schema: CaseSchema) -> TypedRows:
    """Reads every arrival as its declared types; what cannot be read becomes null and gets a reason.

    Args:
        arrivals: as `schema.ARRIVALS`.
    """
    wanted = [*id_columns(schema), *(column for declared in schema.fields for column in declared.columns)]
    cells = RawCells(arrivals.column("raw"), wanted)
    problems: list[str | None] = arrivals.column("problem").to_pylist()
    reasons: Reasons = {row: [(None, problem)] for row, problem in enumerate(problems) if problem}
    whole = np.array([problem is None for problem in problems], dtype=bool)
    missing = _missing_columns(schema, cells) if whole.any() else {}
    ids = case_ids([cells.column(name) for name in id_columns(schema)], schema)
    _add(reasons, Role.ID.value, ids.unreadable, whole)
    columns: dict[str, object] = {
        CASE_ID: ids.values,
        **{name: arrivals.column(name).to_pandas() for name in ("row_sha256", "file", "line")},
        WHOLE: whole,
        ID_USABLE: _without(ids.unreadable, len(arrivals)),
    }
    notes: list[str] = []
    for declared in schema.fields:
        parsed = parse(_cells_of(declared, cells, schema), declared, schema)
        notes += parsed.notes
        _add(reasons, declared.name, parsed.unreadable, whole)
        if declared.required and declared.role != Role.ID:
            absent = np.flatnonzero(parsed.absent & whole).tolist()
            lost = cells.lacking(declared.columns, absent)
            _add(reasons, declared.name, dict.fromkeys(lost, f"{declared.name}: its file has no such column"), whole)
        if declared.name not in missing:
            columns[declared.name] = parsed.values
            columns[readable_column(declared.name)] = _without(parsed.unreadable, len(arrivals))
        else:
            notes.append(missing[declared.name])
    series = {name: values for name, values in columns.items() if isinstance(values, pd.Series)}
    frame = pd.DataFrame(columns).assign(**{CONTENT: pd.Series(contents(series, schema, len(arrivals)), dtype="str")})
    return TypedRows(schema, arrivals, frame, missing, reasons, tuple(notes))


def _cells_of(declared: Field, cells: RawCells, schema: CaseSchema) -> Sequence[str | None] | pd.Series:
    if declared.parts:
        return [declared.cell(row, schema.missing) for row in cells.rows]
    return cells.column(declared.column)


def _missing_columns(schema: CaseSchema, cells: RawCells) -> dict[str, str]:
    """Field -> advice, for fields whose column no row has."""
    names = cells.names([column for declared in schema.fields for column in declared.columns])
    missing: dict[str, str] = {}
    for declared in schema.fields:
        column = next((column for column in declared.columns if column not in names), None)
        if column is None:
            continue
        key = "parts" if declared.parts else "column"
        missing[declared.name] = f"{declared.name}: {column_advice(column, names, key)}"
    return missing


def _add(reasons: Reasons, name: str, why: dict[int, str], whole: np.ndarray) -> None:
    for row, reason in why.items():
        # Cells of a line that was not split well stand in the wrong columns: what they say there means nothing.
        if whole[row] and not any(earlier == reason for _, earlier in reasons.get(row, [])):
            reasons.setdefault(row, []).append((name, reason))


def _without(rows: dict[int, str], count: int) -> np.ndarray:
    fine = np.ones(count, dtype=bool)
    fine[list(rows)] = False
    return fine
