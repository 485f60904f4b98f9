"""What a case says apart from its id: the same content under another id is a twin, and a twin is not paid again."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
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

#: Rows that lack the same values and are fewer than this are joined one by one.
_FEW = 32
# An ASCII text in which this is not found is written as it stands: no blanks but single ones between its words.
_NOT_PLAIN = r"^$|^ | $|  |[\t-\r\x1c-\x1f]"
_NOT_PLAIN_ID = rf"{_NOT_PLAIN}|^-?[0-9]+[.,]0*$"


def content_fields(schema: CaseSchema) -> tuple[Field, ...]:
    """The fields that make the content, by column: not the id, nor identifiers that it is made of, nor what becomes
    known later, which differs from delivery to delivery of one case, nor what is looked up, which no case says."""
    own = schema.by_role(Role.ID)

    def counts(field: Field) -> bool:
        of_id = own is None and field.holds == FieldType.IDENTIFIER and field.column in schema.id_from
        return field.role != Role.ID and not of_id and not field.known_later and field.lookup is None

    return tuple(sorted(filter(counts, schema.fields), key=lambda field: field.columns))


def shape(schema: CaseSchema) -> Shape:
    """What two schemas have in common when the contents that they read can be compared."""
    return tuple(("+".join(field.columns), field.type.value) for field in content_fields(schema))


def contents(columns: Mapping[str, pd.Series], schema: CaseSchema, rows: int) -> list[str | None]:
    """A hash over what each row says, however it is written; None for a row that says nothing.

    Args:
        columns: the declared fields by name as `parse` reads them; one that is not there has no value in any row.
    """
    fields = [field for field in content_fields(schema) if field.name in columns]
    if not fields or not rows:
        return [None] * rows
    names = ["+".join(field.columns) for field in fields]
    try:
        texts = _joined(names, [_spelled(columns[field.name], field) for field in fields])
    except UnicodeEncodeError:
        # A path may hold half of a surrogate pair, which Arrow's strings cannot.
        texts = _joined_one_by_one(names, [_written(columns[field.name], field) for field in fields])
    return [hashlib.sha256(text).hexdigest()[:32] if text else None for text in texts]


def _joined(names: Sequence[str], parts: Sequence[pa.Array]) -> list[bytes]:
    """Of each row the values that there are, behind their names, as UTF-8; rows that lack the same ones at once."""
    there = [part.is_valid().to_numpy(zero_copy_only=False) for part in parts]
    lacking = np.zeros(len(parts[0]), dtype=np.int64)
    for given in there:
        lacking = pd.factorize(2 * lacking + given)[0]
    joined = np.empty(len(lacking), dtype=object)
    few: list[int] = []
    for rows in _places(lacking):
        held = [column for column, given in enumerate(there) if given[rows[0]]]
        if len(rows) < _FEW or not held:
            few += rows.tolist()
            continue
        # Not with `null_handling="skip"`: pyarrow 25 then leaves out the rows that have no value at all.
        pieces: list[pa.Array | pa.Scalar] = []
        for place, column in enumerate(held):
            pieces += [_large("\x1f" * (place > 0) + f"{names[column]}="), parts[column].take(pa.array(rows))]
        texts = pc.binary_join_element_wise(*pieces, _large(""), _large(""))
        joined[rows] = texts.cast(pa.large_binary()).to_pylist()
    if few:
        joined[few] = _joined_one_by_one(names, [part.take(pa.array(few)).to_pylist() for part in parts])
    return joined.tolist()


def _places(codes: np.ndarray) -> list[np.ndarray]:
    """The rows of every code, codes counting from 0."""
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1]) if len(codes) else []


def _large(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _joined_one_by_one(names: Sequence[str], parts: Sequence[Sequence[str | None]]) -> list[bytes]:
    """As `_joined`, of any texts."""
    texts = (
        "\x1f".join(f"{name}={text}" for name, text in zip(names, row, strict=True) if text is not None)
        for row in zip(*parts, strict=True)
    )
    return [text.encode("utf-8", "surrogatepass") for text in texts]


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


def _spelled(values: pd.Series, field: Field) -> pa.Array:
    """As `_written`, large strings, whole columns at once: only what is not plain already is looked at by itself.

    Raises:
        UnicodeEncodeError: a text is none that Arrow can hold.
    """
    text = pa.large_string()
    if field.holds == FieldType.NUMBER:
        codes, distinct = pd.factorize(values.to_numpy(np.float64) + 0.0)
        return pa.array([repr(float(number)) for number in distinct], text).take(pa.array(codes, mask=codes < 0))
    if field.holds == FieldType.TIME:
        return pa.array(values.dt.as_unit("us"), from_pandas=True).cast(pa.int64()).cast(text)
    if not isinstance(values.dtype, pd.StringDtype):
        return pa.array(_written(values, field), text)
    cells = pa.array(values, text, from_pandas=True)
    several = _NOT_PLAIN_ID if field.holds == FieldType.IDENTIFIER else _NOT_PLAIN
    plain = pc.and_not(pc.string_is_ascii(cells), pc.match_substring_regex(cells, several))
    other = pc.invert(plain).fill_null(False)
    rewritten = [_text(cell, field) for cell in cells.filter(other).to_pylist()]
    return pc.replace_with_mask(cells, other, pa.array(rewritten, text)) if rewritten else cells


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
