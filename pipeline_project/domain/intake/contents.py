"""What a case says apart from its id: the same content under another id is a twin, and a twin is not paid again."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType, Role
from pipeline_project.domain.intake.ids import canonical
from pipeline_project.domain.intake.parsing import parse

#: How a workflow reads contents: the columns of the source and their types, in the order of the columns.
Shape = tuple[tuple[str, str], ...]


def content_fields(schema: CaseSchema) -> tuple[Field, ...]:
    """The fields that make the content, by column: not the id, nor identifiers that it is made of, nor what becomes
    known later, which differs from delivery to delivery of one case."""
    own = schema.by_role(Role.ID)

    def counts(field: Field) -> bool:
        of_id = own is None and field.holds == FieldType.IDENTIFIER and field.column in schema.id_from
        return field.role != Role.ID and not of_id and not field.known_later

    return tuple(sorted(filter(counts, schema.fields), key=lambda field: field.columns))


def shape(schema: CaseSchema) -> Shape:
    """What two schemas have in common when the contents that they read can be compared."""
    return tuple(("+".join(field.columns), field.type.value) for field in content_fields(schema))


def contents(columns: Mapping[str, pd.Series], schema: CaseSchema, rows: int) -> list[str | None]:
    """A hash over what each row says, however it is written; None for a row that says nothing.

    Args:
        columns: the declared fields by name as `parse` reads them; one that is not there has no value in any row.
    """
    parts: list[list[str | None]] = []
    for field in content_fields(schema):
        if field.name in columns:
            name = "+".join(field.columns)
            parts.append([None if text is None else f"{name}={text}" for text in _written(columns[field.name], field)])
    if not parts:
        return [None] * rows
    texts = ("\x1f".join(part for part in row if part is not None) for row in zip(*parts, strict=True))
    return [hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32] if text else None for text in texts]


def contents_as(cells: list[dict[str, str]], schema: CaseSchema) -> list[str | None] | None:
    """The contents of rows as another schema reads them; None where a column that it requires is in no row.

    Args:
        cells: the rows as they came, by column.
    """
    names = {name for row in cells for name in row}
    fields = content_fields(schema)
    if not fields or any(field.required and not set(field.columns) <= names for field in fields):
        return None
    columns = {
        field.name: parse([field.cell(row, schema.missing) for row in cells], field, schema).values for field in fields
    }
    return contents(columns, schema, len(cells))


def _written(values: pd.Series, field: Field) -> list[str | None]:
    """The one way in which each value is written here."""
    if field.holds == FieldType.NUMBER:
        numbers = values.to_numpy(np.float64) + 0.0  # no minus before a zero
        return [None if number != number else repr(float(number)) for number in numbers]
    if field.holds == FieldType.TIME:
        present = values.notna().to_numpy(bool)
        moments = values.dt.as_unit("us").astype("int64").to_numpy()
        return [
            str(moment) if there else None for moment, there in zip(moments.tolist(), present.tolist(), strict=True)
        ]
    return [_text(value, field) for value in values.astype("object").tolist()]


def _text(value: Any, field: Field) -> str | None:
    if isinstance(value, list):
        return "\x1e".join(map(str, value)) or None
    if not isinstance(value, str):
        return None
    plain = " ".join(unicodedata.normalize("NFC", value).split())
    return (canonical(plain) if field.holds == FieldType.IDENTIFIER else plain) or None


def hits(history: pa.Table, column: str, wanted: list[str]) -> pa.Table:
    """The rows of a history whose value is among those wanted; the rest never becomes a Python object."""
    return history.filter(pc.is_in(history[column], value_set=pa.array(wanted, pa.string())))
