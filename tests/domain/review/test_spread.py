from __future__ import annotations

from dataclasses import replace
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, hypergeom

from pipeline_project.domain.measures.intervals import upper_share
from pipeline_project.domain.review.new_tasks import ReviewTerms, SpreadTerms
from pipeline_project.domain.review.spread import (
    Member,
    budget,
    drawn,
    eligible,
    members_hash,
    most_disagreeing,
    sample_size,
    spread_plan,
    standing,
)


def unseen_share(members: int, sample: int, disagreements: int, alpha: float) -> float:
    """The exact upper bound on the share that disagree among the members not drawn; 0 when all were drawn."""
    if members == sample:
        return 0.0
    return (most_disagreeing(members, sample, disagreements, alpha) - disagreements) / (members - sample)


ALPHAS = (0.001, 0.05, 0.1, 0.25, 0.5)


def chance(found: int, members: int, disagreeing: int, sample: int) -> float:
    return comb(disagreeing, found) * comb(members - disagreeing, sample - found) / comb(members, sample)


@pytest.mark.parametrize("members", range(1, 17))
def test_the_bound_covers_every_small_cluster(members: int) -> None:
    """Every cluster of up to 16, every sample size, every number of disagreements: nothing left to chance."""
    for alpha in ALPHAS:
        for sample in range(members + 1):
            bounds = [most_disagreeing(members, sample, found, alpha) for found in range(sample + 1)]
            for disagreeing in range(members + 1):
                missed = sum(
                    chance(found, members, disagreeing, sample)
                    for found in range(max(0, sample - (members - disagreeing)), min(sample, disagreeing) + 1)
                    if bounds[found] < disagreeing
                )
                assert missed <= alpha + 1e-12


def test_the_bound_wastes_nothing() -> None:
    """One disagreeing member more would already be refuted at alpha."""
    for members, sample, found, alpha in [(40, 10, 1, 0.05), (200, 30, 0, 0.1), (25, 24, 3, 0.01), (1000, 50, 5, 0.2)]:
        bound = most_disagreeing(members, sample, found, alpha)
        assert hypergeom.cdf(found, members, bound, sample) > alpha
        assert hypergeom.cdf(found, members, bound + 1, sample) <= alpha


def test_an_exact_tie_counts_as_refuted() -> None:
    # of four members three drawn: the one that disagrees is missed with a chance of exactly 1/4
    assert most_disagreeing(4, 3, 0, 0.25) == 0
    assert most_disagreeing(4, 3, 0, 0.2499) == 1


@given(st.integers(1, 400), st.data())
@settings(max_examples=200, deadline=None)
def test_at_most_a_member_above_clopper_and_pearson(members: int, data: st.DataObject) -> None:
    sample = data.draw(st.integers(1, members))
    found = data.draw(st.integers(0, sample))
    alpha = data.draw(st.sampled_from((0.001, 0.01, 0.05)))
    finite, endless = most_disagreeing(members, sample, found, alpha), upper_share(found, sample, alpha)
    assert found <= finite <= members - (sample - found)
    # whole members are counted, so that it may round up to the next one
    assert finite <= endless * members + 1


def test_tends_to_clopper_and_pearson() -> None:
    for sample, found in [(20, 0), (40, 2), (100, 7)]:
        endless = upper_share(found, sample, 0.05)
        gaps = [endless - most_disagreeing(members, sample, found, 0.05) / members for members in (200, 2_000, 200_000)]
        assert gaps[0] > gaps[1] > gaps[2]
        assert abs(gaps[2]) < 1e-4
        known = binomtest(found, sample).proportion_ci(confidence_level=0.90, method="exact").high
        assert endless == pytest.approx(known, abs=1e-9)


def test_counts_that_cannot_be_are_refused() -> None:
    for members, sample, found, alpha in [(5, 6, 0, 0.1), (5, 3, 4, 0.1), (5, 3, -1, 0.1), (5, 3, 1, 0), (5, 3, 1, 1)]:
        with pytest.raises(ValueError):
            most_disagreeing(members, sample, found, alpha)


def test_the_budget_of_a_night_is_never_exceeded() -> None:
    spent = [budget(0.1, position) for position in range(1, 10_001)]
    assert sum(spent) < 0.1
    assert spent == sorted(spent, reverse=True)
    assert sum(spent) == pytest.approx(0.1, rel=1e-3)
    with pytest.raises(ValueError):
        budget(0.1, 0)


@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_the_sample_is_enough_and_the_smallest(allowed: int) -> None:
    for members in (20, 40, 75, 150, 400):
        for limit, alpha in ((0.15, 0.05), (0.1, 0.05), (0.3, 0.1)):
            sample = sample_size(members, allowed, limit, alpha)
            tried = range(allowed + 1, members if sample is None else sample)
            assert all(unseen_share(members, smaller, allowed, alpha) > limit for smaller in tried)
            if sample is not None:
                assert sample < members
                assert all(unseen_share(members, sample, d, alpha) <= limit for d in range(allowed + 1))


def test_small_clusters_have_no_plan_and_large_ones_save_most() -> None:
    assert spread_plan(10, 0.15, 0.05) is None
    sizes = [(members, spread_plan(members, 0.15, 0.05)) for members in (30, 60, 100, 1000)]
    assert [(plan.sample, plan.allowed) for _, plan in sizes if plan] == [(23, 0), (20, 0), (46, 2), (41, 2)]


