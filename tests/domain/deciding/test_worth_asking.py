"""What an answer can save at the most, against every belief of a fine grid."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from pipeline_project.domain.deciding.worth_asking import distinct_costs, most_saved

NONE = np.zeros(2, dtype=bool)


@pytest.mark.parametrize(
    ("cost", "denies", "saved"),
    [
        # one coin: wrong either way costs 10, so at even odds an answer saves 5
        ([[0, 10], [10, 0]], [False, False], 5.0),
        ([[0, 30], [10, 0]], [False, False], 30 * 10 / 40),
        # one option is never worse: nothing is worth knowing
        ([[0, 1], [2, 3]], [False, False], 0.0),
        # the better option is closed to the machine: an answer saves all of its advantage
        ([[50, 50], [0, 10]], [False, True], 50.0),
        ([[7, 7]], [False], 0.0),
    ],
)
def test_the_most_that_an_answer_saves(cost: list[list[float]], denies: list[bool], saved: float) -> None:
    assert most_saved(np.array(cost, dtype=float), np.array(denies)) == pytest.approx(saved)


def test_no_belief_of_a_grid_saves_more_and_one_saves_nearly_as_much() -> None:
    rng = np.random.default_rng(3)
    steps = 60
    beliefs = (
        np.array([(a, b, steps - a - b) for a, b in product(range(steps + 1), repeat=2) if a + b <= steps]) / steps
    )
    for _ in range(20):
        cost = rng.uniform(-20, 100, (4, 3))
        denies = np.array([False, False, True, False])
        saved = (cost[~denies] @ beliefs.T).min(axis=0) - beliefs @ cost.min(axis=0)
        assert saved.max() <= most_saved(cost, denies) + 1e-6
        assert saved.max() >= most_saved(cost, denies) - 4.0


def test_where_every_option_denies_nothing_is_open() -> None:
    with pytest.raises(ValueError, match="every option denies"):
        most_saved(np.ones((2, 2)), np.ones(2, dtype=bool))


def test_cases_with_the_same_costs_are_looked_at_once() -> None:
    one, other = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[0.0, 5.0], [5.0, 0.0]])
    unknown = np.array([[np.nan, 1.0], [1.0, 0.0]])
    matrices, counts = distinct_costs(np.array([one, other, one, unknown]))
    assert dict(zip([m.max() for m in matrices], counts, strict=True)) == {1.0: 2, 5.0: 1}
    assert len(distinct_costs(np.array([unknown]))[1]) == 0
