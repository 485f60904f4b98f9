"""A search for better hyper-parameters that ends in time and can be repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.features.timeline import later_share
from pipeline_project.domain.measures.probabilities import log_loss
from pipeline_project.domain.models.estimator import Estimator, EstimatorSettings

#: Seconds on a clock that only runs forward.
Clock = Callable[[], float]
Choices = tuple[tuple[str, float], ...]

_TRY_SHARE = 0.25
_FEWEST = 100
#: A candidate must be better than what the estimator comes with by this much log-loss, or it is taken for luck.
_MARGIN = 0.001
_MOST_SHOWN = 20


@dataclass(frozen=True)
class Budget:
    """How long a search may take.

    Attributes:
        seconds: by the clock; a candidate that would probably not end in time is not begun. 0 means no search.
        candidates: exactly so many, whatever the clock says, which repeats a search on any machine.
    """

    seconds: float = 0.0
    candidates: int | None = None

    @property
    def searches(self) -> bool:
        return self.candidates > 0 if self.candidates is not None else self.seconds > 0


@dataclass(frozen=True)
class SearchResult:
    """What a search chose.

    Attributes:
        choices: replace what the estimator comes with; empty when that was best.
        tried: choices and their log-loss, in the order they were tried; the first are the estimator's own.
    """

    choices: Choices = ()
    tried: tuple[tuple[Choices, float], ...] = field(default_factory=tuple)

    def parameters(self) -> dict[str, Any]:
        """For the registry: how many were tried, the best of them and their log-loss, and what was chosen."""
        if not self.tried:
            return {}
        best = sorted(self.tried, key=lambda one: one[1])[:_MOST_SHOWN]
        return {
            "search_candidates": len(self.tried),
            "search_chosen": _describe(self.choices),
            "search_tried": "; ".join(f"{_describe(choices)}: {loss:.5f}" for choices, loss in best),
        }


def candidates(grid: Mapping[str, tuple[float, ...]], seed: int) -> Iterator[Choices]:
    """What the estimator comes with, then every combination of the grid in an order drawn by the seed."""
    yield ()
    if not grid:
        return
    every = list(product(*grid.values()))
    for i in np.random.default_rng(seed).permutation(len(every)):
        yield tuple(zip(grid, every[int(i)], strict=True))


@dataclass(frozen=True)
class LabelledCases:
    """Cases with what was true of them: `y` the index of the label, `weights` how much each counts, shape (n,)."""

    table: FeatureTable
    y: np.ndarray
    weights: np.ndarray


def search(
    kind: type[Estimator],
    settings: EstimatorSettings,
    cases: LabelledCases,
    seed: int,
    budget: Budget,
    clock: Clock | None = None,
) -> SearchResult:
    """The choices with the lowest log-loss on the later nights of these cases, learned on the earlier ones.

    Args:
        cases: such that no figure will be reported of, or the choice would flatter it.

    Raises:
        ValueError: the budget is in seconds and there is no clock.
    """
    if not budget.searches:
        return SearchResult()
    table, y, weights = cases.table, cases.y, cases.weights
    later = later_share(table.nights, _TRY_SHARE)
    if later.sum() < _FEWEST or (~later).sum() < _FEWEST or len(np.unique(y[~later])) < 2:
        return SearchResult()
    early, late = table.select(~later), table.select(later)
    tried: list[tuple[Choices, float]] = []
    for choices in _in_time(candidates(kind.GRID, seed), budget, clock):
        model = kind(replace(settings, choices=choices)).fit(early, y[~later], weights[~later], seed)
        tried.append((choices, log_loss(model.probabilities(late), y[later], weights[later])))
    best = min(tried, key=lambda one: one[1])
    return SearchResult(best[0] if best[1] < tried[0][1] - _MARGIN else (), tuple(tried))


def _in_time(of: Iterator[Choices], budget: Budget, clock: Clock | None) -> Iterator[Choices]:
    """Candidates while there is budget for one more as slow as the slowest so far; the first one always."""
    if budget.candidates is not None:
        yield from (choices for _, choices in zip(range(budget.candidates), of, strict=False))
        return
    if clock is None:
        raise ValueError("a search bounded in seconds needs a clock; pass time.monotonic, or a number of candidates")
    begun = now = clock()
    slowest = 0.0
    for choices in of:
        if now - begun + slowest > budget.seconds and slowest > 0:
            return
        yield choices
        then, now = now, clock()
        slowest = max(slowest, now - then)


def _describe(choices: Choices) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in choices) or "as it comes"