def test_a_spread_waits_for_the_whole_sample_and_a_split_does_not() -> None:
    plan = spread_plan(100, 0.15, 0.05)
    assert plan is not None
    assert (plan.sample, plan.allowed) == (46, 2)
    assert standing(plan, 45, 0).spread is None
    assert standing(plan, 46, 2).spread is True
    assert standing(plan, 3, 3).spread is False
    bound = standing(plan, 46, 0).bound
    assert bound is not None and 0 < bound < 0.15


def test_fewer_members_left_to_spread_to_may_break_the_limit() -> None:
    plan = spread_plan(100, 0.15, 0.05)
    assert plan is not None
    assert standing(plan, plan.sample, 2).spread is True
    # eight wrong ones may be left: among 54 that is within the limit, among 20 it is not
    assert standing(plan, plan.sample, 2, reached=20).spread is False
    assert standing(plan, plan.sample, 2, reached=0).spread is True


@pytest.mark.parametrize(("members", "limit", "error"), [(60, 0.15, 0.1), (100, 0.15, 0.1), (250, 0.1, 0.2)])
def test_clusters_just_above_the_limit_spread_at_most_at_the_error_rate(
    members: int, limit: float, error: float
) -> None:
    """500 clusters that should not spread, each drawn by hash: so many do as chance explains, and no more."""
    alpha = budget(error, 1)
    plan = spread_plan(members, limit, alpha)
    assert plan is not None
    # one more disagrees than could be among those not drawn
    disagreeing = int(limit * plan.unseen()) + plan.allowed + 1
    cases = [f"case-{i}" for i in range(members)]
    wrong = 0
    for review in range(500):
        found = sum(int(case[5:]) < disagreeing for case in drawn("returns", str(review), cases, plan.sample))
        wrong += bool(standing(plan, plan.sample, found).spread)
    exact = sum(chance(found, members, disagreeing, plan.sample) for found in range(plan.allowed + 1))
    assert exact <= alpha
    assert wrong <= 500 * alpha + 4 * np.sqrt(500 * alpha)
    assert abs(wrong - 500 * exact) <= 4 * np.sqrt(500 * exact)
    assert wrong > 0


def test_one_answer_more_or_less_would_break_the_promise() -> None:
    """What the plan says matters: a sample one smaller, or one more disagreement allowed, and the error is exceeded."""
    plan = spread_plan(100, 0.15, 0.05)
    assert plan is not None
    assert unseen_share(100, plan.sample - 1, plan.allowed, plan.alpha) > plan.limit
    assert standing(replace(plan, allowed=3), plan.sample, 3).spread is False


def test_clusters_of_homogeneous_members_spread() -> None:
    plan = spread_plan(60, 0.15, 0.05)
    assert plan is not None
    assert standing(plan, plan.sample, 0).spread is True


def test_the_draw_is_the_same_for_ever_and_differs_by_review() -> None:
    cases = [f"c{i}" for i in range(50)]
    first = drawn("returns", "1", cases, 10)
    assert first == drawn("returns", "1", reversed(cases), 10)
    assert first[:5] == ["c47", "c0", "c25", "c34", "c40"]
    assert first != drawn("returns", "2", cases, 10)
    assert first != drawn("tickets", "1", cases, 10)
    counts = np.zeros(50)
    for review in range(2000):
        for case in drawn("returns", str(review), cases, 10):
            counts[int(case[1:])] += 1
    # 400 each on average, with a standard deviation of 18
    assert abs(counts - 400).max() < 5 * 18


def test_members_are_named_whatever_their_order() -> None:
    assert members_hash(["b", "a"]) == members_hash(["a", "b"]) != members_hash(["a", "c"])


TERMS = ReviewTerms(
    workflow="returns",
    title="Returns",
    currency="EUR",
    options={"refund": "Refund", "reject": "Reject"},
    denies=frozenset({"reject"}),
    labels=("fine", "worn"),
    cost=4.5,
    capacity=10,
    due_hours=72,
    remind_hours=(24,),
    lapse_hours=96,
    safe_default=None,
    lease_minutes=15,
    most_tasks=40,
    skill=None,
    reasons={"policy": "Policy"},
    second_above=400,
    second_nights=30,
    repeats=0,
    clusters=SpreadTerms(limit=0.15, error=0.1, ceiling=150, minimum=6),
)


def member(task: int, amount: float | None = 20.0, subject: str | None = None, why: str = "doubt") -> Member:
    return Member(task, f"c{task}", amount, subject, why)


def test_who_needs_eyes_of_their_own_is_no_member() -> None:
    given = [
        member(1),
        member(2, amount=151),
        member(3, amount=None),
        member(4, why="random_share"),
        member(5, why="out_of_distribution"),
        member(6, why="failed_photo"),
        member(7, amount=150, why="no_model"),
    ]
    assert [m.task for m in eligible(given, TERMS)] == [1, 7]
    assert eligible(given, replace(TERMS, clusters=None)) == []


def test_without_a_ceiling_and_four_eyes_money_does_not_matter() -> None:
    free = replace(TERMS, second_above=None, clusters=SpreadTerms(0.15, 0.1, None, 6))
    assert [m.task for m in eligible([member(1, amount=None), member(2, amount=9e9)], free)] == [1, 2]


def test_a_customers_amounts_add_up() -> None:
    split = [member(i, amount=140, subject="anna") for i in range(3)]
    assert [m.task for m in eligible([*split, member(9, subject="bert")], TERMS)] == [9]
    assert len(eligible(split[:2], TERMS)) == 2
