"""Strings as a source wrote them, read as the numbers, times and texts that a spec declares: whole columns at once."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pipeline_project.domain.core.number_forms import NumberStyle, advice, plainly
from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType, Role
from pipeline_project.domain.intake.ids import canonical_ids, damaged
from pipeline_project.domain.intake.time_forms import EPOCHS, FORMS, from_form, offsets_written_out, time_advice

MAX_ID_LENGTH = 200

_ISO = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?"
    r"(?: ?(?:Z|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{2}))?)?"
)
_OFFSET = r".*[T ][0-9]{2}:[0-9].*(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)"
# Besides the control characters proper: line and paragraph separators, and marks that turn the direction of reading.
_UNSEEN = "\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
_CONTROL = rf"[\x00-\x08\x0b\x0c\x0e-\x1f{_UNSEEN}]"
_CONTROL_LINES = rf"[\x00-\x1f{_UNSEEN}]"
_PATH_TRICK = r"(?:^|[/\\])\.\.?(?:[/\\]|$)|^[/~]|\\|^[A-Za-z]:|%2[eEfF]|%5[cC]|%00"
# Outside these years a time in nanoseconds overflows, and so would every library downstream.
_FIRST_TIME = pd.Timestamp("1678-01-01", tz="UTC")
_LAST_TIME = pd.Timestamp("2261-12-31", tz="UTC")


@dataclass(frozen=True)
class Parsed:
    """One column, read.

    Attributes:
        values: one per row, null where there is none or it cannot be read.
        unreadable: row -> why, in words; a value of a personal field is never repeated.
        absent: bool per row: no value was given at all.
        notes: what was assumed, with counts.
    """

    values: pd.Series
    unreadable: dict[int, str]
    absent: np.ndarray
    notes: tuple[str, ...] = field(default=())


#: One string per row, null where the source has no such cell: a list, or a column of pandas' strings.
Cells = Sequence[str | None] | pd.Series


def strings(values: Cells, schema: CaseSchema) -> tuple[pd.Series, np.ndarray]:
    """Trimmed strings with the declared "no value" strings taken out, and where nothing is left."""
    trimmed = _series(values).str.strip()
    absent = (trimmed.isna() | trimmed.isin(list(schema.missing))).to_numpy(bool)
    return trimmed.mask(absent), absent


def _series(values: Cells) -> pd.Series:
    return values if isinstance(values, pd.Series) else pd.Series(list(values), dtype="str")


def parse(values: Cells, declared: Field, schema: CaseSchema) -> Parsed:
    """Reads one column as its declared type.

    Args:
        values: one string per row, null where the source has no such cell.

    Returns:
        Numbers as float64, times as datetime64[us, UTC], images as lists of strings, the rest as strings.
    """
    text, absent = strings(values, schema)
    if declared.type in _BY_VALUE:
        return _by_value(text, absent, declared, schema)
    return READERS[declared.type](values, text, absent, declared, schema)


def _by_value(text: pd.Series, absent: np.ndarray, declared: Field, schema: CaseSchema) -> Parsed:
    """Every value that occurs is read once, however many cells say it: codes and prices come again and again."""
    codes, distinct = pd.factorize(text, use_na_sentinel=False)
    values = pd.Series(distinct, dtype="str")
    read = READERS[declared.type](values, values, values.isna().to_numpy(bool), declared, schema)
    unreadable = {}
    if read.unreadable:
        rows = np.flatnonzero(np.isin(codes, list(read.unreadable)))
        unreadable = {row: read.unreadable[code] for row, code in zip(rows.tolist(), codes[rows].tolist(), strict=True)}
    return Parsed(read.values.take(codes).reset_index(drop=True), unreadable, absent | read.absent[codes], read.notes)


def _names(text: pd.Series, absent: np.ndarray, declared: Field) -> Parsed:
    control = text.str.contains(_CONTROL_LINES, na=False).to_numpy(bool)
    return Parsed(text.mask(control), _reasons(declared, text, control, "holds control characters"), absent)


def _numbers(text: pd.Series, absent: np.ndarray, declared: Field, schema: CaseSchema) -> Parsed:
    if not declared.required:
        text, absent = _without_nan(text, absent)
    style = schema.numbers
    mark = re.escape(style.decimal)
    whole = rf"[+-]?(?:[0-9]+(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eE][+-]?[0-9]{{1,4}})?"
    plain = text.str.fullmatch(whole, na=False).to_numpy(bool)
    special = text.str.fullmatch(r"(?i)[+-]?(?:nan|inf|infinity|1\.#.*)", na=False).to_numpy(bool)
    written = text.where(plain).str.replace(style.decimal, ".", regex=False)
    others = np.flatnonzero(~absent & ~plain & ~special)
    if others.size:
        # What is not written as everywhere is looked at cell by cell: there may be signs, brackets, groups of digits.
        read = pd.Series([plainly(str(cell), style) for cell in text.iloc[others]], dtype="str")
        written.iloc[others] = read.array
    numbers = pd.to_numeric(written, errors="coerce").astype("float64")
    infinite = np.isinf(numbers.to_numpy()) | special
    unreadable = {
        row: f"{declared.name}: {_shown(cell, declared)} is not a number ({_number_hint(cell, style)})"
        for row in np.flatnonzero(~absent & numbers.isna().to_numpy(bool) & ~infinite).tolist()
        for cell in (str(text.iat[row]),)
    }
    unreadable |= _reasons(declared, text, infinite, "is not a finite number")
    return Parsed(numbers.mask(infinite), unreadable, absent)


def _without_nan(text: pd.Series, absent: np.ndarray) -> tuple[pd.Series, np.ndarray]:
    """Where nothing need stand, NaN is how many programs write nothing."""
    nothing = text.str.fullmatch(r"(?i)[+-]?nan", na=False).to_numpy(bool)
    return text.mask(nothing), absent | nothing


def _number_hint(cell: str, style: NumberStyle) -> str:
    hint = advice(cell, style)
    return f"decimal mark `{style.decimal}`" + (f"; {hint}" if hint else "")


def times(text: pd.Series, absent: np.ndarray, declared: Field, schema: CaseSchema) -> Parsed:
    """Times as datetime64[us, UTC]. Without an offset they are read in the schema's zone; a date, or midnight, is the
    start of its day, also where the clocks go forward at midnight; of the hour that occurs twice the first is taken
    and noted, an hour that does not exist is unreadable."""
    if not declared.required:
        text, absent = _without_nan(text, absent)
    zone = schema.time_zone
    iso = text.str.fullmatch(_ISO, na=False).to_numpy(bool)
    offset = iso & text.str.fullmatch(_OFFSET, na=False).to_numpy(bool)
    aware = _aware(text.where(offset), "ISO8601")
    local = pd.to_datetime(text.where(iso & ~offset), format="ISO8601", errors="coerce").astype("datetime64[us]")
    several = sum(form in EPOCHS for form in schema.time_formats) > 1
    for pattern in schema.time_formats:
        left = text.mask(iso | aware.notna().to_numpy() | local.notna().to_numpy())
        if not left.notna().any():
            break
        if pattern in EPOCHS:
            aware = aware.fillna(from_form(left, pattern, schema.decimal, by_size=several).dt.tz_localize("UTC"))
        elif pattern in FORMS:
            local = local.fillna(from_form(left, pattern, schema.decimal))
        elif "%z" in pattern or "%Z" in pattern:
            aware = aware.fillna(_aware(offsets_written_out(left, zone), pattern.replace("%Z", "%z")))
        else:
            parsed = pd.to_datetime(left, format=pattern, errors="coerce").astype("datetime64[us]")
            local = local.fillna(parsed)
    placed, twice = _placed(local, zone)
    skipped = (local.notna() & placed.isna()).to_numpy(bool)
    values = aware.fillna(placed)
    impossible = ((values < _FIRST_TIME) | (values > _LAST_TIME)).to_numpy(bool)
    unread = ~absent & values.isna().to_numpy(bool) & ~skipped
    expected = f"ISO 8601 {' '.join(schema.time_formats)}".strip()
    unreadable = {
        row: f"{declared.name}: {_shown(cell, declared)} is not a time ({expected}{time_advice(cell)})"
        for row in np.flatnonzero(unread).tolist()
        for cell in (str(text.iat[row]),)
    }
    unreadable |= _reasons(declared, text, skipped, f"does not exist in {zone}: the clocks go forward over it")
    unreadable |= _reasons(declared, text, impossible, "is not a possible time", "years 1678 to 2261")
    notes = (f"{declared.name}: {twice} in the hour that occurs twice in {zone}; the first was taken",) * bool(twice)
    return Parsed(values.mask(impossible), unreadable, absent, notes)


def _placed(local: pd.Series, zone: str) -> tuple[pd.Series, int]:
    """Local times in UTC, null where the clocks skip them, and how many lie in an hour that occurs twice."""
    count = len(local)
    first = local.dt.tz_localize(zone, ambiguous=np.ones(count, dtype=bool), nonexistent="NaT")
    second = local.dt.tz_localize(zone, ambiguous=np.zeros(count, dtype=bool), nonexistent="NaT")
    twice = int((first.notna() & (first != second)).sum())
    # Where a day has no midnight it begins later; where it does not occur at all, it has no beginning either.
    midnight = (local.notna() & first.isna() & (local == local.dt.normalize())).to_numpy(bool)
    if midnight.any():
        begins = local.where(midnight).dt.tz_localize(zone, nonexistent="shift_forward")
        same_day = (begins.dt.tz_localize(None).dt.normalize() == local).to_numpy(bool)
        first = first.mask(midnight & same_day, begins)
    return first.dt.tz_convert("UTC").astype("datetime64[us, UTC]"), twice


def _aware(text: pd.Series, pattern: str) -> pd.Series:
    return pd.to_datetime(text, format=pattern, errors="coerce", utc=True).astype("datetime64[us, UTC]")


def _texts(values: Cells, absent: np.ndarray, declared: Field) -> Parsed:
    text = _series(values).mask(absent)
    within = text.str.contains(_CONTROL, na=False).to_numpy(bool)
    control = int(within.sum())
    if not control:
        return Parsed(text, {}, absent)
    # A NUL cannot be kept by PostgreSQL, and direction marks can make a text read as something else.
    notes = (f"{declared.name}: {control} with control characters, which became blanks",)
    text = text.copy()
    rows = np.flatnonzero(within)
    text.iloc[rows] = text.iloc[rows].str.replace(_CONTROL, " ", regex=True).array
    return Parsed(text, {}, absent, notes)


def _paths(text: pd.Series, declared: Field) -> pd.Series:
    """Lists of paths; a source that has lists of its own writes them as JSON."""

    def split(cell: str) -> list[str] | None:
        if cell.startswith("["):
            try:
                listed = json.loads(cell)
            except ValueError:
                listed = None
            if isinstance(listed, list) and all(isinstance(path, str) for path in listed):
                return [path.strip() for path in listed if path.strip()] or None
        parts = cell.split(declared.separator) if declared.many else [cell]
        return [part.strip() for part in parts if part.strip()] or None

    plain = _splits_as_it_stands(text, declared.separator)
    pieces = (
        split(cell) if not alone else cell.split(declared.separator) if declared.many else [cell]
        for cell, alone in zip(text.tolist(), plain, strict=True)
        if isinstance(cell, str)
    )
    paths = np.full(len(text), None, dtype=object)
    for row, listed in zip(np.flatnonzero(text.notna()).tolist(), pieces, strict=True):
        paths[row] = listed
    return pd.Series(paths, dtype="object")


def _splits_as_it_stands(text: pd.Series, separator: str) -> np.ndarray:
    """Cells without blanks or brackets in which the separator stands between two others alone."""
    other = text.str.contains(r"[^!-~]|^\[", na=True)
    for doubled in (text.str.contains(separator * 2, regex=False, na=True), text.str.startswith(separator, na=True)):
        other |= doubled
    return ~(other | text.str.endswith(separator, na=True)).to_numpy(bool)


def case_ids(columns: Sequence[Cells], schema: CaseSchema) -> Parsed:
    """The id of every row, from the column of the field with the role `id`, or hashed from `id_from`.

    Args:
        columns: the values of `id_columns(schema)`, one sequence per column.
    """
    declared = schema.by_role(Role.ID)
    if declared is None:
        return _hashed_ids(columns, schema)
    text, absent = strings(columns[0], schema)
    refused = {
        "holds control characters": text.str.contains(_CONTROL_LINES, na=False),
        "could be read as a path; ids are names, not paths": text.str.contains(_PATH_TRICK, na=False),
        f"is longer than {MAX_ID_LENGTH} characters": (text.str.len() > MAX_ID_LENGTH).fillna(False),
        **damaged(text),
    }
    unreadable = dict.fromkeys(np.flatnonzero(absent).tolist(), f"{declared.name}: missing, so the case has no id")
    for why, mask in refused.items():
        # The id itself is not repeated: it may be an attack on whatever shows the reason.
        unreadable |= dict.fromkeys(np.flatnonzero(mask.to_numpy(bool)).tolist(), f"{declared.name}: the id {why}")
    return Parsed(canonical_ids(text).mask(_mask(unreadable, len(text))), unreadable, absent)


def _hashed_ids(columns: Sequence[Cells], schema: CaseSchema) -> Parsed:
    parts = [canonical_ids(strings(column, schema)[0]) for column in columns]
    absent = np.logical_and.reduce([part.isna().to_numpy(bool) for part in parts])
    rows = zip(*(part.astype("object").where(part.notna(), None) for part in parts), strict=True)
    ids = [hashlib.sha256(json.dumps(row).encode()).hexdigest()[:32] for row in rows]
    why = f"{', '.join(schema.id_from)}: missing, so the case has no id"
    unreadable = dict.fromkeys(np.flatnonzero(absent).tolist(), why)
    identifiers = schema.of_type(FieldType.IDENTIFIER)
    names = [column for declared in identifiers for column in declared.columns]
    for name, part in zip(schema.id_from, parts, strict=True):
        # Only what is declared an identifier: in a text or a number such words may be right.
        for reason, wrong in damaged(part).items() if name in names else ():
            unreadable |= dict.fromkeys(np.flatnonzero(wrong.to_numpy(bool)).tolist(), f"{name}: the id {reason}")
    return Parsed(pd.Series(ids, dtype="str").mask(_mask(unreadable, len(ids))), unreadable, absent)


def id_columns(schema: CaseSchema) -> tuple[str, ...]:
    """The columns of the source that make the id."""
    declared = schema.by_role(Role.ID)
    return (declared.column,) if declared else schema.id_from


def _mask(rows: dict[int, str], count: int) -> np.ndarray:
    mask = np.zeros(count, dtype=bool)
    mask[list(rows)] = True
    return mask


def _reasons(declared: Field, text: pd.Series, mask: np.ndarray, why: str, expected: str = "") -> dict[int, str]:
    hint = f" ({expected})" if expected else ""
    return {
        row: f"{declared.name}: {_shown(str(text.iat[row]), declared)} {why}{hint}"
        for row in np.flatnonzero(mask).tolist()
    }


def _shown(value: str, declared: Field) -> str:
    if declared.pii:
        return "the value"
    return repr(value if len(value) <= 40 else value[:40] + "…")


#: Types whose reading of a cell hangs on nothing but what stands in it, and that note nothing.
_BY_VALUE = (FieldType.NUMBER, FieldType.CATEGORY)
#: How each type is read, from the cells as they came, the same trimmed (`strings`), and where nothing stands.
READERS: Mapping[FieldType, Callable[[Cells, pd.Series, np.ndarray, Field, CaseSchema], Parsed]] = {
    FieldType.NUMBER: lambda _, text, absent, declared, schema: _numbers(text, absent, declared, schema),
    FieldType.TIME: lambda _, text, absent, declared, schema: times(text, absent, declared, schema),
    FieldType.TEXT: lambda cells, _, absent, declared, __: _texts(cells, absent, declared),
    FieldType.IMAGE: lambda _, text, absent, declared, __: Parsed(_paths(text, declared), {}, absent),
    FieldType.CATEGORY: lambda _, text, absent, declared, __: _names(text, absent, declared),
    FieldType.IDENTIFIER: lambda _, text, absent, declared, __: _names(text, absent, declared),
}
