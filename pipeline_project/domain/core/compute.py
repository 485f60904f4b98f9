"""Where the heavy work of a workflow is done: in the step's own process, or on a Ray cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

from pydantic import Field


class ComputeEngine(StrEnum):
    """What does the heavy work."""

    PROCESS = "process"
    RAY = "ray"


#: Ray finds the cluster that this machine is a node of.
AUTO_ADDRESS = "auto"
#: Ray starts a cluster on this machine, for as long as the run lasts.
LOCAL_ADDRESS = "local"
#: Seconds without a result after which a step fails: a cluster that grows by itself needs minutes for a new node.
PATIENCE = 900.0
_ADDRESS = r"^(auto|local|[A-Za-z0-9.-]+:[0-9]{1,5})$"


@dataclass(frozen=True)
class ComputeTerms:
    """Where texts and photos are encoded, models trained and nights replayed; what is left out, settings say."""

    engine: Annotated[
        ComputeEngine | None,
        Field(description="`process` or `ray`, an extra of the package. Left out: what `PIPELINE_COMPUTE` says."),
    ] = None
    address: Annotated[
        str | None,
        Field(
            pattern=_ADDRESS,
            description="`auto` (the cluster that this machine is a node of), `host:port` of its head, or `local` (one "
            "that is started for the run). Left out: what `PIPELINE_RAY_ADDRESS` says.",
        ),
    ] = None
    actors: Annotated[
        int | None,
        Field(
            ge=1,
            description="Processes that encode at the same time, at most. Left out: one for each GPU, without one for "
            "every second core of the cluster.",
        ),
    ] = None
    batch: Annotated[
        int | None,
        Field(ge=1, description="Contents in a batch. Left out: what the encoder is best given."),
    ] = None
    patience: Annotated[float, Field(gt=0, description="Seconds without a result after which a step fails.")] = PATIENCE

    @property
    def on_ray(self) -> bool:
        return self.engine is ComputeEngine.RAY

    def over(self, usual: ComputeTerms) -> ComputeTerms:
        """These terms, with what they leave open taken from the usual ones."""
        return replace(self, engine=self.engine or usual.engine, address=self.address or usual.address)


#: Where nobody says anything.
IN_PROCESS = ComputeTerms(ComputeEngine.PROCESS, AUTO_ADDRESS)


def is_address(text: str) -> bool:
    """Whether a cluster may be named so; says nothing of whether there is one."""
    return re.match(_ADDRESS, text) is not None
