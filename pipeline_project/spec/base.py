"""What every part of a spec shares: unknown keys are mistakes, and a read spec does not change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import get_type_hints

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

#: Where something stands in a spec: keys and positions from the top.
Where = tuple[str | int, ...]

#: The type of the pydantic errors that `refuse` raises; they carry findings.
FINDINGS = "findings"


class Part(BaseModel):
    """A part of a workflow spec. Terms of the domain, which are dataclasses, are parts too: they inherit its config."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def is_part(kind: object) -> bool:
    """Whether a type has keys of its own in the YAML."""
    return isinstance(kind, type) and (issubclass(kind, Part) or is_dataclass(kind))


@cache
def keys_of(part: type) -> Mapping[str, FieldInfo]:
    """The keys of a part, in the order in which they are declared."""
    if issubclass(part, Part):
        return part.model_fields
    assert is_dataclass(part)
    hints = get_type_hints(part, include_extras=True)
    return {field.name: FieldInfo.from_annotated_attribute(hints[field.name], field) for field in fields(part)}


@dataclass(frozen=True)
class SpecFinding:
    """Something in a spec that must be written differently.

    Attributes:
        where: keys and positions from the part that was checked.
        sentence: what is wrong and what to write instead.
    """

    where: Where
    sentence: str

    def __str__(self) -> str:
        return f"{dotted(self.where)}: {self.sentence}" if self.where else self.sentence


def dotted(where: Where) -> str:
    """`model.history[0].by`, as people write it."""
    text = ""
    for step in where:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def refusal(findings: Iterable[SpecFinding]) -> PydanticCustomError:
    """The error with which a validator refuses a part for several reasons at once."""
    reasons = tuple(findings)
    text = "; ".join(str(finding) for finding in reasons)
    return PydanticCustomError(FINDINGS, "{text}", {"text": text, "findings": reasons})
