"""What decided nights came to, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_project.domain.costs import CostMatrix, PolicyTerms
from pipeline_project.domain.results import THIS, Results, compare, realised, resampled_totals

MATRIX = CostMatrix(("kept", "worn"), ("refund", "reject"), ((0, 10), (20, 0)))
COST = np.array([[0.0, 10.0], [20.0, 0.0]])
TERMS = PolicyTerms((False, True), review_cost=1.0, capacity=10, exploration=0.0, seed="claims")


def results(rows: list[tuple[str, str]], customers: list[str | None] | None = None, waiting: int = 0) -> Results:
    """`rows`: what was decided and what turned out to be true."""
    matured = pd.DataFrame(rows, columns=["option", "label"])
    whose = np.array(customers or list(range(len(rows))), dtype=object)
    cost = np.tile(COST, (len(rows), 1, 1))
    return compare(matured, cost, whose, MATRIX, TERMS, waiting, {"auc": 0.7})


def test_by_hand() -> None:
    found = results(
        [("refund", "kept"), ("refund", "worn"), ("reject", "worn"), ("ask_person", "worn"), ("ask_person", "kept")],
        waiting=3,
    )
    totals = {cost.policy: cost.total for cost in found.costs}
    # refund, kept 0; refund, worn 10; reject, worn 0; a person costs 1 and then chooses what costs nothing
    assert totals == {
        "always refund": 30.0,
        "always reject": 40.0,
        "always ask a person": 5.0,
        THIS: 12.0,
    }
    against = {cost.policy: cost.against_best for cost in found.costs}
    assert against["always ask a person"] == 0.0
    assert against[THIS] == pytest.approx(12 / 5 - 1)
    assert (found.cases, found.undecided_outcomes, found.to_people, found.share_to_people) == (5, 3, 2, 0.4)
    assert found.right_alone == pytest.approx(2 / 3)
    assert found.quality == {"auc": 0.7}


def test_a_person_finds_the_truth_and_takes_the_cheapest_option() -> None:
    cost = np.array([[[5.0, 9.0], [7.0, 8.0]]] * 2)
    assert realised(["ask_person", "reject"], np.array([0, 1]), cost, MATRIX, 2.5).tolist() == [7.5, 8.0]


def test_nothing_known_yet() -> None:
    found = results([], waiting=4)
    assert (found.cases, found.undecided_outcomes, found.share_to_people) == (0, 4, 0.0)
    assert {(cost.total, cost.low, cost.high, cost.against_best) for cost in found.costs} == {(0.0, 0.0, 0.0, 0.0)}
    assert np.isnan(found.right_alone)


def test_all_to_people_is_neither_right_nor_wrong() -> None:
    assert np.isnan(results([("ask_person", "kept")]).right_alone)


def test_cases_whose_costs_are_unknown_are_left_out_of_every_policy() -> None:
    matured = pd.DataFrame([("refund", "kept"), ("refund", "worn")], columns=["option", "label"])
    cost = np.array([COST, [[np.nan, 10.0], [20.0, 0.0]]])
    found = compare(matured, cost, np.array(["a", "b"]), MATRIX, TERMS, 0, {})
    assert (found.cases, {c.policy: c.total for c in found.costs}[THIS]) == (1, 0.0)


def test_many_options_are_not_each_a_policy_of_their_own() -> None:
    names = tuple(f"route_{i}" for i in range(13))
    matrix = CostMatrix(names, names, tuple(tuple(float(i != j) for j in range(13)) for i in range(13)))
    cost = np.tile(np.array(matrix.cells, dtype=float), (2, 1, 1))
    matured = pd.DataFrame([("route_1", "route_1"), ("route_1", "route_2")], columns=["option", "label"])
    found = compare(matured, cost, np.array([1, 2]), matrix, TERMS, 0, {})
    assert [c.policy for c in found.costs] == ["always ask a person", THIS]
    assert found.right_alone == 0.5


# -- intervals -----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from(["refund", "reject", "ask_person"]), st.sampled_from(MATRIX.labels)), min_size=1)
)
def test_the_interval_contains_the_total(rows: list[tuple[str, str]]) -> None:
    for cost in results(rows).costs:
        assert cost.low - 1e-9 <= cost.total <= cost.high + 1e-9


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
