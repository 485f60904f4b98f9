"""Keeps what names a person off the page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pyarrow as pa

from pipeline_project.domain.core.schema import CASE_ID, CaseSchema, Field, FieldType, Role

MASK = "•••"
#: A longer value is a message, which no sentence of ours quotes whole; building a pattern from it would be slow.
LONGEST_SECRET = 200

_PERSONAL = re.compile(
    r"[^\s@<>\"',;:()]+@[^\s@<>\"',;:()]+"  # an e-mail address
    r"|\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"  # an IBAN
    r"|\b(?:\d{4}[ -]){3}\d{1,7}\b"  # a card number in groups
    r"|\+\d[\d ()/.-]{6,}\d|\b0\d{2,4}[ /-]\d{4,}\b"  # a telephone number
    r"|(?<![\d.])\d{9,}(?![\d.])"  # any other long number
)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|“[^”]*”")
_EMAIL = re.compile(r"([^\s@]+)@\S+")
_WORD = re.compile(r"[^\W\d_]{4,}")


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without e-mail addresses, telephone, card and other long numbers, and without `secrets`."""
    for secret in sorted({s for s in secrets if 2 <= len(s) <= LONGEST_SECRET}, key=lambda s: (-len(s), s)):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, text)
    return _PERSONAL.sub(MASK, text)


def without_values(text: str) -> str:
    """A reason without the value it quotes, so that equal reasons count as one and no input is repeated."""
    return _QUOTED.sub("“…”", text)


def personal_fields(schema: CaseSchema) -> tuple[Field, ...]:
    """Fields whose values may not be shown: declared as such, or the subject."""
    return tuple(field for field in schema.fields if field.pii or field.role == Role.SUBJECT)


def id_is_personal(schema: CaseSchema) -> bool:
    """Whether a case's id says who it is about."""
    field = schema.by_role(Role.ID)
    return field is not None and field.pii


def secrets_of_cases(schema: CaseSchema, cases: pa.Table) -> dict[str, tuple[str, ...]]:
    """The personal values of every case, by case id, as they might turn up in a sentence."""
    names = [f.name for f in personal_fields(schema) if f.name in cases.column_names]
    columns = [cases[name].to_pylist() for name in names]
    ids = cases[CASE_ID].to_pylist()
    return {case: tuple(_spellings(values)) for case, *values in zip(ids, *columns, strict=True)}


def secrets_of_raw(schema: CaseSchema, raw: str) -> tuple[str, ...]:
    """The personal values of a row as it came in, a JSON object by source column."""
    row = json.loads(raw)
    if not isinstance(row, dict):
        return ()
    return tuple(_spellings(row.get(column) for field in personal_fields(schema) for column in field.columns))


def names_in_identifiers(schema: CaseSchema, cases: pa.Table) -> frozenset[str]:
    """Words that personal identifiers are made of (anna.schmidt@... gives anna and schmidt), in lower case."""
    name_parts: set[str] = set()
    for field in personal_fields(schema):
        if field.holds not in (FieldType.IDENTIFIER, FieldType.CATEGORY) or field.name not in cases.column_names:
            continue
        for value in cases[field.name].drop_null().to_pylist():
            local = _EMAIL.sub(r"\1", value)
            name_parts.update(word.casefold() for word in _WORD.findall(local))
    return frozenset(name_parts)


def words_of(text: str, longest: int = 2000) -> frozenset[str]:
    """The distinct words of a text in lower case, at least four letters each, addresses and numbers left out."""
    plain = re.sub(r"\S*(?:@|://|www\.)\S*", " ", text[:longest])
    return frozenset(word.casefold() for word in _WORD.findall(plain))


def _spellings(values: Iterable[Any]) -> Iterable[str]:
    for value in values:
        if isinstance(value, datetime):
            yield value.isoformat()
            yield value.date().isoformat()
        elif isinstance(value, list):
            yield from (str(item) for item in value if item)
        elif value is not None and not isinstance(value, int | float):
            yield str(value)
