"""Intervals: of shares against what is known of them, of totals and means over customers that are drawn again."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from pipeline_project.domain.measures.intervals import (
    grouped,
    mean_intervals,
    resampled_totals,
    share_interval,
    upper_share,
)

# -- of a share ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wrong", "cases"), [(0, 1), (0, 59), (3, 200), (17, 400), (399, 400)])
def test_the_bound_is_the_rate_at_which_so_few_are_just_as_rare(wrong: int, cases: int) -> None:
    bound = upper_share(wrong, cases, 0.05)
    assert binom.cdf(wrong, cases, bound) == pytest.approx(0.05)


def test_where_all_are_nothing_is_bounded() -> None:
    assert upper_share(0, 0, 0.05) == upper_share(7, 7, 0.05) == 1.0


def test_a_share_has_the_exact_interval() -> None:
    for hits, cases in [(0, 4), (4, 4), (13, 20), (1, 1)]:
        known = binomtest(hits, cases).proportion_ci(method="exact")
        assert share_interval(hits, cases) == pytest.approx((known.low, known.high), abs=1e-9)


@pytest.mark.parametrize(("hits", "cases", "alpha"), [(0, 0, 0.05), (3, 2, 0.05), (-1, 2, 0.05), (1, 2, 2.0)])
def test_counts_that_cannot_be_are_refused(hits: int, cases: int, alpha: float) -> None:
    with pytest.raises(ValueError):
        share_interval(hits, cases, alpha)


# -- over customers ------------------------------------------------------------------------------------------


def test_customers_are_drawn_and_not_cases() -> None:
    """A hundred cases of one customer are one draw: all or nothing, many times over."""
    costs = np.ones((100, 1))
    alone = resampled_totals(costs, np.array(["k"] * 100))
    assert (alone == 100).all()
    two = resampled_totals(np.array([[1.0], [0.0]]), np.array(["a", "b"]), rounds=4000)
    assert set(two[:, 0]) == {0.0, 1.0, 2.0}
    assert (two == 1).mean() == pytest.approx(0.5, abs=0.05)
    many = resampled_totals(costs, np.arange(100), rounds=4000)
    assert (many == 100).all()


def test_policies_are_compared_on_the_same_draws() -> None:
    costs = np.column_stack([np.arange(50.0), np.arange(50.0) + 1])
    draws = resampled_totals(costs, np.arange(50))
    np.testing.assert_allclose(draws[:, 1] - draws[:, 0], 50)


def test_the_draws_are_the_same_every_time() -> None:
    costs = np.arange(20.0)[:, None]
    np.testing.assert_array_equal(resampled_totals(costs, np.arange(20)), resampled_totals(costs, np.arange(20)))


def test_cases_without_a_customer_are_customers_of_their_own() -> None:
    costs = np.array([[1.0], [2.0], [4.0]])
    nobody = resampled_totals(costs, np.array([None, None, "a"], dtype=object))
    own = resampled_totals(costs, np.array(["x", "y", "z"], dtype=object))
    assert sorted(set(nobody[:, 0])) == sorted(set(own[:, 0]))
    assert resampled_totals(costs, np.array([None] * 3, dtype=object)).std() > 0


def test_a_part_without_a_case_in_a_draw_still_has_an_interval() -> None:
    each, customers = np.arange(40.0), np.arange(40)
    rare = np.zeros(40, dtype=bool)
    rare[3] = True
    found = mean_intervals(each, [rare], customers, 7)[0]
    assert (found.value, found.low, found.high) == (3.0, 3.0, 3.0)


def test_many_customers_are_drawn_in_groups_that_keep_each_whole() -> None:
    customers = np.repeat(np.arange(20_000), 2)
    groups = grouped(customers, 7)
    assert groups.max() < 5000
    assert (groups[::2] == groups[1::2]).all()
    each = np.random.default_rng(1).normal(2, 1, 40_000)
    found = mean_intervals(each, [np.ones(40_000, dtype=bool)], customers, 7)[0]
    assert found.high - found.low == pytest.approx(2 * 1.96 * 1 / math.sqrt(40_000), rel=0.15)
