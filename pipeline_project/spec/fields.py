"""The part of a spec about one field of a case."""

from __future__ import annotations

import operator
from datetime import date

from pydantic import Field

from pipeline_project.domain.core.date_parts import DateParts
from pipeline_project.domain.core.names import Slug
from pipeline_project.domain.core.schema import Field as CaseField
from pipeline_project.domain.core.schema import FieldType, Role
from pipeline_project.spec.base import Part


class FieldSpec(Part):
    """One field of a case."""

    type: FieldType = Field(description="number, category, text, image, time or identifier.")
    role: Role | None = Field(
        None,
        description="id, time, amount, subject (the customer), feature or ignore. Without it numbers, categories, "
        "texts and images are features, times and identifiers are ignored.",
    )
    column: str | None = Field(None, min_length=1, description="The column in the source, when it has another name.")
    parts: DateParts | None = Field(None, description="Of a time that stands in several columns: which they are.")
    lookup: Slug | None = Field(
        None,
        exclude_if=operator.not_,
        description="The table of `lookups` that it is taken from; `column` is then one of that table, or "
        "`match_score`: how similar the keys are, from 0 to 100.",
    )
    required: bool = Field(True, description="A row without a value goes to quarantine.")
    minimum: float | date | None = Field(None, description="Smallest number or earliest day allowed.")
    maximum: float | date | None = Field(None, description="Largest number or latest day allowed.")
    allowed: tuple[str, ...] = Field((), description="The only values a category may take.")
    max_length: int | None = Field(None, ge=1, description="Longest text allowed, in characters.")
    many: bool = Field(False, description="An image field that holds several paths.")
    separator: str = Field(";", min_length=1, description="Between several paths.")
    known_later: bool = Field(
        False, description="The value is known only after the decision; such a field is refused as a feature."
    )
    pii: bool = Field(False, description="Names or describes a person; masked wherever it is shown.")

    @property
    def holds(self) -> FieldType:
        """What its values are once they are read (`FieldType.holds`)."""
        return self.type.holds

    @property
    def effective_role(self) -> Role:
        if self.role is not None:
            return self.role
        ignored = {FieldType.TIME, FieldType.IDENTIFIER}
        return Role.IGNORE if self.holds in ignored or self.known_later else Role.FEATURE

    def named(self, name: str) -> CaseField:
        """The field as the domain knows it."""
        return CaseField(
            name=name,
            type=self.type,
            column=self.parts.year if self.parts else self.column or name,
            parts=self.parts,
            lookup=self.lookup,
            role=self.effective_role,
            required=self.required,
            minimum=_bound(self.minimum),
            maximum=_bound(self.maximum),
            allowed=self.allowed,
            max_length=self.max_length,
            many=self.many,
            separator=self.separator,
            known_later=self.known_later,
            pii=self.pii,
        )


def _bound(value: float | date | None) -> float | str | None:
    return value.isoformat() if isinstance(value, date) else value
