"""Which values of a workflow are personal, and what of a row stays when its subject is forgotten."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline_project.domain.core.schema import CaseSchema, FieldType, Role
from pipeline_project.domain.privacy.seal import is_sealed

_START = datetime(1970, 1, 1, tzinfo=UTC)
_LOST = "-"


@dataclass(frozen=True)
class PersonalFields:
    """The personal side of a workflow's cases.

    Attributes:
        subject, subject_column: the field that names whom a case is about and its column in the source, or None.
        sealed: fields whose values are sealed, by name; of photos there are references only, which name nobody.
        kept: source columns that stay of a row whose subject was forgotten.
        missing: texts that mean "no value".
        features: columns of the training set made from one personal field each, by name.
    """

    subject: str | None
    subject_column: str | None
    sealed: Mapping[str, FieldType]
    kept: frozenset[str]
    missing: frozenset[str]
    features: Mapping[str, FieldType] = field(default_factory=dict)

    @classmethod
    def of(cls, schema: CaseSchema, features: Iterable[str] = ()) -> PersonalFields | None:
        """What is personal; None where the workflow declares nothing so.

        Args:
            features: names of the features made from one personal field each (`FeaturePlan.masked`).
        """
        if not any(declared.pii for declared in schema.fields):
            return None
        subject = schema.by_role(Role.SUBJECT)
        sealed = {
            f.name: f.holds for f in schema.fields if f.pii and f.role not in _NEVER and f.holds != FieldType.IMAGE
        }
        personal = {column for f in schema.fields if f.name in sealed for column in f.columns} | (
            {subject.column} if subject else set()
        )
        # an id made of personal values would become another one: such a row keeps nothing and is not decided again
        retained = (
            set()
            if personal & set(schema.id_from)
            else {column for f in schema.fields for column in f.columns} - personal
        )
        return cls(
            subject.name if subject else None,
            subject.column if subject else None,
            sealed,
            frozenset(retained | (set(schema.id_from) - personal if retained else set())),
            schema.missing,
            {f"number_{name}": FieldType.NUMBER for name in features}
            | {f"category_{name}": FieldType.CATEGORY for name in features},
        )

    def subject_of(self, raw: str) -> str | None:
        """Whom a row as it came in is about, spelled as its case spells it."""
        value = _row(raw).get(self.subject_column) if self.subject_column is not None else None
        name = value.strip() if isinstance(value, str) else ""
        return None if not name or name in self.missing else name

    def rest_of(self, raw: str, pseudonym: str | None) -> str:
        """The row without what is personal or was never declared; its subject goes by the pseudonym."""
        row = _row(raw)
        rest = {column: value for column, value in row.items() if column in self.kept}
        if rest and pseudonym is not None and self.subject_column is not None:
            rest[self.subject_column] = pseudonym
        return json.dumps(rest, ensure_ascii=False)


_NEVER = (Role.ID, Role.SUBJECT)


def row_token(whole: str | None, rest: str) -> str:
    """How a sealed row is written: the token of all of it, or of a forgotten subject nothing, then that of the rest."""
    return f"{whole or _LOST} {rest}"


def row_parts(text: str) -> tuple[str | None, str] | None:
    """The two tokens of a sealed row; None where the text is a row in the open."""
    whole, _, rest = text.partition(" ")
    if not is_sealed(rest) or not (whole == _LOST or is_sealed(whole)):
        return None
    return (None if whole == _LOST else whole), rest


def as_text(value: Any) -> str | None:
    """A value of a case as the text that is sealed."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return str((value.astimezone(UTC) - _START) // timedelta(microseconds=1))
    return repr(float(value))


def from_text(text: str | None, kind: FieldType) -> Any:
    """The value that `as_text` made a text of."""
    return None if text is None else OPENED[kind](text)


def _moment(text: str) -> datetime:
    return _START + timedelta(microseconds=int(text))


#: What each type's sealed text is read as; photos are never sealed here.
OPENED: Mapping[FieldType, Callable[[str], Any]] = {
    FieldType.NUMBER: float,
    FieldType.TIME: _moment,
    FieldType.CATEGORY: str,
    FieldType.TEXT: str,
    FieldType.IDENTIFIER: str,
}


def _row(raw: str) -> dict[str, Any]:
    row = json.loads(raw)
    return row if isinstance(row, dict) else {}
