"""What a night took, in sentences: what was not measured and what has no price is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline_project.domain.measures.machine_time import MachinePrices, StepTime, machine_time
from pipeline_project.domain.reporting.facts import EncodedAndReused
from pipeline_project.domain.reporting.machine import machine_sentences, small_money
from pipeline_project.domain.reporting.page import render_night
from pipeline_project.domain.reporting.summary import summarize
from tests.domain.reporting.report_nights import TERMS, facts

PRICED = MachinePrices(processor_hour=0.36, device_hour=3.6)
MEASURED = [StepTime(4.0, processor=6.0, device=0.0), StepTime(12.0, processor=14.0, device=0.0)]


def said(steps: list[StepTime], prices: MachinePrices = PRICED, decisions: int = 50) -> str:
    return " ".join(machine_sentences(machine_time(steps, prices), len(steps), None, decisions, prices, "EUR"))


def test_seconds_and_money_of_a_night_that_was_measured() -> None:
    assert said(MEASURED) == (
        "Processor: 20 s, of the process that ran the steps. What databases and other processes spent is not in it. "
        "No device was used. At the spec's prices 0.0020 EUR, 0.000040 EUR a decision."
    )
    assert said(MEASURED, decisions=0).endswith("At the spec's prices 0.0020 EUR.")
    held = [*MEASURED, StepTime(30.0, processor=1.0, device=30.0)]
    assert "Device: held for 30 s, busy or not. At the spec's prices 0.032 EUR" in said(held)


@pytest.mark.parametrize(
    ("steps", "prices", "words"),
    [
        (MEASURED, MachinePrices(), "Not priced: the spec has no `prices.processor_hour`."),
        ([StepTime(4.0, 6.0, 4.0)], MachinePrices(0.36), "Not priced: the spec has no `prices.device_hour`."),
        ([StepTime(4.0)], PRICED, "Processor time was not measured. What it cost is not known."),
        ([StepTime(4.0), *MEASURED], PRICED, "Of 3 steps 1 ran where nobody measured the processor."),
        ([StepTime(4.0), *MEASURED], PRICED, "At the spec's prices 0.0020 EUR for what was measured,"),
        ([replace(MEASURED[0], shared=True)], PRICED, "Steps ran at once: what threads spent that serve all of them"),
    ],
)
def test_what_is_not_known_is_said(steps: list[StepTime], prices: MachinePrices, words: str) -> None:
    assert words in said(steps, prices)


def test_contents_encoded_and_those_that_were_there() -> None:
    encoding = {"texts": EncodedAndReused(66, 1), "photos": EncodedAndReused(0, 1_200)}
    sentences = machine_sentences(machine_time(MEASURED, PRICED), 2, encoding, 50, PRICED, "EUR")
    expected = (
        "Encoded: 66 texts and 0 photos, each content once. Vectors of 1 text and 1,200 photos were there already."
    )
    assert expected in sentences
    assert "Encoded" not in said(MEASURED)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0.00 EUR"), (0.0000123, "0.000012 EUR"), (0.05, "0.050 EUR"), (0.999, "1.00 EUR"), (12.345, "12.35 EUR")],
)
def test_small_amounts_keep_two_digits(value: float, shown: str) -> None:
    assert small_money(value, "EUR") == shown


def test_the_page_has_the_processor_of_each_step_and_says_where_nobody_measured() -> None:
    terms = replace(TERMS, prices=MachinePrices(processor_hour=0.36))
    page = render_night(summarize(terms, facts()))
    assert '<th scope="row">embeddings</th><td class="n">7.2 s</td><td class="n">12 s</td>' in page
    assert '<th scope="row">cases</th><td class="n">0.4 s</td><td class="n">–</td>' in page
    assert "Of 2 steps 1 ran where nobody measured the processor." in page
    assert "At the spec&#39;s prices 0.0011 EUR for what was measured, 0.00010 EUR a decision." in page
    assert ">device</th>" not in page
    held = facts(timings={"embeddings": StepTime(7.2, processor=3.0, device=7.2)})
    assert '<td class="n">3.0 s</td><td class="n">7.2 s</td>' in render_night(summarize(terms, held))
