"""The random share within its budget: what chance costs, and how often it may be taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Exploration:
    """What the random share of one night costs beyond the cheapest decision, in the workflow's currency.

    Attributes:
        declared: the share that the spec asks for.
        rate: the share that was drawn with, scaled down where the budget asks for it.
        budget: most money it may cost in expectation; None without one.
        expected: what it costs in expectation.
        realised: expected extra cost of the cases that were drawn.
        drawn: cases drawn.
    """

    declared: float
    rate: float
    budget: float | None
    expected: float
    realised: float
    drawn: int


def extra_cost(benefit: np.ndarray, free: np.ndarray) -> np.ndarray:
    """What asking a person costs beyond the cheapest decision, per case; 0 where an answer saves money anyway.

    Args:
        benefit: what an answer saves; NaN if unknown.
        free: whether the case may be drawn at all (failures go to people whatever chance says).
    """
    return np.where(free, np.maximum(0.0, -np.nan_to_num(benefit)), 0.0)


def scaled_rate(rate: float, extra: np.ndarray, budget: float | None) -> float:
    """The share that keeps the expected cost within the budget: the same for all cases, known before any is drawn.

    The rate is scaled for the whole night rather than stopping when the money is spent: a case's chance would then
    depend on the cases drawn before it, and the logged propensity would not be true.
    """
    total = rate * float(extra.sum())
    return rate if budget is None or total <= budget else rate * budget / total
