"""The policy: lowest expected cost among what the machine may choose, people where they save most."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_project.domain.core.costs import PolicyTerms
from pipeline_project.domain.core.reasons import Reason
from pipeline_project.domain.deciding.policy import PolicyResult, decide, random_draw

#: refund, credit (denies nothing) and reject (denies), under the labels good and bad.
COST = np.array([[0.0, 10.0], [3.0, 4.0], [20.0, 0.0]])
DENIES = (False, False, True)
REVIEW = 1.0
AUTOMATED = (Reason.CHEAPEST, Reason.NO_PLACE_LEFT)


def terms(capacity: int | str = 100, exploration: float = 0.0, **more: Any) -> PolicyTerms:
    base = PolicyTerms(DENIES, REVIEW, capacity, exploration, "claims")
    return dataclasses.replace(base, **more)


def ids(count: int) -> list[str]:
    return [f"case-{i}" for i in range(count)]


def night(bad: list[float], wanted: PolicyTerms, problems: list[str | None] | None = None) -> PolicyResult:
    """The policy on cases that are bad with these probabilities."""
    p = np.array(bad, dtype=float)
    cost = np.tile(COST, (len(bad), 1, 1))
    return decide(ids(len(bad)), np.column_stack([1 - p, p]), cost, problems or [None] * len(bad), wanted)


@pytest.mark.parametrize(
    ("bad", "option", "reason", "cheapest_cost", "person_cost"),
    [
        # a person always costs the answer plus the cheapest of each label: 1 + 0 * good + 0 * bad
        (0.0, 0, Reason.CHEAPEST, 0.0, 1.0),
        (0.05, 0, Reason.CHEAPEST, 0.5, 1.0),
        (0.1, 0, Reason.CHEAPEST, 1.0, 1.0),
        (0.2, -1, Reason.DOUBT, 2.0, 1.0),
        (0.5, -1, Reason.DOUBT, 3.5, 1.0),
        (0.95, -1, Reason.DENIAL, 3.95, 1.0),
        (1.0, -1, Reason.DENIAL, 4.0, 1.0),
    ],
)
def test_one_case(bad: float, option: int, reason: Reason, cheapest_cost: float, person_cost: float) -> None:
    result = night([bad], terms())
    assert (result.option[0], result.reason[0]) == (option, reason)
    assert result.cheapest_cost[0] == pytest.approx(cheapest_cost)
    assert result.person_cost[0] == pytest.approx(person_cost)
    assert result.benefit[0] == pytest.approx(cheapest_cost - person_cost)


def test_a_denial_that_no_person_has_time_for_becomes_the_cheapest_open_option() -> None:
    result = night([1.0], terms(capacity=0))
    assert (result.option[0], result.reason[0], result.cheapest[0]) == (1, Reason.NO_PLACE_LEFT, 1)


def test_places_go_to_those_who_gain_most() -> None:
    result = night([0.2, 0.3, 0.25, 0.15], terms(capacity=2))
    assert result.reason == [Reason.NO_PLACE_LEFT, Reason.DOUBT, Reason.DOUBT, Reason.NO_PLACE_LEFT]
    assert result.shadow_price == pytest.approx(10 * 0.2 - REVIEW)
    assert night([0.2, 0.3, 0.25, 0.15], terms(capacity=4)).shadow_price == 0.0


def test_a_share_of_the_night_is_rounded_down() -> None:
    result = night([0.3] * 9, terms(capacity="25%"))
    assert result.places == 2
    assert [r == Reason.DOUBT for r in result.reason].count(True) == 2


def test_failures_go_to_people_whatever_the_capacity_and_come_first() -> None:
    problems = ["failed_photo", "no_model", None, None, "out_of_distribution"]
    full = night([0.2] * 5, terms(capacity=4), problems)
    assert full.reason[:2] + full.reason[4:] == [Reason.FAILED_PHOTO, Reason.NO_MODEL, Reason.OUT_OF_DISTRIBUTION]
    assert sorted(full.reason[2:4]) == [Reason.DOUBT, Reason.NO_PLACE_LEFT]
    none = night([0.2] * 5, terms(capacity=0), problems)
    assert (none.option[[0, 1, 4]] == -1).all()
    assert none.reason[2:4] == [Reason.NO_PLACE_LEFT] * 2


def test_an_unknown_problem_is_refused() -> None:
    with pytest.raises(ValueError, match="moon"):
        night([0.2], terms(), ["moon"])


def test_a_cost_that_is_unknown_sends_the_case_to_a_person() -> None:
    cost = np.tile(COST, (3, 1, 1))
    cost[1, 2, 1] = math.nan  # of the option that denies: what the machine may choose is known, the whole is not
    result = decide(ids(3), np.tile([0.99, 0.01], (3, 1)), cost, [None] * 3, terms(capacity=0))
    assert result.reason == [Reason.CHEAPEST, Reason.COST_UNKNOWN, Reason.CHEAPEST]
    assert (result.option[1], result.cheapest[1]) == (-1, -1)
    assert math.isnan(result.benefit[1])


def test_missing_probabilities_without_a_reason_go_to_a_person() -> None:
    assert night([math.nan], terms()).reason == [Reason.COST_UNKNOWN]


def test_no_cases() -> None:
    result = decide([], np.empty((0, 2)), np.empty((0, 3, 2)), [], terms(capacity="20%", exploration=0.5))
    assert (len(result.option), result.reason, result.places, result.shadow_price) == (0, [], 0, 0.0)


@pytest.mark.parametrize(
    ("probability", "cost", "denies"),
    [
        (np.zeros((2, 2)), np.zeros((1, 3, 2)), DENIES),
        (np.zeros((1, 3)), np.zeros((1, 3, 2)), DENIES),
        (np.zeros((1, 2)), np.zeros((1, 3, 2)), (False, True)),
        (np.zeros((1, 2)), np.zeros((1, 3, 2)), (True, True, True)),
    ],
)
def test_what_does_not_agree_is_refused(probability: np.ndarray, cost: np.ndarray, denies: tuple[bool, ...]) -> None:
    with pytest.raises(ValueError, match=r"do not agree|does not deny"):
        decide(["a"], probability, cost, [None], terms(denies=denies))


# -- the random share ----------------------------------------------------------------------------------------


def test_the_random_share_depends_on_case_and_workflow_alone() -> None:
    assert random_draw("returns", "C1") == random_draw("returns", "C1")
    assert random_draw("returns", "C1") != random_draw("tickets", "C1")
    drawn = {seed: night([0.0] * 300, terms(exploration=0.1, seed=seed)).reason for seed in ("a", "b")}
    assert drawn["a"] != drawn["b"]
    # neither the costs, nor what else there is that night, nor the capacity have a say
    other = night([0.3] * 200, terms(exploration=0.1, seed="a", capacity=0)).reason
    assert [r == Reason.RANDOM_SHARE for r in other] == [r == Reason.RANDOM_SHARE for r in drawn["a"][:200]]


def test_draws_are_uniform() -> None:
    draws = np.array([random_draw("returns", f"C{i}") for i in range(4000)])
    assert (draws >= 0).all()
    assert (draws < 1).all()
    counts = np.histogram(draws, bins=10, range=(0, 1))[0]
    assert ((counts - 400) ** 2 / 400).sum() < 27.9  # chi-square with 9 degrees of freedom, p = 0.001


def test_propensity_is_logged_for_every_case() -> None:
    result = night([0.0, 0.3], terms(exploration=0.05))
    assert result.propensity.tolist() == [0.05, 0.05]


# -- properties ----------------------------------------------------------------------------------------------


@st.composite
def nights(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[str | None], PolicyTerms]:
    """A night with random costs, probabilities, failures, capacity and share; some costs are missing."""
    cases, options, labels = draw(st.integers(0, 14)), draw(st.integers(1, 4)), draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    probability = rng.dirichlet(np.ones(labels), cases)
    # a coarse grid makes ties likely
    cost = rng.integers(0, 8, (cases, options, labels)).astype(float)
    cost[rng.random(cost.shape) < draw(st.sampled_from([0.0, 0.02]))] = np.nan
    problems: list[str | None] = [
        "failed_photo" if failed else None for failed in rng.random(cases) < draw(st.sampled_from([0.0, 0.3]))
    ]
    denies = tuple(bool(b) for b in rng.random(options - 1) < 0.4)
    capacity: int | str = draw(st.one_of(st.integers(0, 10), st.sampled_from(["0%", "20%", "50%", "100%"])))
    bounds = PolicyTerms((False, *denies), float(rng.random() * 3), capacity, draw(st.sampled_from([0.0, 0.2])), "w")
    return probability, cost, problems, bounds


@settings(deadline=None, max_examples=150)
@given(nights())
def test_what_must_be_true_of_every_night(
    drawn: tuple[np.ndarray, np.ndarray, list[str | None], PolicyTerms],
) -> None:
    probability, cost, problems, bounds = drawn
    result = decide(ids(len(cost)), probability, cost, problems, bounds)
    denies = np.array(bounds.denies)
    alone = result.option >= 0
    assert not denies[result.option[alone]].any(), "the machine denied"
    for i in np.flatnonzero(alone):
        open_costs = [(probability[i] * cost[i, o]).sum() for o in np.flatnonzero(~denies)]
        assert result.expected[i, result.option[i]] == pytest.approx(min(open_costs))
        assert problems[i] is None
        assert np.isfinite(cost[i]).all()
    assert [r in AUTOMATED for r in result.reason] == alone.tolist()
    failed = [p is not None or not np.isfinite(c).all() for p, c in zip(problems, cost, strict=True)]
    assert not any(on and bad for on, bad in zip(alone, failed, strict=True))
    by_choice = sum(r in (Reason.DOUBT, Reason.DENIAL) for r in result.reason)
    by_chance = result.reason.count(Reason.RANDOM_SHARE)
    assert by_choice <= max(0, bounds.places(len(cost)) - sum(failed) - by_chance)
    turned_away = [result.benefit[i] for i, r in enumerate(result.reason) if r == Reason.NO_PLACE_LEFT]
    asked = [result.benefit[i] for i, r in enumerate(result.reason) if r in (Reason.DOUBT, Reason.DENIAL)]
    assert min(asked, default=math.inf) >= max(turned_away, default=0.0)
    assert all(benefit > 0 for benefit in asked + turned_away)
    assert result.shadow_price == max(turned_away, default=0.0)


@settings(deadline=None, max_examples=100)
@given(nights(), st.integers(0, 2**32 - 1))
def test_the_order_of_the_rows_makes_no_difference(
    drawn: tuple[np.ndarray, np.ndarray, list[str | None], PolicyTerms], seed: int
) -> None:
    probability, cost, problems, bounds = drawn
    probability, cost = np.repeat(probability, 2, axis=0), np.repeat(cost, 2, axis=0)  # ties between twins
    problems, cases = [p for p in problems for _ in range(2)], ids(2 * len(problems))
    order = np.random.default_rng(seed).permutation(len(cases))
    first = decide(cases, probability, cost, problems, bounds)
    second = decide([cases[i] for i in order], probability[order], cost[order], [problems[i] for i in order], bounds)
    assert second.option.tolist() == first.option[order].tolist()
    assert second.reason == [first.reason[i] for i in order]
    assert second.shadow_price == first.shadow_price


@settings(deadline=None, max_examples=100)
@given(nights())
def test_the_shadow_price_is_what_one_more_place_saves(
    drawn: tuple[np.ndarray, np.ndarray, list[str | None], PolicyTerms],
) -> None:
    probability, cost, problems, bounds = drawn
    cases = ids(len(cost))
    places = bounds.places(len(cost))
    first = decide(cases, probability, cost, problems, dataclasses.replace(bounds, capacity=places))
    must = sum(r not in (*AUTOMATED, Reason.DOUBT, Reason.DENIAL) for r in first.reason)
    # where failures and the random share take more places than there are, one more is one less too many
    more = dataclasses.replace(bounds, capacity=max(places, must) + 1)
    second = decide(cases, probability, cost, problems, more)
    assert total(first) - total(second) == pytest.approx(first.shadow_price, abs=1e-9)


def total(result: PolicyResult) -> float:
    """Expected cost of the night, of the cases whose cost is known."""
    cost = np.where(result.option >= 0, result.cheapest_cost, result.person_cost)
    return float(np.nansum(cost))
