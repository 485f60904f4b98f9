"""Splits by night, and weights for outcomes that are slow to become known."""

from __future__ import annotations

import numpy as np

_LARGEST_WEIGHT = 4.0
_FEWEST = 50
_THINNEST = 10
_LEAST_TELLING = 0.5


def later_share(nights: np.ndarray, share: float) -> np.ndarray:
    """Mask of the latest nights that together hold at least `share` of the rows; a night is never cut in two.

    At least one night stays outside unless there is only one, and then nothing is in the mask.
    """
    distinct, of, counts = np.unique(nights.astype(str), return_inverse=True, return_counts=True)
    if len(distinct) < 2 or share <= 0:
        return np.zeros(len(nights), dtype=bool)
    from_behind = np.cumsum(counts[::-1]) / len(nights)
    later_nights = min(int(np.searchsorted(from_behind, share)) + 1, len(distinct) - 1)
    return np.asarray(of >= len(distinct) - later_nights)


def forward_steps(nights: np.ndarray, later: np.ndarray, steps: int) -> np.ndarray:
    """Which step each row belongs to: 0 for the earlier nights, then 1 to at most `steps` for the later ones in turn.

    Steps hold about equally many rows, and a night is never cut in two.
    """
    step = np.zeros(len(nights), dtype=np.int64)
    if later.any():
        _, of, counts = np.unique(nights[later].astype(str), return_inverse=True, return_counts=True)
        middle = (np.cumsum(counts) - counts / 2) / counts.sum()
        raw = np.floor(middle * steps).astype(np.int64)
        step[later] = 1 + np.unique(raw, return_inverse=True)[1][of]
    return step


def delay_weights(y: np.ndarray, delay: np.ndarray, age: np.ndarray) -> np.ndarray:
    """One over the chance that an outcome of this label was already known, at most 4.

    Recent nights show only the outcomes that come quickly: a parcel sent back is known sooner than one that is kept,
    and a model that takes them as they are learns too many returns. The chance is estimated per label from the delays
    themselves, as for reporting delays (the product-limit estimator for right-truncated times, Lynden-Bell 1971).

    Nights so young that of some label less than a quarter can be known say nothing about that label, whatever weight
    the others get: their cases get 0, unless that would leave less than half of all cases.

    Args:
        y: index of the label, shape (n,).
        delay: days from the case's night until its outcome was known, shape (n,).
        age: days from the case's night until training, shape (n,), at least `delay`.
    """
    days, ages = np.maximum(np.floor(delay), 0).astype(np.int64), np.maximum(np.floor(age), 0).astype(np.int64)
    ages = np.maximum(ages, days)
    pooled = known_by(days, ages)
    own, least = pooled[np.minimum(ages, len(pooled) - 1)], np.ones(len(y))
    for label in np.unique(y):
        of = y == label
        if of.sum() >= _FEWEST:
            curve = known_by(days[of], ages[of])
            chance = curve[np.minimum(ages, len(curve) - 1)]
            own[of] = chance[of]
            least = np.minimum(least, chance)
    weights = 1 / np.maximum(own, 1 / _LARGEST_WEIGHT)
    telling = least >= 1 / _LARGEST_WEIGHT
    return np.asarray(np.where(telling, weights, 0.0) if telling.mean() >= _LEAST_TELLING else weights)


def known_by(delay: np.ndarray, age: np.ndarray) -> np.ndarray:
    """Share of outcomes known within 0, 1, 2 ... days, up to the longest delay seen.

    Args:
        delay: whole days until each outcome was known, shape (n,), not negative.
        age: whole days for which each has been waited, shape (n,), at least `delay`.
    """
    longest = int(delay.max(initial=0))
    arrived = np.bincount(delay, minlength=longest + 1)
    begun = np.cumsum(arrived)
    gone = np.concatenate([[0], np.cumsum(np.bincount(np.minimum(age, longest), minlength=longest + 1))[:-1]])
    at_risk = begun - gone
    thick = at_risk >= _THINNEST
    factors = np.where(thick, 1 - arrived / np.maximum(at_risk, 1), 1.0)
    return np.concatenate([np.cumprod(factors[:0:-1])[::-1], [1.0]])
