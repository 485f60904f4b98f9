"""A search ends in time, can be repeated, and looks at nothing that figures are reported of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar, cast

import numpy as np
import pytest

from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.models.boosting import BoostedTrees
from pipeline_project.domain.models.estimator import Estimator, EstimatorSettings
from pipeline_project.domain.models.search import Budget, LabelledCases, candidates, search

SETTINGS = EstimatorSettings(("a", "b"))
GRID = {"sharpness": (0.1, 0.5, 2.0), "other": (1.0, 2.0)}


class Counted:
    """Tells what the number `x` says, as sharply as it was set to; counts what it was fitted on."""

    GRID = GRID
    fitted: ClassVar[list[int]] = []

    def __init__(self, settings: EstimatorSettings) -> None:
        self.sharpness = dict(settings.choices).get("sharpness", 1.0)

    def fit(self, table: FeatureTable, y: np.ndarray, *_: Any) -> Counted:
        self.fitted.append(len(table))
        return self

    def probabilities(self, table: FeatureTable) -> np.ndarray:
        second = 1 / (1 + np.exp(-self.sharpness * table.numbers[:, 0]))
        return np.column_stack([1 - second, second])


#: What a search needs of an estimator is there.
COUNTED = cast(type[Estimator], Counted)


def cases(rows: int = 1000, slope: float = 2.0) -> tuple[FeatureTable, np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    x = random.normal(size=(rows, 1)) * 2
    y = (random.random(rows) < 1 / (1 + np.exp(-slope * x[:, 0]))).astype(np.int64)
    nights = np.array([f"2024-03-{1 + i * 20 // rows:02d}" for i in range(rows)], dtype=object)
    none = np.empty((rows, 0), dtype=object)
    return FeatureTable(nights, nights, ("x",), x, (), none), y, np.ones(rows)


def ticking(seconds: float) -> Callable[[], float]:
    """A clock that moves on by so much whenever it is read."""
    now = [0.0]

    def clock() -> float:
        now[0] += seconds
        return now[0]

    return clock


def test_candidates_come_in_an_order_drawn_by_the_seed() -> None:
    every = list(candidates(GRID, 7))

    assert every[0] == ()
    assert len(every) == len(set(every)) == 7
    assert every == list(candidates(GRID, 7))
    assert every != list(candidates(GRID, 8))
    assert list(candidates({}, 7)) == [()]


def test_the_best_on_later_nights_is_chosen_and_what_was_tried_is_told() -> None:
    found = search(COUNTED, SETTINGS, LabelledCases(*cases()), 7, Budget(3600), ticking(1))
    told = found.parameters()

    assert dict(found.choices)["sharpness"] == 2.0
    assert told["search_candidates"] == 7
    assert told["search_chosen"].startswith("sharpness=2, ")
    assert told["search_tried"].count(";") == 6
    assert "as it comes: " in told["search_tried"]


def test_what_comes_with_the_estimator_stays_unless_something_is_clearly_better(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Counted, "GRID", {"sharpness": (1.01,)})
    found = search(COUNTED, SETTINGS, LabelledCases(*cases(slope=1.3)), 7, Budget(candidates=2))

    (_, own), (_, other) = found.tried
    assert own - 0.001 < other < own
    assert found.choices == ()
    assert found.parameters()["search_chosen"] == "as it comes"


@pytest.mark.parametrize(("seconds", "tried"), [(10, 1), (20, 2), (29.9, 2), (30, 3), (0.001, 1), (1e9, 7)])
def test_nothing_is_begun_that_would_not_end_in_time(seconds: float, tried: int) -> None:
    found = search(COUNTED, SETTINGS, LabelledCases(*cases()), 7, Budget(seconds), ticking(10))
    assert found.parameters()["search_candidates"] == tried


def test_as_many_candidates_as_before_choose_the_same_on_any_machine() -> None:
    slow = search(COUNTED, SETTINGS, LabelledCases(*cases()), 7, Budget(40), ticking(10))
    number = slow.parameters()["search_candidates"]

    assert number == 4
    assert search(COUNTED, SETTINGS, LabelledCases(*cases()), 7, Budget(1, number)) == slow


def test_no_search_no_trial() -> None:
    Counted.fitted.clear()
    for budget in (Budget(), Budget(100, 0)):
        assert search(COUNTED, SETTINGS, LabelledCases(*cases()), 7, budget).parameters() == {}
    assert search(COUNTED, SETTINGS, LabelledCases(*cases(150)), 7, Budget(100), ticking(1)).parameters() == {}
    assert Counted.fitted == []
    with pytest.raises(ValueError, match="needs a clock"):
        search(COUNTED, SETTINGS, LabelledCases(*cases()), 7, Budget(100))


def test_candidates_of_trees_are_trees_that_differ() -> None:
    table, y, weights = cases()
    choices = next(islice(candidates(BoostedTrees.GRID, 7), 1, None))
    plain = BoostedTrees(SETTINGS).fit(table, y, weights)
    other = BoostedTrees(replace(SETTINGS, choices=choices)).fit(table, y, weights)

    assert set(dict(choices)) == set(BoostedTrees.GRID)
    assert other.parameters().items() >= dict(choices).items()
    assert other.files() != plain.files()
    assert BoostedTrees.from_files(other.files()).files() == other.files()
