"""Totals over customers drawn again and again: intervals that know whose cases belong together."""

from __future__ import annotations

import numpy as np
import pandas as pd

ROUNDS = 1000


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
    codes, known = pd.factorize(customers)
    nobody = codes < 0
    codes[nobody] = len(known) + np.arange(nobody.sum())
    count = codes.max() + 1
    by_customer = np.zeros((count, costs.shape[1]))
    np.add.at(by_customer, codes, costs)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=rounds)
    return draws @ by_customer
