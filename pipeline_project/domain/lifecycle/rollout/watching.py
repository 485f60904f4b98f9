"""Is a model as good as was promised? Tests that may be looked at after every case, for ever.

Each of them is a bet against what is promised: a stake that can at most stay the same in expectation while the promise
holds. That it ever grows by `1 / alpha` then has at most the chance `alpha` (Ville's inequality), however often
somebody looks. Over many sizes of the bet at once the stake is their mean, so that nobody has to guess how bad it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

#: Bets as shares of what can be lost on one case; many small ones, because a promise is broken by little more often
#: than by much.
BETS = np.concatenate([np.geomspace(0.005, 0.5, 16), [0.7, 0.9]])


@dataclass
class EProcess:
    """A bet that errors are more frequent than promised.

    Attributes:
        promised: largest share of errors, between 0 and 1, both excluded.
        alpha: chance of a false alarm, over however many cases.
        seen, errors: what it was told so far.
        highest: the largest stake there ever was; it alone says whether the promise is broken.
    """

    promised: float
    alpha: float = 0.01
    seen: int = 0
    errors: int = 0
    highest: float = 1.0
    _logs: np.ndarray = field(default_factory=lambda: np.zeros(len(BETS)), repr=False)

    def __post_init__(self) -> None:
        if not (0 < self.promised < 1 and 0 < self.alpha < 1):
            raise ValueError("the promised error and alpha lie between 0 and 1")

    def update(self, errors: Iterable[bool]) -> float:
        """Looks at more cases, in the order in which they became known; returns the stake as it stands."""
        is_error = np.fromiter((bool(error) for error in errors), dtype=bool)
        if len(is_error):
            # of a right one a bet loses its share; of an error it wins what makes the two even at the promised rate
            lost, won = np.log1p(-BETS), np.log1p(BETS * (1 - self.promised) / self.promised)
            path = self._logs + np.where(is_error[:, None], won, lost).cumsum(axis=0)
            self._logs = path[-1]
            self.highest = max(self.highest, float(_mean_of(path).max()))
            self.seen, self.errors = self.seen + len(is_error), self.errors + int(is_error.sum())
        return self.value

    @property
    def value(self) -> float:
        """The stake as it stands, beginning at 1."""
        return float(_mean_of(self._logs[None, :])[0])

    @property
    def breached(self) -> bool:
        return self.highest >= 1 / self.alpha


@dataclass
class MeanAbove:
    """A bet that differences between -1 and 1 are above 0 on average.

    Attributes:
        alpha: chance of a false alarm.
        highest: the largest stake there ever was.
    """

    alpha: float
    seen: int = 0
    highest: float = 1.0
    _logs: np.ndarray = field(default_factory=lambda: np.zeros(len(BETS)), repr=False)

    def update(self, differences: np.ndarray) -> float:
        """Looks at more differences, in the order in which they became known; returns the stake as it stands.

        Raises:
            ValueError: one of them lies outside.
        """
        if len(differences):
            if not (np.abs(differences) <= 1 + 1e-12).all():
                raise ValueError("differences lie between -1 and 1; divide them by the largest there can be")
            path = self._logs + np.log1p(differences[:, None] * BETS).cumsum(axis=0)
            self._logs = path[-1]
            self.highest = max(self.highest, float(_mean_of(path).max()))
            self.seen += len(differences)
        return self.value

    @property
    def value(self) -> float:
        """The stake as it stands, beginning at 1."""
        return float(_mean_of(self._logs[None, :])[0])

    @property
    def breached(self) -> bool:
        return self.highest >= 1 / self.alpha


def _mean_of(logs: np.ndarray) -> np.ndarray:
    """The mean of the stakes behind logarithms, row by row, without leaving what floats can hold."""
    top = logs.max(axis=1)
    means = top + np.log(np.exp(logs - top[:, None]).mean(axis=1))
    return np.exp(np.minimum(means, 700.0))


def confidence_sequence(seen: int, errors: int, alpha: float) -> tuple[float, float]:
    """Between what the error rate lies, with confidence `1 - alpha` for all numbers of cases at once.

    The rates at which a mixture of bets (a Beta(1/2, 1/2) over rates) has not grown by `1 / alpha`.

    Raises:
        ValueError: more errors than cases.
    """
    if not 0 <= errors <= seen:
        raise ValueError(f"{errors} errors of {seen} cases")
    if not seen:
        return 0.0, 1.0
    right, most = seen - errors, math.log(1 / alpha)
    mixed = _log_beta(errors + 0.5, right + 0.5) - _log_beta(0.5, 0.5)

    def refused(rate: float) -> bool:
        spoken = (errors * math.log(rate) if errors else 0.0) + (right * math.log1p(-rate) if right else 0.0)
        return mixed - spoken >= most

    middle = min(max(errors / seen, 1e-12), 1 - 1e-12)
    return (_edge(refused, middle, 0.0) if errors else 0.0, _edge(refused, middle, 1.0) if right else 1.0)


def _edge(refused: Callable[[float], bool], inside: float, outside: float) -> float:
    for _ in range(60):
        tried = (inside + outside) / 2
        if tried in (inside, outside):
            break
        inside, outside = (inside, tried) if refused(tried) else (tried, outside)
    return outside


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
