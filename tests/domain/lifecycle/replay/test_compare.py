"""A candidate beside what decided: flips, load, errors, slices and money of cases that one can add up by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from pipeline_project.domain.core.costs import CostMatrix
from pipeline_project.domain.core.errors import ReplayRefused
from pipeline_project.domain.core.model_terms import PromiseTerms, SurgeTerms
from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.features.plan import FeaturePlan
from pipeline_project.domain.lifecycle.replay.compare import ReplayComparison, ReplayTerms, compare
from pipeline_project.domain.lifecycle.replay.decide import (
    PastNights,
    Policy,
    allowed_nights,
    decide_again,
    recorded,
)
from pipeline_project.domain.lifecycle.replay.slices import luck_of
from pipeline_project.domain.measures.probabilities import ece
from tests.domain.lifecycle.replay.replay_nights import MATRIX, TERMS, Case, nights_of, outcomes, policy

PLAN = FeaturePlan(inputs=(), labels=MATRIX.labels, time_zone="UTC")
CHEAP = CostMatrix(MATRIX.labels, MATRIX.options, ((0.0, "amount"), (1.0, 1.0)))


def compared(
    past: PastNights,
    labels: dict[str, str],
    after: Policy,
    terms: ReplayTerms = TERMS,
    before: Policy | None = None,
) -> ReplayComparison:
    """A policy alone against what was recorded."""
    base = before or policy()
    sides = recorded(past, base), decide_again(past, after, PLAN, None, None)
    return compare(past, *sides, (base, after), outcomes(labels), terms, ("2025-03-01", "2025-03-02"))


@pytest.fixture
def past() -> PastNights:
    """With 10 of 100 at stake pay is cheapest, also after the assessment became cheap for the second."""
    return nights_of(
        [
            Case("pay", 0.001, 100, kind="glass"),
            Case("pay", 0.1, 100, kind="theft"),
            Case("assess", 0.9, 200, kind="theft", night="2025-03-02"),
            Case("pay", 0.5, 100, kind="theft", night="2025-03-02"),
        ]
    )


LABELS = {"C0": "honest", "C1": "fraud", "C2": "fraud", "C3": "honest"}


def test_the_same_policy_flips_nothing_and_costs_the_same(past: PastNights) -> None:
    result = compared(past, LABELS, policy()).result
    assert result.flips == {}
    assert result.sample == ()
    assert result.money is not None
    assert (result.money.value, result.money.low, result.money.high) == (0, 0, 0)
    assert result.base.per_case == result.candidate.per_case == (0 + 100 + 80 + 0) / 4
    assert result.base.policy_hash == result.candidate.policy_hash


def test_flips_are_counted_by_direction_and_money_is_what_they_cost(past: PastNights) -> None:
    found = compared(past, LABELS, policy(CHEAP))
    assert found.result.flips == {"pay -> assess": 2}
    # C1 fraud: 1 instead of 100; C3 honest: 1 instead of 0; both sides in the candidate's costs
    assert found.result.money is not None
    assert found.result.money.value == pytest.approx((-99 + 1) / 4)
    assert [(f.case_id, f.before, f.after, f.label, f.money) for f in found.result.sample] == [
        ("C1", "pay", "assess", "fraud", -99.0),
        ("C3", "pay", "assess", "honest", 1.0),
    ]
    assert found.result.base.per_case == pytest.approx((0 + 100 + 1 + 0) / 4)
    assert found.result.candidate.per_case == pytest.approx((0 + 1 + 1 + 1) / 4)


def test_errors_are_of_what_was_decided_without_people(past: PastNights) -> None:
    result = compared(past, LABELS, policy(CHEAP)).result
    assert (result.base.error, result.base.decided_alone) == (1 / 4, 4)
    assert result.candidate.error == 1 / 4
    asking = dataclasses.replace(policy(), terms=dataclasses.replace(policy().terms, capacity=10, review_cost=0.0))
    asked = compared(past, LABELS, asking).result.candidate
    assert asked.asked == 4
    assert asked.decided_alone == 0
    assert math.isnan(asked.error)


def test_load_is_who_is_asked_who_wanted_and_the_places(past: PastNights) -> None:
    one = dataclasses.replace(policy(), terms=dataclasses.replace(policy().terms, capacity=1, review_cost=1.0))
    result = compared(past, LABELS, one).result
    assert result.places == 2
    assert result.candidate.asked == 2
    assert result.candidate.wanted > 2
    assert result.base.asked == 0


def test_slices_are_the_values_of_fields_and_quarters_of_amounts(past: PastNights) -> None:
    slices = {found.name: found for found in compared(past, LABELS, policy(CHEAP)).result.slices}
    assert list(slices)[:2] == ["kind=glass", "kind=theft"]
    theft = slices["kind=theft"]
    assert theft.cases == 3
    assert theft.money.value == pytest.approx(-98 / 3)
    assert theft.amount == pytest.approx(400 / 3)
    assert theft.error_before == pytest.approx(1 / 3)
    assert slices["kind=glass"].money.value == 0
    assert sum(found.cases for name, found in slices.items() if name.startswith("amount=")) == 4


def test_calibration_is_told_of_segments_with_enough_cases(past: PastNights) -> None:
    side = compared(past, LABELS, policy()).result.base
    assert math.isfinite(side.ece)
    assert set(side.ece_by_segment) == {"kind=theft"}


class TestOutcomesThatAreNotInYet:
    def test_a_night_without_them_counts_for_flips_and_load_alone(self, past: PastNights) -> None:
        result = compared(past, {"C0": "honest", "C1": "fraud"}, policy(CHEAP)).result
        assert result.immature == ("2025-03-02",)
        assert result.flipped == 2
        assert result.known == 2
        assert result.money is not None
        assert result.money.value == pytest.approx(-99 / 2)

    def test_without_any_nothing_is_said_about_money(self, past: PastNights) -> None:
        result = compared(past, {}, policy(CHEAP)).result
        assert result.money is None
        assert result.refused is not None
        assert result.immature == past.nights
        assert math.isnan(result.candidate.error)

    def test_too_few_are_refused(self, past: PastNights) -> None:
        terms = dataclasses.replace(TERMS, effective=5)
        result = compared(past, LABELS, policy(CHEAP), terms).result
        assert result.money is None
        assert result.refused is not None
        assert "4 cases" in result.refused
        assert result.effective == pytest.approx(4)


class TestTruthAfterSomeOptionsOnly:
    """Of what is paid the truth never comes, but for those that the random share asked."""

    TERMS = dataclasses.replace(TERMS, learned_after=("assess",))

    def past(self) -> PastNights:
        paid = [Case("pay", 0.1, 100, propensity=0.25) for _ in range(12)]
        drawn = [Case(ASK_PERSON, 0.1, 100, propensity=0.25, reason="random_share") for _ in range(4)]
        return nights_of([*paid, *drawn])

    def labels(self) -> dict[str, str]:
        return {"C12": "fraud", "C13": "honest", "C14": "honest", "C15": "honest"}

    def test_the_drawn_cases_stand_for_the_others(self) -> None:
        base, after = policy(exploration=0.25), policy(CHEAP, exploration=0.25)
        past = self.past()
        sides = recorded(past, base), decide_again(past, after, PLAN, None, None)
        result = compare(past, *sides, (base, after), outcomes(self.labels()), self.TERMS, ("a", "b")).result
        # where they are not drawn the candidate assesses for 1, the base pays 0 or 100; a model of 0.1 stands in
        guess, drawn = 0.75 * (1 - 10), [0.75 * (1 - 100), *[0.75 * 1] * 3]
        expected = guess + sum(4 * (x - guess) for x in drawn) / 16
        assert result.money is not None
        assert result.money.value == pytest.approx(expected)
        assert result.effective == pytest.approx(4)
        # 3 of 4 pays were right, and each stands for as many
        assert result.base.error == pytest.approx(1 / 4)

    def test_what_reached_us_otherwise_proves_nothing(self) -> None:
        everything = {f"C{i}": "honest" for i in range(12)} | self.labels()
        one = compared(self.past(), everything, policy(CHEAP), self.TERMS).result
        other = compared(self.past(), self.labels(), policy(CHEAP), self.TERMS).result
        assert one.money == other.money
        assert one.base.error == other.base.error


def test_a_case_without_costs_counts_for_flips_alone() -> None:
    past = nights_of([Case("pay", 0.1, 100), Case(ASK_PERSON, 0.1, math.nan, reason="cost_unknown")])
    result = compared(past, {"C0": "honest", "C1": "honest"}, policy(CHEAP)).result
    assert result.cases == 2
    assert result.effective == pytest.approx(1)
    assert result.money is not None
    assert math.isfinite(result.money.value)


def test_an_option_that_is_gone_is_refused() -> None:
    past = nights_of([Case("repair", 0.1, 100)])
    with pytest.raises(ReplayRefused, match=r"no longer has \(repair\)"):
        compared(past, {"C0": "honest"}, policy())


def test_a_new_option_of_the_candidate_is_the_candidates_alone() -> None:
    wider = CostMatrix(MATRIX.labels, ("pay", "assess", "call"), ((0.0, "amount"), (80.0, 80.0), (2.0, 2.0)))
    past = nights_of([Case("pay", 0.1, 100), Case("pay", 0.0, 100)])
    result = compared(past, {"C0": "fraud", "C1": "honest"}, policy(wider)).result
    assert result.flips == {"pay -> call": 1}
    # the base had nothing better than assessing: it was wrong by its own options, the candidate by its own
    assert (result.base.error, result.candidate.error) == (0.5, 0.0)


def test_other_labels_are_refused() -> None:
    past = nights_of([Case("pay")])
    other = policy(CostMatrix(("kept", "fraud"), MATRIX.options, MATRIX.cells))
    base = policy()
    sides = recorded(past, base), recorded(past, base)
    with pytest.raises(ReplayRefused, match="other labels"):
        compare(past, *sides, (base, other), outcomes({}), TERMS, ("a", "b"))


def test_places_are_shared_within_a_night_and_not_across() -> None:
    cases = [Case("pay", 0.4, 100 + i, night=night) for night in ("2025-03-01", "2025-03-02") for i in range(3)]
    one = policy(capacity=1, review=1)
    again = decide_again(nights_of(cases), one, PLAN, None, None)
    assert [again.option[i] for i in (0, 1, 2)].count(ASK_PERSON) == 1
    assert [again.option[i] for i in (3, 4, 5)].count(ASK_PERSON) == 1


def test_who_is_drawn_at_random_stays_the_same_under_another_file() -> None:
    from pipeline_project.domain.lifecycle.replay.decide import policy_of

    other = dataclasses.replace(policy().terms, seed="another workflow")
    assert policy_of(MATRIX, other, "amount", "claims") == policy()


def test_cases_that_no_model_could_look_at_stay_with_people() -> None:
    past = nights_of([Case(ASK_PERSON, None, reason="failed_photo"), Case(ASK_PERSON, None, reason="no_model")])
    again = decide_again(past, policy(CHEAP), PLAN, None, None)
    assert again.reason == ["failed_photo", "no_model"]


def test_a_model_that_knows_the_future_is_refused_unless_asked_for() -> None:
    nights = ["2025-03-01", "2025-03-02", "2025-03-03"]
    with pytest.raises(ReplayRefused, match=r"2 of 3 nights \(2025-03-01 to 2025-03-02\); replay from 2025-03-03 on"):
        allowed_nights(nights, "2025-03-03")
    allowed_nights(nights, "2025-03-01")
    allowed_nights(nights, "2025-03-03", knows_the_future=True)


def test_the_sample_is_drawn_by_the_seed() -> None:
    past = nights_of([Case("pay", 0.1, 100) for _ in range(60)])
    labels = {f"C{i}": "honest" for i in range(60)}
    one, same = (compared(past, labels, policy(CHEAP)).result.sample for _ in range(2))
    other = compared(past, labels, policy(CHEAP), dataclasses.replace(TERMS, seed=8)).result.sample
    assert one == same != other
    assert len(one) == 24


def test_a_closed_policy_stays_closed_and_a_kept_promise_kept() -> None:
    past = nights_of([Case(ASK_PERSON, None, reason="policy_closed"), Case(ASK_PERSON, 0.1, reason="promise")])
    promising = dataclasses.replace(policy(), terms=dataclasses.replace(policy().terms, promise=PromiseTerms(0.1)))
    again = decide_again(past, promising, PLAN, None, None)
    assert (again.option, again.reason) == ([ASK_PERSON] * 2, ["policy_closed", "promise"])
    # a policy that promises nothing sends nobody to people for it
    assert decide_again(past, policy(), PLAN, None, None).option == [ASK_PERSON, "pay"]


def test_a_surge_is_one_by_what_was_usual_before_the_night() -> None:
    past = nights_of([Case("pay", 0.4, 100 + i) for i in range(10)])
    surge = SurgeTerms(above=2.0, capacity=9, sample=0.0)
    terms = dataclasses.replace(policy(capacity=1, review=1).terms, surge=surge)
    planned = dataclasses.replace(policy(), terms=terms)
    assert decide_again(past, planned, PLAN, None, None).places == 1
    crowded = dataclasses.replace(past, usual={"2025-03-01": 3.0})
    assert decide_again(crowded, planned, PLAN, None, None).places == 9


def test_luck_is_what_a_model_that_is_exactly_right_would_show() -> None:
    draw = np.random.default_rng(3)
    p = draw.uniform(0.05, 0.95, 4000)
    told = np.column_stack([1 - p, p])
    few, many = (luck_of(told[:n], np.ones(n), 7) for n in (100, 4000))
    assert 0.1 < few < 0.25 and many < 0.04
    right = [ece(told[:100], (draw.random(100) < p[:100]).astype(int)) for _ in range(200)]
    assert 0.9 <= np.mean(np.array(right) <= few) <= 1.0
