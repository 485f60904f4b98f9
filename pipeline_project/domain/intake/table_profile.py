"""What a table that nobody has described yet looks like: types, marks, ids, times, and what its columns may be for.

Guesses for a person to correct, made with the readers that the nights use. Cells are counted, never quoted, but for the
values of the column that says what turned out to be true: they become the labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pipeline_project.domain.core.number_forms import ThousandsMark
from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType
from pipeline_project.domain.intake.parsing import parse
from pipeline_project.domain.intake.time_forms import FORMS, time_advice

#: What stands for no value in some exports; taken for that only where a column can then be read.
PLACEHOLDERS = ("?", "NA", "N/A", "#N/A", "n/a", "null", "NULL", "None", "none", "NaN", "nan", "-", "--", ".", "NIL")
#: The most values that a column of labels may take, and that a category is believed to have.
MOST_LABELS, MOST_CATEGORIES = 200, 1000
#: Words and characters from which a cell is taken for what people wrote.
_WORDS_OF_TEXT, _CHARACTERS_OF_TEXT = 5, 40
_PATTERN = re.compile(r"`([^`]+)`")
_FIRST = 20

_TIMELY = re.compile(r"date|time|day|_at$|_ts$|datum|zeit|when|created|updated|born|dob|start|end", re.I)
_NAMED_ID = re.compile(r"(?i:(?:^|[_\s-])(?:id|key|uuid|nr|no|num|number)$|^index$)|(?<=[a-z])(?:ID|Id|No|Nr|Number)$")
_NAMED_TRUTH = re.compile(
    r"label|target|outcome|truth|^class$|^y$|categor|fraud|return|churn|default|click|recommend|credit|approved|result",
    re.I,
)
_NAMED_AMOUNT = re.compile(r"amount|price|total|value|betrag|premium|cost|sum", re.I)
_PERSONAL = re.compile(
    r"name|mail|phone|mobile|address|street|birth|born|dob|(?<![a-z])(?:age|sex)(?![a-z])|gender|marital|iban|ssn|passport|customer|user",
    re.I,
)
_PHOTO = re.compile(r"\.(?:jpe?g|png|webp|gif|bmp|tiff?)(?:;|$)", re.I)
_YES = ("1", "true", "y", "yes", "t", "1.0")
_NO_AND_YES = tuple({no, yes} for no, yes in zip(("0", "false", "n", "no", "f", "0.0"), _YES, strict=True))
_STYLES: tuple[tuple[str, tuple[ThousandsMark, ...]], ...] = (
    (".", ()), (".", (",",)), (",", ()), (",", (".",)), (".", (" ",)), (",", (" ",)), (".", ("'",)),
)  # fmt: skip
_GROUPED = re.compile(r"-?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")


@dataclass(frozen=True)
class ColumnProfile:
    """One column, as far as its values tell.

    Attributes:
        column: its name in the source.
        name: its name as a field.
        type: what its values can be read as, all of them.
        rows, empty, distinct: rows, rows without a value, different values.
        time_format: the pattern by which times are read; None where ISO 8601 is enough.
        other_format: a second pattern that reads all of them as well, such as day and month exchanged.
        personal: its name sounds as if it were about a person.
    """

    column: str
    name: str
    type: FieldType
    rows: int
    empty: int
    distinct: int
    time_format: str | None = None
    other_format: str | None = None
    personal: bool = False

    @property
    def unique(self) -> bool:
        """Every row has a value, and no two have the same."""
        return not self.empty and self.distinct == self.rows


@dataclass(frozen=True)
class TableProfile:
    """A table, as far as its values tell; the columns that it may have for a purpose are the most likely first.

    Attributes:
        missing: strings that stand for no value.
        ids, times, truths, amounts: columns that may be the case's id, its time, its truth, the money at stake.
    """

    rows: int
    columns: tuple[ColumnProfile, ...]
    missing: tuple[str, ...]
    decimal: str
    thousands: tuple[ThousandsMark, ...]
    ids: tuple[str, ...]
    times: tuple[str, ...]
    truths: tuple[str, ...]
    amounts: tuple[str, ...]

    def of(self, column: str) -> ColumnProfile:
        """The column of that name.

        Raises:
            KeyError: there is none.
        """
        return next(profile for profile in self.columns if profile.column == column)


def profile_table(cells: Mapping[str, Sequence[str | None]]) -> TableProfile:
    """What the columns of a table look like.

    Args:
        cells: by column, one string a row as the source wrote it, None where the row has none.
    """
    series = {column: pd.Series(list(values), dtype="str").str.strip() for column, values in cells.items()}
    missing = _placeholders(series)
    blank = {"", *missing}
    given = {column: values.mask(values.isin(blank)) for column, values in series.items()}
    decimal, thousands = _number_style(given)
    schema = CaseSchema((), "UTC", frozenset(blank), decimal=decimal, thousands=thousands)
    names = field_names(cells)
    columns = tuple(_column(column, names[column], values, schema) for column, values in given.items())
    rows = len(next(iter(series.values()))) if series else 0
    times = tuple(column.column for column in columns if column.type is FieldType.TIME)
    truths = _truths(columns, rows)
    numbers = [column for column in columns if column.type is FieldType.NUMBER and column.column not in truths[:1]]
    return TableProfile(
        rows=rows,
        columns=columns,
        missing=missing,
        decimal=decimal,
        thousands=thousands,
        ids=tuple(_likely((c for c in columns if c.unique and c.type is not FieldType.TIME), _NAMED_ID)),
        times=tuple(sorted(times, key=lambda column: bool(_PERSONAL.search(column)))),
        truths=truths,
        amounts=tuple(c.column for c in numbers if _NAMED_AMOUNT.search(c.column)),
    )


def field_names(columns: Iterable[str], otherwise: str = "column") -> dict[str, str]:
    """Names for columns as a spec writes them: lower case, digits, underscores, each once.

    Args:
        otherwise: what a name begins with that would begin with no letter.
    """
    names: dict[str, str] = {}
    for number, column in enumerate(columns, 1):
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column)
        plain = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
        name = (plain if plain[:1].isalpha() else f"{otherwise}_{plain or number}")[:40].strip("_")
        while name in names.values():
            name = f"{name[:36]}_{number}"
        names[column] = name
    return names


def label_names(column: str, values: Iterable[str]) -> dict[str, str]:
    """Labels for the values of a column of truth, each once; of 0 and 1, no and yes and their like they say of what."""
    listed = sorted(set(values))
    what = field_names([column])[column]
    if {value.lower() for value in listed} in _NO_AND_YES:
        return {value: what if value.lower() in _YES else f"not_{what}" for value in listed}
    return field_names(listed, otherwise="label")


def _column(column: str, name: str, values: pd.Series, schema: CaseSchema) -> ColumnProfile:
    present = values.dropna()
    kind, formats = _type(column, present, schema)
    return ColumnProfile(
        column=column,
        name=name,
        type=kind,
        rows=len(values),
        empty=len(values) - len(present),
        distinct=present.nunique(),
        time_format=formats[0] if formats else None,
        other_format=formats[1] if len(formats) > 1 else None,
        personal=bool(_PERSONAL.search(column)),
    )


def _type(column: str, present: pd.Series, schema: CaseSchema) -> tuple[FieldType, list[str]]:
    """What all values of a column can be read as, and for times by which patterns beside ISO 8601."""
    if not len(present):
        return FieldType.CATEGORY, []
    distinct = present.drop_duplicates()
    number = _reads(distinct, FieldType.NUMBER, schema)
    if not number and _reads(distinct, FieldType.TIME, schema):
        return FieldType.TIME, []
    if not number or _TIMELY.search(column):
        tried = _PATTERN.findall(time_advice(str(distinct.iloc[0]))) + (["%m/%d/%y %H:%M"] if not number else [])
        formats = [form for form in tried if form != "time_formats" and (not number or form in (*FORMS, "%Y%m%d"))]
        reading = [form for form in formats if _reads(distinct, FieldType.TIME, replace(schema, time_formats=(form,)))]
        if reading:
            return FieldType.TIME, reading
    if number:
        return FieldType.NUMBER, []
    if distinct.str.contains(_PHOTO).all():
        return FieldType.IMAGE, []
    words_a_cell = float(distinct.str.count(r"\S+").mean())
    if (words_a_cell >= _WORDS_OF_TEXT or float(distinct.str.len().mean()) >= _CHARACTERS_OF_TEXT) and len(
        distinct
    ) > len(present) // 20:
        return FieldType.TEXT, []
    few = len(distinct) <= max(20, min(MOST_CATEGORIES, len(present) // 5))
    return (FieldType.CATEGORY if few else FieldType.IDENTIFIER), []


def _reads(distinct: pd.Series, kind: FieldType, schema: CaseSchema) -> bool:
    field = Field("value", kind, "value", required=False)
    # a few first: what a column is not shows at once, and each value that cannot be read is looked at for a hint
    parts = (distinct.iloc[:_FIRST], distinct.iloc[_FIRST:])
    return not any(len(part) and parse(part.reset_index(drop=True), field, schema).unreadable for part in parts)


def _placeholders(series: Mapping[str, pd.Series]) -> tuple[str, ...]:
    """What stands for no value: without it a column becomes numbers or times that has none else that are not."""
    there = [mark for mark in PLACEHOLDERS if any(values.eq(mark).any() for values in series.values())]
    wanted: set[str] = set()
    schema = CaseSchema((), "UTC", frozenset({"", *there}))
    for values in series.values():
        marks = [mark for mark in there if values.eq(mark).any()]
        distinct = values.mask(values.isin(["", *there])).dropna().drop_duplicates()
        readable = len(distinct) and any(_reads(distinct, kind, schema) for kind in (FieldType.NUMBER, FieldType.TIME))
        # a question mark says nothing in any column; `none` and `-` may be answers
        wanted.update(mark for mark in marks if readable or mark in ("?", "NULL", "#N/A", "NaN"))
    return tuple(mark for mark in PLACEHOLDERS if mark in wanted)


def _number_style(given: Mapping[str, pd.Series]) -> tuple[str, tuple[ThousandsMark, ...]]:
    """The way of writing numbers that reads the most columns; the plainest of those that read as many."""
    distinct = {column: values.dropna().drop_duplicates() for column, values in given.items()}
    # 1,234 is a thousand where every comma has three digits behind it, however few columns there are to compare
    grouped = any(len(d) and d.str.fullmatch(_GROUPED).any() and _all_grouped(d) for d in distinct.values())
    best, most = _STYLES[0], -1
    for decimal, thousands in _STYLES:
        schema = CaseSchema((), "UTC", frozenset({""}), decimal=decimal, thousands=thousands)
        count = sum(1 for d in distinct.values() if len(d) and _reads(d, FieldType.NUMBER, schema))
        if count > most and not (grouped and decimal == ","):
            best, most = (decimal, thousands), count
    return best


def _all_grouped(distinct: pd.Series) -> bool:
    with_comma = distinct[distinct.str.contains(",", regex=False)]
    return bool(with_comma.str.fullmatch(_GROUPED).all()) and bool(
        distinct.str.fullmatch(r"-?[0-9,]+(\.[0-9]+)?").all()
    )


def _truths(columns: Sequence[ColumnProfile], rows: int) -> tuple[str, ...]:
    few = [
        c for c in columns if 2 <= c.distinct <= min(MOST_LABELS, max(2, rows // 5)) and c.type is not FieldType.TIME
    ]
    named = [c for c in few if _NAMED_TRUTH.search(c.column) and c.type in (FieldType.NUMBER, FieldType.CATEGORY)]
    # the fewer values, the more like an answer; and files have it at their end
    order = {column.column: place for place, column in enumerate(columns)}
    return tuple(c.column for c in sorted(named, key=lambda c: (c.distinct, -order[c.column])))


def _likely(columns: Iterable[ColumnProfile], pattern: re.Pattern[str]) -> list[str]:
    listed = list(columns)
    named = [column.column for column in listed if pattern.search(column.column)]
    return [*named, *(c.column for c in listed if c.type is FieldType.IDENTIFIER and c.column not in named)]


def cut_at(times: pd.Series, share: float) -> pd.Timestamp:
    """The moment before which that share of the rows lies.

    Args:
        times: datetime64, without nulls, at least one.
    """
    return pd.Timestamp(np.sort(times.to_numpy())[min(len(times) - 1, int(len(times) * share))])
