"""What a night's steps took of the machine, and what that costs at the spec's prices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

_HOUR = 3600.0


@dataclass(frozen=True)
class MachinePrices:
    """What an hour of the machine costs, in the workflow's currency; what has no price is not priced."""

    processor_hour: Annotated[float | None, Field(ge=0, description="One core for an hour.")] = None
    device_hour: Annotated[float | None, Field(ge=0, description="The accelerator for an hour.")] = None


@dataclass(frozen=True)
class StepTime:
    """What one step took.

    Attributes:
        seconds: from its beginning to its end, waiting included.
        processor: seconds of this process's cores; None where nobody measured.
        device: seconds for which it held the accelerator; None where nobody measured.
        shared: another step ran in the same process meanwhile, so that helpers' seconds are split evenly.
    """

    seconds: float
    processor: float | None = None
    device: float | None = None
    shared: bool = False


@dataclass(frozen=True)
class MachineTime:
    """What a night took, as far as it was measured.

    Attributes:
        processor, device: seconds; None where no step was measured.
        unmeasured: steps whose processor time nobody measured.
        shared: some seconds are split between steps that ran at once.
        cost: at the spec's prices; None where what was spent is not priced, or was not measured.
    """

    processor: float | None
    device: float | None
    unmeasured: int
    shared: bool
    cost: float | None

    def cost_of_each(self, decisions: int) -> float | None:
        """The cost of one decision; None where there is none, or no cost."""
        return self.cost / decisions if self.cost is not None and decisions else None


def machine_time(steps: Iterable[StepTime], prices: MachinePrices) -> MachineTime:
    """All steps of a night together."""
    taken = [*steps]
    processor = _sum(step.processor for step in taken)
    device = _sum(step.device for step in taken)
    return MachineTime(
        processor=processor,
        device=device,
        unmeasured=sum(step.processor is None for step in taken),
        shared=any(step.shared for step in taken),
        cost=_cost(processor, device, prices),
    )


def _cost(processor: float | None, device: float | None, prices: MachinePrices) -> float | None:
    if processor is None or prices.processor_hour is None or (device and prices.device_hour is None):
        return None
    return (processor * prices.processor_hour + (device or 0.0) * (prices.device_hour or 0.0)) / _HOUR


def _sum(values: Iterable[float | None]) -> float | None:
    measured = [value for value in values if value is not None]
    return sum(measured) if measured else None
