"""What decisions cost, given each label that may be true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline_project.domain.core.costs import case_costs
from pipeline_project.domain.core.errors import ReplayRefused
from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.core.schema import CASE_ID, number_columns
from pipeline_project.domain.lifecycle.replay.decide import PastNights, Policy, ReplayedDecisions


@dataclass(frozen=True)
class Values:
    """What options cost for each case under each label; options of the base that the candidate lacks come last.

    Attributes:
        cost: shape (cases, options, labels).
        own: per side, which options are its own.
        review: what one answer costs.
        answer: index of the option that a person chose, -1 where nobody has answered.
        kept: whether answers are known at all.
    """

    options: tuple[str, ...]
    cost: np.ndarray
    own: tuple[np.ndarray, np.ndarray]
    review: float
    answer: np.ndarray
    kept: bool

    @classmethod
    def of(cls, past: PastNights, policies: tuple[Policy, Policy]) -> Values:
        before, after = policies
        numbers, n = number_columns(past.cases), past.cases.num_rows
        kept = [i for i, name in enumerate(before.matrix.options) if name not in after.matrix.options]
        options = (*after.matrix.options, *(before.matrix.options[i] for i in kept))
        cost = np.concatenate(
            [case_costs(after.matrix, numbers, n), case_costs(before.matrix, numbers, n)[:, kept, :]], axis=1
        )
        own = (
            np.array([name in before.matrix.options for name in options]),
            np.array([name in after.matrix.options for name in options]),
        )
        index = {name: i for i, name in enumerate(options)}
        given = past.answers or {}
        answer = np.array([index.get(given.get(case, ""), -1) for case in past.cases[CASE_ID].to_pylist()], dtype=int)
        return cls(options, cost, own, after.terms.review_cost, answer, past.answers is not None)

    @property
    def finite(self) -> np.ndarray:
        return np.isfinite(self.cost).all(axis=(1, 2))

    def cheapest(self, side: int) -> np.ndarray:
        """Shape (cases, labels): what the best of a side's own options costs, if the label is true."""
        return self.cost[:, self.own[side], :].min(axis=1)

    def asked(self, side: int) -> np.ndarray:
        """Shape (cases, labels): what asking costs: the answer, then the option that was answered.

        A candidate may ask where nobody was asked; for those and for what is unanswered the best option stands in,
        which is what the policy expects of an answer. Nothing of it is called realised: see `unknown`.
        """
        told = self.cost[np.arange(len(self.answer)), np.maximum(self.answer, 0), :]
        then = np.where((self.answer >= 0)[:, None], told, self.cheapest(side))
        return np.asarray(self.review + then)

    def unknown(self, before: Sequence[str], after: Sequence[str]) -> np.ndarray:
        """Cases of which one side alone asks and that nobody answered: what that would have cost, nobody knows."""
        asks = [np.array([name == ASK_PERSON for name in each], dtype=bool) for each in (before, after)]
        return np.asarray((asks[0] != asks[1]) & (self.answer < 0) & self.kept)

    def of_options(self, chosen: Sequence[str], side: int) -> np.ndarray:
        """Shape (cases, labels); what is asked costs what `asked` says."""
        index = {name: i for i, name in enumerate(self.options)}
        taken = np.array([index.get(name, -1) for name in chosen], dtype=int)
        alone = self.cost[np.arange(len(taken)), np.maximum(taken, 0), :]
        asks = np.array([name == ASK_PERSON for name in chosen], dtype=bool)
        gone = (taken < 0) & ~asks
        if gone.any():
            names = sorted({name for name, lost in zip(chosen, gone, strict=True) if lost})
            raise ReplayRefused(
                f"these nights were decided with options that the workflow no longer has ({', '.join(names[:5])}), so "
                "what they cost is not known; replay later nights"
            )
        return np.where(asks[:, None], self.asked(side), alone)

    def wrong(self, cost: np.ndarray, label: np.ndarray, side: int) -> np.ndarray:
        """Whether another option of the same side would have been cheaper for the true label."""
        rows = np.arange(len(label))
        return np.asarray(cost[rows, label] > self.cheapest(side)[rows, label] + 1e-9)


@dataclass(frozen=True)
class Judged:
    """One side and the truth, row by row.

    Attributes:
        option: what counts of each case: where its truth is left to chance, what it gets where it is not drawn.
        cost: realised by `option`; zero where not weighed.
        wrong: whether another option would have been cheaper.
        label: index of the true label, -1 where it is not known.
        weight: for how many cases each one stands; zero where the truth or the costs are not known.
    """

    decided: ReplayedDecisions
    option: list[str]
    cost: np.ndarray
    wrong: np.ndarray
    label: np.ndarray
    weight: np.ndarray


def judged(
    decided: ReplayedDecisions,
    values: Values,
    side: int,
    option: list[str],
    label: np.ndarray,
    weight: np.ndarray,
) -> Judged:
    """A side's options against the truth.

    Args:
        side: 0 for the base, 1 for the candidate.
    """
    rows, told = np.arange(len(label)), np.maximum(label, 0)
    cost = values.of_options(option, side)
    counted = np.where(values.finite, weight, 0.0)
    realised = np.where(counted > 0, cost[rows, told], 0.0)
    return Judged(decided, option, realised, values.wrong(cost, told, side), label, counted)
