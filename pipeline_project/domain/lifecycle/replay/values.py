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
from pipeline_project.domain.measures.realised_cost import always_right, dearer, realised


@dataclass(frozen=True)
class Values:
    """What options cost for each case under each label; options of the base that the candidate lacks come last.

    Attributes:
        cost: shape (cases, options, labels).
        own: per side, which options are its own.
        review: what one answer costs.
        answers: the option that a person chose of each case, None where nobody has answered.
        kept: whether answers are known at all.
    """

    options: tuple[str, ...]
    cost: np.ndarray
    own: tuple[np.ndarray, np.ndarray]
    review: float
    answers: tuple[str | None, ...]
    kept: bool

    @classmethod
    def of(cls, past: PastNights, policies: tuple[Policy, Policy]) -> Values:
        before, after = policies
        numbers, n = number_columns(past.cases), past.cases.num_rows
        dropped = [i for i, name in enumerate(before.matrix.options) if name not in after.matrix.options]
        options = (*after.matrix.options, *(before.matrix.options[i] for i in dropped))
        cost = np.concatenate(
            [case_costs(after.matrix, numbers, n), case_costs(before.matrix, numbers, n)[:, dropped, :]], axis=1
        )
        own = (
            np.array([name in before.matrix.options for name in options]),
            np.array([name in after.matrix.options for name in options]),
        )
        given = (past.answers or {}).get
        answers = tuple(a if (a := given(case)) in options else None for case in past.cases[CASE_ID].to_pylist())
        return cls(options, cost, own, after.terms.review_cost, answers, past.answers is not None)

    @property
    def finite(self) -> np.ndarray:
        return np.isfinite(self.cost).all(axis=(1, 2))

    @property
    def unanswered(self) -> np.ndarray:
        """Cases that nobody has answered, of those whose answers are known at all; shape (cases,)."""
        return np.array([answer is None and self.kept for answer in self.answers], dtype=bool)

    def asked(self, side: int) -> np.ndarray:
        """Shape (cases, labels): what asking costs, see `of_options`."""
        return self.of_options([ASK_PERSON] * len(self.answers), side)

    def unknown(self, before: Sequence[str], after: Sequence[str]) -> np.ndarray:
        """Cases of which one side alone asks and that nobody answered: what that would have cost, nobody knows."""
        return (asks(before) != asks(after)) & self.unanswered

    def of_options(self, chosen: Sequence[str], side: int) -> np.ndarray:
        """Shape (cases, labels): what was chosen costs under each label; what is asked, the answer and its review.

        A candidate may ask where nobody was asked; for those and for what is unanswered the best of the side's own
        options stands in, which is what the policy expects of an answer. Nothing of it is called realised: see
        `unknown` and `Judged.cost`.

        Raises:
            ReplayRefused: an option is neither side's.
        """
        names = sorted({*chosen} - {*self.options, ASK_PERSON})
        if names:
            raise ReplayRefused(
                f"these nights were decided with options that the workflow no longer has ({', '.join(names[:5])}), so "
                "what they cost is not known; replay later nights"
            )
        paid = realised(chosen, self.answers, self.cost, self.options, self.review)
        supposed = asks(chosen) & np.array([answer is None for answer in self.answers], dtype=bool)
        return np.where(supposed[:, None], always_right(self.cost[:, self.own[side], :], self.review), paid)

    def wrong(self, cost: np.ndarray, label: np.ndarray, side: int) -> np.ndarray:
        """Whether another option of the same side would have been cheaper for the true label."""
        rows = np.arange(len(label))
        return dearer(cost[rows, label], self.cost[:, self.own[side], :].min(axis=1)[rows, label])


def asks(chosen: Sequence[str]) -> np.ndarray:
    """Which of the options is to ask a person, shape (cases,)."""
    return np.array([name == ASK_PERSON for name in chosen], dtype=bool)


@dataclass(frozen=True)
class Judged:
    """One side and the truth, row by row.

    Attributes:
        option: what counts of each case: where its truth is left to chance, what it gets where it is not drawn.
        cost: what `option` cost; NaN where it is not weighed, and where the base asked and nobody has answered yet.
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
    waiting: np.ndarray,
) -> Judged:
    """A side's options against the truth.

    Args:
        side: 0 for the base, 1 for the candidate.
        waiting: shape (cases,), whether the base asked about the case and waits for an answer.
    """
    rows, true_label = np.arange(len(label)), np.maximum(label, 0)
    cost = values.of_options(option, side)
    counted = np.where(values.finite, weight, 0.0)
    paid = np.where((counted > 0) & ~waiting, cost[rows, true_label], np.nan)
    return Judged(decided, option, paid, values.wrong(cost, true_label, side), label, counted)
