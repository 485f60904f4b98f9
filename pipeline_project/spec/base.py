"""What every part of a spec shares: unknown keys are mistakes, and a read spec does not change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from pipeline_project.spec.quantities import PORTION, SHARE

#: Where something stands in a spec: keys and positions from the top.
Where = tuple[str | int, ...]

#: Lower-case words joined by underscores: safe in asset keys, paths, database names and URLs.
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
#: A part of something that may also be more than the whole.
Portion = Annotated[float, PORTION]
Share = Annotated[float, SHARE, Field(ge=0, le=1)]
Words = Annotated[str, StringConstraints(min_length=1)]

#: The type of the pydantic errors that `refuse` raises; they carry findings.
FINDINGS = "findings"


class Part(BaseModel):
    """A part of a workflow spec."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
    found = tuple(findings)
    text = "; ".join(str(finding) for finding in found)
    return PydanticCustomError(FINDINGS, "{text}", {"text": text, "findings": found})
