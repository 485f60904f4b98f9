"""What a case looks like: its fields, and the Arrow tables that arrivals, cases and quarantine are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
import pyarrow as pa

from pipeline_project.domain.core.date_parts import DateParts, composed
from pipeline_project.domain.core.number_forms import NumberStyle

NIGHT = "night"
CASE_ID = "case_id"
#: What a case says apart from its id, as a hash (`contents.contents`).
CONTENT = "content_sha256"


class FieldType(StrEnum):
    """What a field is declared to be.

    A type whose values are like those of another one once they are read (money written with its currency is a number)
    names that one as `like`: features, checks, sealing and drift then treat it as such, and only how it is read is its
    own (`parsing`).

    Attributes:
        about: how it is written and what it is for, in a line of docs/workflows.md.
        arrow: its column in the `cases` table.
    """

    about: str
    arrow: pa.DataType
    _like: str | None

    def __new__(cls, name: str, about: str, arrow: pa.DataType, like: str | None = None) -> Self:
        kind = str.__new__(cls, name)
        kind._value_, kind.about, kind.arrow, kind._like = name, about, arrow, like
        return kind

    @property
    def holds(self) -> FieldType:
        """The type whose values these are like: this one, unless it names another."""
        return self if self._like is None else next(kind for kind in FieldType if kind.value == self._like)

    NUMBER = "number", "a number, as `decimal`, `thousands` and `number_forms` say it is written", pa.float64()
    CATEGORY = "category", "one of a few words or codes, each of which a model may learn", pa.string()
    TEXT = "text", "words of people, which are turned into vectors", pa.string()
    IMAGE = "image", "the path of a photo, or several, which are turned into vectors", pa.list_(pa.string())
    TIME = "time", "a day or a moment, in ISO 8601 or as `time_formats` say", pa.timestamp("us", tz="UTC")
    IDENTIFIER = "identifier", "a number or code that names one thing: the case, the customer", pa.string()


class Role(StrEnum):
    """What a field is for. One field each is `id`, `time`, `amount`, `subject`; the rest are features or ignored."""

    ID = "id"
    TIME = "time"
    AMOUNT = "amount"
    SUBJECT = "subject"
    FEATURE = "feature"
    IGNORE = "ignore"


@dataclass(frozen=True)
class Field:
    """One declared field of a case.

    Attributes:
        name: the name in the `cases` table and in expressions.
        column: the name in the source file.
        required: a missing value sends the row to quarantine.
        minimum, maximum: inclusive bounds of a number, in the field's own unit; of a time, ISO dates.
        allowed: the only values a category may take; empty means any.
        max_length: longest text, in characters.
        many: an image field that holds several paths, split at `separator`.
        known_later: known only after the decision, so never a feature.
        pii: names or describes a person; masked wherever it is shown.
        parts: of a time that the source writes in several columns; `column` is then the first of them.
        lookup: the reference table that it is taken from; `column` is then one of that table, and the source has none.
    """

    name: str
    type: FieldType
    column: str
    role: Role = Role.FEATURE
    required: bool = True
    minimum: float | str | None = None
    maximum: float | str | None = None
    allowed: tuple[str, ...] = ()
    max_length: int | None = None
    many: bool = False
    separator: str = ";"
    known_later: bool = False
    pii: bool = False
    parts: DateParts | None = None
    lookup: str | None = None

    @property
    def holds(self) -> FieldType:
        """What its values are once they are read (`FieldType.holds`)."""
        return self.type.holds

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the source that it is read from; none where it is looked up."""
        if self.lookup is not None:
            return ()
        return self.parts.columns if self.parts else (self.column,)

    def cell(self, row: Mapping[str, str | None], missing: frozenset[str]) -> str | None:
        """Its value as the source wrote it; of a date in parts, as ISO 8601."""
        return composed(self.parts, row, missing) if self.parts else row.get(self.column)


