"""Costs of options under labels, and how many answers people have for a night."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_project.domain.core.costs import CostMatrix, PolicyTerms, case_costs, expected_costs

MATRIX = CostMatrix(
    labels=("kept", "returned"),
    options=("warn", "do_nothing"),
    cells=(("0.5 * price", 0), (0, "0.5 * (3 + 0.1 * price)")),
)


def test_cost_of_every_cell() -> None:
    """The published costs of order_returns: 0.5 p against 0.5 (3 + 0.1 p)."""
    costs = case_costs(MATRIX, {"price": np.array([100.0, 20.0])}, 2)
    np.testing.assert_allclose(costs, [[[50.0, 0.0], [0.0, 6.5]], [[10.0, 0.0], [0.0, 2.5]]])


def test_missing_field_makes_only_its_cells_unknown() -> None:
    costs = case_costs(MATRIX, {"price": np.array([np.nan])}, 1)
    np.testing.assert_array_equal(np.isnan(costs), [[[True, False], [False, True]]])


def test_dividing_by_a_field_that_is_zero_is_unknown() -> None:
    matrix = CostMatrix(labels=("a", "b"), options=("x",), cells=(("1 / price", 1),))
    costs = case_costs(matrix, {"price": np.array([0.0, 2.0])}, 2)
    np.testing.assert_array_equal(costs[:, 0, 0], [np.nan, 0.5])


def test_no_cases() -> None:
    assert case_costs(MATRIX, {"price": np.array([])}, 0).shape == (0, 2, 2)
    assert expected_costs(np.empty((0, 2)), np.empty((0, 2, 2))).shape == (0, 2)


def test_expected_costs_weigh_labels() -> None:
    costs = case_costs(MATRIX, {"price": np.array([100.0])}, 1)
    np.testing.assert_allclose(expected_costs(np.array([[0.1, 0.9]]), costs), [[5, 5.85]])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_expected_cost_lies_between_the_costs(shares: list[float]) -> None:
    probability = np.column_stack([shares, 1 - np.array(shares)])
    costs = case_costs(MATRIX, {"price": np.full(len(shares), 80.0)}, len(shares))
    expected = expected_costs(probability, costs)
    assert (expected >= costs.min(axis=2) - 1e-9).all()
    assert (expected <= costs.max(axis=2) + 1e-9).all()


@pytest.mark.parametrize(
    ("capacity", "cases", "places"),
    [(25, 10, 25), (0, 10, 0), ("20%", 10, 2), ("20%", 9, 1), ("29%", 100, 29), ("0.5%", 1000, 5), ("100%", 7, 7)],
)
def test_places(capacity: int | str, cases: int, places: int) -> None:
    assert PolicyTerms((False,), 1.0, capacity, 0.0, "w").places(cases) == places
