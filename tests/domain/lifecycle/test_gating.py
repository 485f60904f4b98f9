"""Gates: each of them stops what it is there for, and what cannot be evaluated does not pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pipeline_project.domain.core.model_terms import GateTerms
from pipeline_project.domain.lifecycle.gates import GATES, GateVerdict, judge_gates, passed
from pipeline_project.domain.lifecycle.replay.findings import LabelRate, ReplayResult, Side, SliceResult
from pipeline_project.domain.measures.intervals import Interval

TERMS = GateTerms(fewest_nights=3)
NAN = float("nan")
NIGHTS = tuple(f"2025-03-{day:02}" for day in range(1, 11))
BASE = Side("1", "a" * 64, 2.0, 200, 220, 0.03, 700, 0.02)
RATES = {"kept": LabelRate(0.91, 0.9), "worn": LabelRate(0.09, 0.1)}
BETTER = Side("2", "a" * 64, 1.8, 190, 210, 0.02, 710, 0.02, {"kind=lamp": 0.03}, {}, 900, RATES)
SLICE = SliceResult("kind=lamp", 300, Interval(-0.2, -0.3, -0.1), 20.0, 0.03, 0.02)


def found(**changes: Any) -> ReplayResult:
    """A replay that every gate lets through, but for the changes."""
    good = ReplayResult(
        "claims", NIGHTS[0], NIGHTS[-1], NIGHTS, (), BASE, BETTER, 1000, 900, Interval(-0.2, -0.3, -0.1), None, 600.0,
        250, {"refund -> reject": 40}, (), (SLICE,), 1.0,
    )  # fmt: skip
    return replace(good, **changes)


def verdicts(result: ReplayResult | None, artifact: str | None = None) -> Mapping[str, GateVerdict]:
    return {verdict.name: verdict for verdict in judge_gates(result, TERMS, artifact)}


def test_a_challenger_that_costs_less_and_harms_nobody_passes() -> None:
    judged = judge_gates(found(), TERMS, None)
    assert [verdict.name for verdict in judged] == list(GATES)
    assert passed(judged)
    assert all(verdict.detail for verdict in judged)


@pytest.mark.parametrize(
    ("gate", "changes"),
    [
        ("evidence", {"immature": NIGHTS[:8]}),
        ("evidence", {"known": 0}),
        ("money", {"money": Interval(-0.2, -0.5, 0.0)}),
        ("money", {"money": Interval(0.2, 0.1, 0.5)}),
        ("money", {"money": Interval(NAN, NAN, NAN)}),
        ("money", {"effective": 99.0}),
        ("money", {"money": None, "refused": "too few of the random share"}),
        ("calibration", {"candidate": replace(BETTER, ece=0.051)}),
        ("calibration", {"candidate": replace(BETTER, ece=NAN)}),
        ("calibration", {"candidate": replace(BETTER, ece_by_segment={"kind=lamp": 0.2})}),
        ("calibration", {"candidate": replace(BETTER, ece_by_segment={"kind=lamp": NAN})}),
        ("rates", {"candidate": replace(BETTER, rates={**RATES, "worn": LabelRate(0.01, 0.1)})}),
        ("rates", {"candidate": replace(BETTER, rates={**RATES, "worn": LabelRate(0.2, 0.1)})}),
        ("rates", {"candidate": replace(BETTER, rates={**RATES, "worn": LabelRate(NAN, 0.1)})}),
        ("rates", {"candidate": replace(BETTER, rates={})}),
        ("slices", {"slices": (replace(SLICE, money=Interval(0.5, 0.1, 0.9)),)}),
        ("slices", {"slices": (SLICE, replace(SLICE, money=Interval(NAN, NAN, NAN)))}),
        ("slices", {"slices": ()}),
        ("slices", {"slices": (replace(SLICE, cases=99),)}),
        ("load", {"candidate": replace(BETTER, asked=251)}),
        ("flips", {"flips": {"refund -> reject": 301}}),
        ("flips", {"cases": 0}),
    ],
)
def test_each_gate_stops_what_it_is_there_for(gate: str, changes: Mapping[str, Any]) -> None:
    judged = verdicts(found(**changes))
    assert not judged[gate].passed, judged[gate].detail
    assert not passed(list(judged.values()))
    assert [name for name, verdict in judged.items() if not verdict.passed] == [gate]


def test_a_slice_that_is_dearer_by_luck_or_by_little_is_not_harmed() -> None:
    luck = replace(SLICE, money=Interval(0.5, -0.1, 1.1))
    little = replace(SLICE, money=Interval(0.3, 0.1, 0.5), amount=20.0)
    assert verdicts(found(slices=(luck, little)))["slices"].passed
    assert not verdicts(found(slices=(replace(little, amount=NAN),)))["slices"].passed


def test_of_few_cases_a_calibration_error_may_be_luck() -> None:
    few = replace(BETTER, ece_by_segment={"kind=lamp": 0.1}, ece_luck={"kind=lamp": 0.12})
    assert verdicts(found(candidate=few))["calibration"].passed
    assert not verdicts(found(candidate=replace(few, ece_luck={"kind=lamp": 0.09})))["calibration"].passed


def test_a_rare_label_may_be_off_by_luck() -> None:
    few = {"kept": LabelRate(0.997, 0.995), "worn": LabelRate(0.003, 0.005)}
    assert verdicts(found(candidate=replace(BETTER, rates=few)))["rates"].passed


def test_who_asked_more_people_before_may_go_on_doing_so() -> None:
    crowded = found(base=replace(BASE, asked=400), candidate=replace(BETTER, asked=380))
    assert verdicts(crowded)["load"].passed


def test_a_broken_artifact_stops_everything() -> None:
    judged = verdicts(found(), "its digest is not the one registered")
    assert not judged["artifact"].passed and "digest" in judged["artifact"].detail


def test_without_a_replay_nothing_passes_but_the_artifact() -> None:
    judged = verdicts(None)
    assert [name for name, verdict in judged.items() if verdict.passed] == ["artifact"]
    assert not passed([verdict for verdict in judged.values() if verdict.passed])
