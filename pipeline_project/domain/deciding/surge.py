"""A night much larger than usual: who is asked that night, who waits for a person, and what is only sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from pipeline_project.domain.core.costs import review_capacity
from pipeline_project.domain.core.model_terms import SurgeTerms

#: With fewer earlier nights nothing is usual yet.
FEWEST_NIGHTS = 5


@dataclass(frozen=True)
class Surge:
    """The plan of one night that is a surge.

    Attributes:
        cases: of the night.
        usual: median of the last nights.
        places: answers people give that night.
        wait_below: doubts worth less than this are decided without a person, those worth more wait for one.
        sample: chance with which such a small doubt is looked at all the same.
        sampled, small, waiting: cases sampled, small doubts decided alone, doubts that wait for later nights.
    """

    cases: int
    usual: float
    places: int
    wait_below: float
    sample: float
    sampled: int = 0
    small: int = 0
    waiting: int = 0


def usual_cases(counts: Sequence[int]) -> float | None:
    """The median of earlier nights' cases, or None when there are too few nights to say; empty nights do not count."""
    some = [count for count in counts if count > 0]
    return float(median(some)) if len(some) >= FEWEST_NIGHTS else None


def surge_of(terms: SurgeTerms | None, cases: int, usual: float | None, capacity: int | str) -> Surge | None:
    """The plan that holds tonight, or None on a usual night.

    Args:
        terms: the plan in the spec.
        cases: of tonight.
        usual: see `usual_cases`.
        capacity: of a usual night.
    """
    if terms is None or usual is None or cases <= terms.above * usual:
        return None
    if terms.capacity is not None:
        places = review_capacity(terms.capacity, cases)
    else:
        # people do not multiply with the cases: a capacity declared as a share is that of a usual night
        places = review_capacity(capacity, min(cases, int(usual)))
    return Surge(cases, usual, places, terms.wait_below, terms.sample)


def rates(rate: float, small: np.ndarray, surge: Surge | None) -> np.ndarray:
    """Each case's chance of being asked at random: the night's share, or the surge's sample where that is more."""
    if surge is None:
        return np.full(len(small), rate)
    return np.where(small, max(rate, surge.sample), rate)
