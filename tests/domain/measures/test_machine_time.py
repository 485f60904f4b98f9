from __future__ import annotations

from decimal import Decimal

import pytest

from pipeline_project.domain.measures.machine_time import MachinePrices, MachineTime, StepTime, machine_time

STEPS = [StepTime(9.0, processor=7.25, device=0.0), StepTime(20.0, processor=30.5, device=20.0, shared=True)]


def test_a_night_is_the_sum_of_its_steps_at_the_hours_prices() -> None:
    taken = machine_time(STEPS, MachinePrices(processor_hour=0.04, device_hour=2.5))
    assert (taken.processor, taken.device, taken.unmeasured, taken.shared) == (37.75, 20.0, 0, True)
    by_hand = (Decimal("37.75") * Decimal("0.04") + Decimal(20) * Decimal("2.5")) / 3600
    assert taken.cost == pytest.approx(float(by_hand), rel=1e-12)
    assert taken.cost_of_each(200) == pytest.approx(float(by_hand / 200), rel=1e-12)
    assert taken.cost_of_each(0) is None


@pytest.mark.parametrize(
    ("steps", "prices"),
    [
        (STEPS, MachinePrices()),
        (STEPS, MachinePrices(device_hour=2.5)),
        # the device was used, and nobody said what that costs: a sum without it would be too low
        (STEPS, MachinePrices(processor_hour=0.04)),
        ([StepTime(9.0)], MachinePrices(processor_hour=0.04, device_hour=2.5)),
        ([], MachinePrices(processor_hour=0.04)),
    ],
)
def test_what_has_no_price_or_was_not_measured_costs_nothing_invented(
    steps: list[StepTime], prices: MachinePrices
) -> None:
    assert machine_time(steps, prices).cost is None
    assert machine_time(steps, prices).cost_of_each(3) is None


def test_a_device_that_was_not_used_needs_no_price() -> None:
    assert machine_time(STEPS[:1], MachinePrices(processor_hour=3600)).cost == 7.25
    assert machine_time(STEPS, MachinePrices(processor_hour=0, device_hour=0)).cost == 0


def test_steps_that_nobody_measured_are_counted() -> None:
    taken = machine_time([StepTime(1.0), *STEPS, StepTime(2.0)], MachinePrices(processor_hour=3600))
    assert taken == MachineTime(processor=37.75, device=20.0, unmeasured=2, shared=True, cost=None)
