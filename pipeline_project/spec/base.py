"""What every part of a spec shares: unknown keys are mistakes, and a read spec does not change."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

#: Lower-case words joined by underscores: safe in asset keys, paths, database names and URLs.
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """A part of a workflow spec."""

    model_config = ConfigDict(extra="forbid", frozen=True)
