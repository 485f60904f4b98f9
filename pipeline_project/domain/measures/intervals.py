"""Intervals: of a share exactly; of money over customers drawn again and again, as cases of one belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.schema import CASE_ID

ROUNDS = 1000
#: More customers than this are drawn in so many groups: the spread is the same, and a million of them cost no more.
_GROUPS = 5000
#: What a 95 % interval leaves on both sides together.
ALPHA = 0.05


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


def upper_share(hits: int, cases: int, alpha: float) -> float:
    """The exact upper bound of a share (Clopper and Pearson): it lies above with a chance of at most alpha.

    Raises:
        ValueError: the counts do not fit together, or alpha is outside (0, 1).
    """
    if not 0 <= hits <= cases:
        raise ValueError(f"{hits} among {cases} cannot be")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is a probability between 0 and 1, not {alpha}")
    if hits == cases:
        return 1.0
    from scipy.special import betaincinv

    return float(betaincinv(hits + 1, cases - hits, 1.0 - alpha))


def share_interval(hits: int, cases: int, alpha: float = ALPHA) -> tuple[float, float]:
    """The exact two-sided interval of a share (Clopper and Pearson).

    Raises:
        ValueError: there are no cases, or more hits than there are.
    """
    if cases < 1:
        raise ValueError("an interval needs at least one case")
    return 1.0 - upper_share(cases - hits, cases, alpha / 2), upper_share(hits, cases, alpha / 2)


def customers_of(cases: pa.Table, subject: str | None) -> np.ndarray:
    """Whose case each is, shape (cases,): by the field that says so, or each case its own where there is none."""
    column = subject if subject is not None and subject in cases.column_names else CASE_ID
    return np.array(cases[column].to_pylist(), dtype=object)


def resampled_totals(costs: np.ndarray, customers: np.ndarray, seed: int = 7, rounds: int = ROUNDS) -> np.ndarray:
    """Totals over customers drawn with replacement.

    Args:
        costs: shape (cases, policies).
        customers: shape (cases,), whose case each is; a case without one counts as a customer of its own.

    Returns:
        Shape (rounds, policies): the same draw for every policy, so that differences can be taken.
    """
    if not len(costs):
        return np.zeros((rounds, costs.shape[1]))
    of, groups = pd.factorize(grouped(customers, seed))
    count = len(groups)
    by_customer = np.zeros((count, costs.shape[1]))
    np.add.at(by_customer, of, costs)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=rounds)
    return draws @ by_customer


def grouped(customers: np.ndarray, seed: int) -> np.ndarray:
    """Customers by number; many of them in groups by lot. A case without one counts as a customer of its own."""
    codes, distinct = pd.factorize(customers)
    nobody = codes < 0
    codes[nobody] = len(distinct) + np.arange(int(nobody.sum()))
    count = int(codes.max()) + 1 if len(codes) else 0
    if count <= _GROUPS:
        return np.asarray(codes)
    return np.asarray(np.random.default_rng(seed).permutation(count)[codes] % _GROUPS)


def total_intervals(costs: np.ndarray, customers: np.ndarray) -> list[Interval]:
    """The total of each column with its 95 % interval; arguments as `resampled_totals`."""
    return _intervals(costs.sum(axis=0), resampled_totals(costs, customers))


def mean_intervals(values: np.ndarray, masks: list[np.ndarray], customers: np.ndarray, seed: int) -> list[Interval]:
    """The mean of a figure over parts of the cases, with 95 % intervals; one draw of customers serves all parts.

    Args:
        values: shape (cases,).
        masks: which cases a part holds, at least one each.
    """
    if not masks:
        return []
    inside = np.column_stack(masks).astype(float)
    drawn = resampled_totals(np.column_stack([inside * values[:, None], inside]), customers, seed)
    totals, counts = drawn[:, : len(masks)], drawn[:, len(masks) :]
    # a draw without any case of a part says nothing about it
    means = np.where(counts > 0, totals / np.maximum(counts, 1.0), np.nan)
    return _intervals((inside * values[:, None]).sum(axis=0) / inside.sum(axis=0), means)


def _intervals(values: np.ndarray, draws: np.ndarray) -> list[Interval]:
    low, high = np.nanquantile(draws, [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    return [Interval(float(v), float(lo), float(hi)) for v, lo, hi in zip(values, low, high, strict=True)]
