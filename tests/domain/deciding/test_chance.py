"""The random share costs what its budget allows, and its logged chance stays true."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline_project.domain.core.costs import PolicyTerms
from pipeline_project.domain.core.reasons import Reason
from pipeline_project.domain.deciding.exploration import extra_cost, scaled_rate
from pipeline_project.domain.deciding.policy import PolicyResult, decide

COST = np.array([[0.0, 10.0], [10.0, 0.0]])
CASES = 4000


def night(budget: float | None, exploration: float = 0.1, seed: str = "w") -> PolicyResult:
    """Sure cases and doubts; a person costs 2."""
    bad = np.random.default_rng(1).choice([0.0, 0.1, 0.4], CASES)
    terms = PolicyTerms((False, False), 2.0, 100, exploration, seed, exploration_budget=budget)
    cost = np.broadcast_to(COST, (CASES, 2, 2))
    problems: list[str | None] = ["failed_photo" if i % 50 == 0 else None for i in range(CASES)]
    return decide([f"C{i}" for i in range(CASES)], np.column_stack([1 - bad, bad]), cost, problems, terms)


def test_what_an_answer_costs_beyond_the_cheapest_decision() -> None:
    benefit, free = np.array([-2.0, 3.0, np.nan, -1.0]), np.array([True, True, True, False])
    assert extra_cost(benefit, free).tolist() == [2.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(("budget", "rate"), [(None, 0.1), (50.0, 0.1), (10.0, 0.1), (5.0, 0.05), (0.0, 0.0)])
def test_the_share_is_scaled_to_its_budget(budget: float | None, rate: float) -> None:
    assert scaled_rate(0.1, np.array([40.0, 60.0]), budget) == pytest.approx(rate)


def test_a_night_that_costs_nothing_needs_no_scaling() -> None:
    assert scaled_rate(0.1, np.zeros(3), 0.0) == 0.1


def test_the_cost_is_told_with_and_without_a_budget() -> None:
    free = night(None)
    extra = sum(float(max(0.0, -b)) for b, r in zip(free.benefit, free.reason, strict=True) if r != Reason.FAILED_PHOTO)
    assert free.exploration.expected == pytest.approx(0.1 * extra)
    drawn = [i for i, reason in enumerate(free.reason) if reason == Reason.RANDOM_SHARE]
    assert (free.exploration.drawn, free.exploration.rate, free.exploration.budget) == (len(drawn), 0.1, None)
    assert free.exploration.realised == pytest.approx(float(np.maximum(0, -free.benefit[drawn]).sum()))


def test_a_budget_halves_the_share_of_every_case_alike() -> None:
    free = night(None)
    half = night(free.exploration.expected / 2)
    assert half.exploration.expected == pytest.approx(free.exploration.expected / 2)
    assert half.exploration.rate == pytest.approx(0.05)
    assert set(half.propensity.tolist()) == {half.exploration.rate}
    # by the same draw: a smaller share is a part of the larger
    asked = [{i for i, r in enumerate(each.reason) if r == Reason.RANDOM_SHARE} for each in (half, free)]
    assert asked[0] < asked[1]


def test_the_logged_chance_is_how_often_a_case_is_drawn() -> None:
    drawn = np.zeros(CASES)
    for seed in range(60):
        result = night(30.0, seed=f"w{seed}")
        drawn += [reason == Reason.RANDOM_SHARE for reason in result.reason]
    may = np.arange(CASES) % 50 != 0
    expected = 60 * may.sum() * result.exploration.rate
    assert result.exploration.rate < 0.1
    assert abs(drawn[may].sum() - expected) < 4 * np.sqrt(expected)
    assert drawn[~may].sum() == 0


def test_no_budget_left_means_no_random_share() -> None:
    none = night(0.0)
    assert none.exploration.drawn == none.exploration.expected == 0
    assert (none.propensity == 0).all()
