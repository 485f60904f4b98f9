"""What a night took of the machine and what that cost, in sentences; what was not measured is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import floor, log10

from pipeline_project.domain.measures.machine_time import MachinePrices, MachineTime
from pipeline_project.domain.reporting.facts import EncodedAndReused
from pipeline_project.domain.reporting.sentences import count, listed, money, seconds


def machine_sentences(
    time: MachineTime,
    steps: int,
    encoding: Mapping[str, EncodedAndReused] | None,
    decisions: int,
    prices: MachinePrices,
    currency: str,
) -> tuple[str, ...]:
    """What stands below the table of steps.

    Args:
        steps: how many that table has.
        encoding: by what several contents of a modality are called; None where it was not kept.
        decisions: how many the night made.
    """
    return (
        *_processor(time, steps),
        *_device(time),
        *_encoding(encoding),
        _cost(time, decisions, prices, currency),
    )


def small_money(value: float, currency: str) -> str:
    """An amount with two digits that are not zero, however small it is."""
    if value <= 0 or value >= 1:
        return money(value, currency)
    digits = max(2, 1 - floor(log10(value)))
    return f"{value:.{digits}f} {currency}"


def _processor(time: MachineTime, steps: int) -> Iterator[str]:
    if time.processor is None:
        yield "Processor time was not measured."
        return
    yield (
        f"Processor: {seconds(time.processor)}, of the process that ran the steps. What databases and other processes "
        "spent is not in it."
    )
    if time.unmeasured:
        yield f"Of {count(steps, 'step')} {time.unmeasured:,} ran where nobody measured the processor."
    if time.shared:
        yield "Steps ran at once: what threads spent that serve all of them is split evenly."


def _device(time: MachineTime) -> Iterator[str]:
    if time.device:
        yield f"Device: held for {seconds(time.device)}, busy or not."
    elif time.device is not None:
        yield "No device was used."


def _encoding(encoding: Mapping[str, EncodedAndReused] | None) -> Iterator[str]:
    if encoding is None:
        return
    # by `Modality.plural`, which is its singular with an s
    encoded = [count(work.encoded, what.removesuffix("s")) for what, work in encoding.items()]
    reused = [count(work.reused, what.removesuffix("s")) for what, work in encoding.items()]
    if encoded:
        yield f"Encoded: {listed(encoded)}, each content once. Vectors of {listed(reused)} were there already."


def _cost(time: MachineTime, decisions: int, prices: MachinePrices, currency: str) -> str:
    if prices.processor_hour is None:
        return "Not priced: the spec has no `prices.processor_hour`."
    if time.device and prices.device_hour is None:
        return "Not priced: the spec has no `prices.device_hour`."
    if time.cost is None:
        return "What it cost is not known."
    of_one = time.cost_of_each(decisions)
    priced = f"At the spec's prices {small_money(time.cost, currency)}"
    priced += " for what was measured" if time.unmeasured else ""
    return f"{priced}." if of_one is None else f"{priced}, {small_money(of_one, currency)} a decision."
