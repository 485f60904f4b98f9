"""What the steps of a run took of the machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

#: The pool of every step that touches a GPU, and so holds it while it runs.
DEVICE_POOL = "gpu"


@dataclass(frozen=True)
class StepProcessor:
    """Seconds of the process's cores that a step spent, those of its helper threads included.

    Attributes:
        shared: another step ran in the same process meanwhile, so that helpers' seconds are split evenly.
    """

    seconds: float
    shared: bool


class Meter(Protocol):
    """Measures the steps that run in this process; steps of other processes it knows nothing of."""

    @property
    def device(self) -> str:
        """What torch computes on: `cpu`, or an accelerator."""
        ...

    def steps(self, run_id: str) -> Mapping[str, StepProcessor]:
        """What the steps of a run that have ended here spent, by step key."""
        ...
