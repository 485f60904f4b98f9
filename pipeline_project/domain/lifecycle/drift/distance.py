"""How far two counts lie apart, and how far they would if nothing had changed.

The Jensen-Shannon divergence of two samples of n and m cases over k groups is not zero when both come from the same
place: 8 n m / (n + m) times it (in nats) is then chi-squared distributed with k - 1 degrees of freedom. Its mean is
taken off, and only what is beyond its tail counts as a difference: a small night does not alarm because it is small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline_project.domain.lifecycle.drift.counts import Counts, merge_counts

#: Groups that a distribution is compared over, at most, and cases of the smaller side that each one should have.
MOST_GROUPS, CASES_PER_GROUP = 20, 8

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Distance:
    """How far two distributions lie apart.

    Attributes:
        value: Jensen-Shannon distance, 0 to 1, with what chance alone would give taken off.
        raw: the same with nothing taken off; `psi` the population stability index of the same groups.
        noise: the distance that chance alone would give, on average.
        chance: the probability of so large a raw distance when nothing has changed.
        groups, cases: compared over so many groups, on so many cases of the newer side.
    """

    value: float
    raw: float
    noise: float
    psi: float
    chance: float
    groups: int
    cases: int


def distance(reference: Counts, night: Counts, between_night_variance: float = 1.0, names: bool = False) -> Distance:
    """How far a night lies from the reference.

    Args:
        unrest: how many times more the nights of the reference differ from each other than samples of one
            distribution would (`between_night_variance`); 1 for independent cases.
        names: keys are of names, which have no order; groups are then the most frequent ones and the rest.
    """
    return compared(*grouped(reference, night, names), between_night_variance)


def compared(reference: Array, night: Array, between_night_variance: float = 1.0) -> Distance:
    """The same, of counts over the same groups. With fewer than two groups, or an empty side, nothing differs."""
    there = (reference + night) > 0
    p, q = reference[there], night[there]
    n, m, groups = float(p.sum()), float(q.sum()), len(p)
    if groups < 2 or n == 0 or m == 0:
        return Distance(0.0, 0.0, 0.0, 0.0, 1.0, groups, int(m))
    divergence = _divergence(p / n, q / m)
    per_degree = between_night_variance * (1 / n + 1 / m) / 8
    mean = (groups - 1) * per_degree
    return Distance(
        value=_as_distance(divergence - mean),
        raw=_as_distance(divergence),
        noise=_as_distance(mean),
        psi=_psi(p, q),
        chance=_tail(divergence / per_degree, groups - 1),
        groups=groups,
        cases=int(m),
    )


def between_night_variance(nights: Sequence[Counts], names: bool = False) -> float:
    """How many times more nights differ from all of them together than samples of one distribution would; at least 1.

    Weekdays, batches of one customer, a campaign: what differs from night to night all the time is no drift. The
    median is taken, so that one broken night of the reference does not make every later one look usual.
    """
    if len(nights) < 3:
        return 1.0
    together = merge_counts(nights)
    return between_night_variance_of([grouped(together, night, names) for night in nights])


def between_night_variance_of(nights: Sequence[tuple[Array, Array]]) -> float:
    """The same of counts over the same groups: of all nights together, and of one of them."""
    ratios = []
    for whole, part in nights:
        rest = np.maximum(whole - part, 0.0)
        there = (rest + part) > 0
        n, m, degrees = float(rest.sum()), float(part.sum()), int(there.sum()) - 1
        if n and m and degrees > 0:
            expected = degrees * (1 / n + 1 / m) / 8
            ratios.append(_divergence(rest[there] / n, part[there] / m) / expected)
    return max(1.0, float(np.median(ratios))) if len(ratios) >= 3 else 1.0


def grouped(reference: Counts, night: Counts, names: bool = False) -> tuple[Array, Array]:
    """Both as counts over the same groups, the last of which is what is missing.

    Numbers are cut where the reference has equal shares; of names the most frequent of the reference stand alone and
    the rest, new ones among them, stand together. There are only as many groups as the smaller side has cases for.
    """
    level = max(reference.level, night.level)
    p, q = reference.at(level), night.at(level)
    keys = np.union1d(p.keys, q.keys)
    of_p, of_q = _aligned(keys, p), _aligned(keys, q)
    fewer = min(p.total, q.total)
    most = int(min(MOST_GROUPS, max(2, fewer // CASES_PER_GROUP)))
    places = _by_frequency(of_p, most, fewer) if names else _by_shares(of_p, most)
    sums = [np.bincount(places, weights=of, minlength=most) for of in (of_p, of_q)]
    return np.append(sums[0], float(p.missing)), np.append(sums[1], float(q.missing))


def _aligned(keys: npt.NDArray[np.int64], counts: Counts) -> Array:
    aligned = np.zeros(len(keys))
    aligned[np.searchsorted(keys, counts.keys)] = counts.counts
    return aligned


def _by_shares(of_reference: Array, groups: int) -> npt.NDArray[np.int64]:
    """The group of each key: equal shares of the reference, in the order of the keys."""
    total = of_reference.sum()
    if total == 0:
        return np.zeros(len(of_reference), dtype=np.int64)
    middle = np.cumsum(of_reference) - of_reference / 2
    return np.minimum(middle / total * groups, groups - 1).astype(np.int64)


def _by_frequency(of_reference: Array, groups: int, cases: int) -> npt.NDArray[np.int64]:
    """The most frequent keys alone, the others together in the last group, as those of which few are expected."""
    places = np.full(len(of_reference), groups - 1, dtype=np.int64)
    first = np.argsort(-of_reference, kind="stable")[: groups - 1]
    frequent = first[of_reference[first] * cases >= CASES_PER_GROUP * max(of_reference.sum(), 1.0)]
    places[frequent] = np.arange(len(frequent))
    return places


def _divergence(p: Array, q: Array) -> float:
    """Jensen-Shannon divergence in nats."""
    middle = (p + q) / 2
    return (_relative(p, middle) + _relative(q, middle)) / 2


def _relative(p: Array, q: Array) -> float:
    there = p > 0
    return float((p[there] * np.log(p[there] / q[there])).sum())


def _as_distance(divergence: float) -> float:
    """0 to 1: the root of the divergence in bits."""
    return math.sqrt(min(max(divergence, 0.0) / math.log(2), 1.0))


def _psi(p: Array, q: Array) -> float:
    """Population stability index; half a case is added to every group, so that an empty one is not infinitely far."""
    a, b = (p + 0.5) / (p.sum() + 0.5 * len(p)), (q + 0.5) / (q.sum() + 0.5 * len(q))
    return float(((a - b) * np.log(a / b)).sum())


def _tail(statistic: float, degrees: int) -> float:
    """The probability that a chi-squared number is larger."""
    from scipy.special import chdtrc

    return float(chdtrc(degrees, statistic))
