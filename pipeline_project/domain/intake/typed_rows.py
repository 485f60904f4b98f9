"""Arrivals read as their declared types, row by row, with a reason for everything that could not be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.schema import CASE_ID, CONTENT, CaseSchema, Field, Role
from pipeline_project.domain.intake.contents import contents
from pipeline_project.domain.intake.file_hints import column_advice
from pipeline_project.domain.intake.lookups.matching import Matches, Reference
from pipeline_project.domain.intake.lookups.terms import LookupTerms
from pipeline_project.domain.intake.parsing import Cells, case_ids, id_columns, parse
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


@dataclass(frozen=True)
class LookedIn:
    """The reference tables of a night.

    Attributes:
        tables: each with its versions, in the order in which they are asked.
        otherwise: the moment as of which a case without a time counts.
    """

    tables: Sequence[tuple[LookupTerms, Sequence[Reference]]]
    otherwise: datetime


def read_rows(arrivals: pa.Table, schema: CaseSchema, looked_in: LookedIn | None = None) -> TypedRows:
    """Reads every arrival as its declared types; what cannot be read becomes null and gets a reason.

    Args:
        arrivals: as `schema.ARRIVALS`.
        looked_in: where the fields are that are looked up; without it they have no value in any row.
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
    texts = {field.name: _cells_of(field, cells, schema) for field in schema.fields if field.lookup is None}
    read_as = dict.fromkeys((field.name for field in schema.fields), schema)
    if looked_in is not None:
        own = schema.by_role(Role.TIME)
        given = None if own is None else parse(texts[own.name], own, schema).values
        times = _moments(given, looked_in.otherwise, len(arrivals))
        for terms, versions in looked_in.tables:
            matches = _looked_up(terms, versions, [texts[name] for name, _ in terms.key], times)
            notes += _note_lookup(terms, matches, whole)
            for field in terms.fields:
                texts[field.name], read_as[field.name] = matches.cells[field.column], terms.schema
                _add(reasons, field.name, _why_not_there(field, terms, matches), whole)
    for declared in schema.fields:
        texts.setdefault(declared.name, [None] * len(arrivals))
        parsed = parse(texts[declared.name], declared, read_as[declared.name])
        notes += parsed.notes
        _add(reasons, declared.name, parsed.unreadable, whole)
        if declared.required and declared.role != Role.ID and declared.lookup is None:
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


def _moments(times: pd.Series | None, otherwise: datetime, count: int) -> np.ndarray:
    """The time of each case in microseconds since 1970."""
    instead = pd.Timestamp(otherwise).as_unit("us")
    if times is None:
        return np.full(count, instead.to_datetime64().astype("datetime64[us]").astype(np.int64))
    return times.fillna(instead).dt.as_unit("us").astype("int64").to_numpy()


def _looked_up(terms: LookupTerms, versions: Sequence[Reference], keys: Sequence[Cells], times: np.ndarray) -> Matches:
    """What the first version says; a later one is asked for the cases that the ones before leave without an answer
    that they could be decided on."""
    matches: Matches | None = None
    for version in versions:
        newer = version.match(keys, times)
        matches = newer if matches is None else matches.completed(newer, terms.required)
    return matches or Matches.nowhere(terms, len(times))


def _note_lookup(terms: LookupTerms, matches: Matches, whole: np.ndarray) -> list[str]:
    without = int((~matches.there & whole).sum())
    return [f"{terms.name}: {without:,} of {int(whole.sum()):,} rows have no one row there"] * bool(without)


def _why_not_there(field: Field, terms: LookupTerms, matches: Matches) -> dict[int, str]:
    keys = ", ".join(name for name, _ in terms.key)
    several = f"{field.name}: {terms.name} has several rows for its {keys} that differ; keep one of them there"
    nothing = f"{field.name}: {terms.name} has no row for its {keys} at its time; add one there, or correct {keys}"
    reasons = dict.fromkeys(np.flatnonzero(matches.unclear).tolist(), several)
    if field.required:
        reasons |= dict.fromkeys(np.flatnonzero(~matches.there & ~matches.unclear).tolist(), nothing)
    return reasons


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