@dataclass(frozen=True)
class CaseSchema:
    """The fields of one workflow and how its source writes them.

    Attributes:
        time_zone: IANA zone in which times without an offset are read and nights begin.
        missing: strings that mean "no value" in every column.
        id_from: columns hashed into the id when no field has the role `id`.
        time_formats: strptime patterns and `time_forms.FORMS`, tried in order; ISO 8601 is always tried first.
        decimal, thousands, number_forms, currency: see `number_forms.NumberStyle`.
    """

    fields: tuple[Field, ...]
    time_zone: str
    missing: frozenset[str] = frozenset({""})
    id_from: tuple[str, ...] = ()
    time_formats: tuple[str, ...] = ()
    decimal: str = "."
    thousands: tuple[str, ...] = ()
    number_forms: tuple[str, ...] = ()
    currency: str = ""

    @property
    def numbers(self) -> NumberStyle:
        """How the source writes its numbers."""
        return NumberStyle(self.decimal, self.thousands, self.number_forms, self.currency)

    def by_role(self, role: Role) -> Field | None:
        """The field with a role that only one field may have, or None."""
        return next((field for field in self.fields if field.role == role), None)

    def of_type(self, *types: FieldType) -> tuple[Field, ...]:
        """The fields that hold values of these types."""
        return tuple(field for field in self.fields if field.holds in types)

    def field(self, name: str) -> Field:
        """The field called `name`.

        Raises:
            KeyError: with the names there are.
        """
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"no field {name!r}; the fields are {', '.join(f.name for f in self.fields)}")


#: One row as it came in. `raw` is the row as a JSON object of strings, keyed by the source's column names;
#: `problem` says why a line could not be split into columns at all, else null; `line` counts from 1, the
#: header being line 1; `row_sha256` is over the parsed strings, so it does not depend on file or line, nor on whether
#: an integer came as a fraction.
ARRIVALS = pa.schema(
    [
        pa.field(NIGHT, pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("file_sha256", pa.string(), nullable=False),
        pa.field("line", pa.int64(), nullable=False),
        pa.field("row_sha256", pa.string(), nullable=False),
        pa.field("raw", pa.string(), nullable=False),
        pa.field("problem", pa.string()),
    ]
)

#: A refused row with the reasons, waiting for repair.
QUARANTINE = pa.schema(
    [
        pa.field(NIGHT, pa.string(), nullable=False),
        pa.field(CASE_ID, pa.string()),
        pa.field("file", pa.string(), nullable=False),
        pa.field("line", pa.int64(), nullable=False),
        pa.field("row_sha256", pa.string(), nullable=False),
        pa.field("reasons", pa.list_(pa.string()), nullable=False),
        pa.field("raw", pa.string(), nullable=False),
    ]
)


def cases_schema(schema: CaseSchema) -> pa.Schema:
    """The `cases` table: night, case_id, row_sha256, content_sha256, then every declared field in the spec's order.

    `case_id` repeats the id field, so that every workflow has the same key; a field with the role `id` is not
    written twice.
    """
    declared = [pa.field(f.name, f.type.arrow) for f in schema.fields if f.role != Role.ID]
    return pa.schema(
        [
            pa.field(NIGHT, pa.string(), nullable=False),
            pa.field(CASE_ID, pa.string(), nullable=False),
            pa.field("row_sha256", pa.string(), nullable=False),
            pa.field(CONTENT, pa.string()),
            *declared,
        ]
    )


def reserved_names() -> frozenset[str]:
    """Names a field may not take because the tables use them."""
    return frozenset({NIGHT, CASE_ID, CONTENT, "row_sha256", "file", "line", "raw", "problem", "reasons"})


def number_columns(cases: pa.Table) -> dict[str, np.ndarray]:
    """The columns an expression may read: every number, missing values as NaN."""
    return {
        field.name: cases.column(field.name).to_numpy(zero_copy_only=False).astype(float)
        for field in cases.schema
        if pa.types.is_floating(field.type)
    }
