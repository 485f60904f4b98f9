"""What decisions really cost, once the truth is known: one function for results, report, alerts and replay.

A person's answer costs the review and what the option costs that the person chose, right or wrong. A case that nobody
has answered yet has cost nothing and saved nothing: it is unanswered, and counts nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.core.schema import CASE_ID

#: The column of what became of a question: the option that stands now, None while nobody has answered.
ANSWER = "answer"
_ROUNDING = 1e-9


def with_answers(decisions: pd.DataFrame, further: Mapping[str, str]) -> pd.DataFrame:
    """Decisions with the column `ANSWER`, which is None of what was not asked and of what was not answered.

    Args:
        decisions: case_id, option.
        further: by case, the option of the decision that stands where a case was decided further.
    """
    given = [
        further.get(case) if option == ASK_PERSON else None
        for case, option in zip(decisions[CASE_ID], decisions["option"], strict=True)
    ]
    answers = pd.Series([None if name == ASK_PERSON else name for name in given], index=decisions.index, dtype=object)
    return decisions.assign(**{ANSWER: answers})


def answers_to(decisions: pd.DataFrame, further: Mapping[str, str]) -> dict[str, str]:
    """The answers alone, by case; arguments as `with_answers`."""
    given = zip(decisions[CASE_ID], answers_of(with_answers(decisions, further)), strict=True)
    return {case: answer for case, answer in given if answer is not None}


def answers_of(decisions: pd.DataFrame) -> list[str | None]:
    """The answers that a frame holds; none where it holds no such column."""
    if ANSWER not in decisions:
        return [None] * len(decisions)
    return [answer if isinstance(answer, str) else None for answer in decisions[ANSWER]]


def realised(
    option: Sequence[str], answer: Sequence[str | None], cost: np.ndarray, options: Sequence[str], review: float
) -> np.ndarray:
    """What each decision cost, given the truth.

    Args:
        option: what was decided, "ask_person" included.
        answer: of what was asked, the option that a person chose; None while nobody has.
        cost: shape (cases, options), of each option under the true label; or (cases, options, labels), under each.
        options: the names along its second axis.
        review: cost of one answer.

    Returns:
        Shape (cases,) or (cases, labels), in the workflow's currency; NaN of what is unanswered, and of options that
        are not among these.
    """
    column: dict[Any, int] = {name: i for i, name in enumerate(options)}
    asked = np.array([name == ASK_PERSON for name in option], dtype=bool)
    final_options = [a if o == ASK_PERSON else o for o, a in zip(option, answer, strict=True)]
    chosen = np.array([column.get(name, -1) for name in final_options], dtype=int)
    beside = (slice(None), *(None,) * (cost.ndim - 2))
    paid = cost[np.arange(len(chosen)), np.maximum(chosen, 0)] + np.where(asked, review, 0.0)[beside]
    return np.asarray(np.where((chosen >= 0)[beside], paid, np.nan))


def always_right(cost: np.ndarray, review: float) -> np.ndarray:
    """What asking about every case would cost if every answer were right: a yardstick, which nobody has measured.

    Args:
        cost: shape (cases, options) or (cases, options, labels); the options go.
    """
    return np.asarray(review + cost.min(axis=1, initial=np.inf))


def dearer(paid: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Whether a choice was wrong: another option would have been cheaper. Costs that differ by rounding alone are the
    same."""
    return np.asarray(paid > best + _ROUNDING * np.maximum(1.0, np.abs(best)))


@dataclass(frozen=True)
class Realised:
    """Decided cases whose outcome is known and whose options can be priced by it, row by row.

    Attributes:
        rows: shape (cases,), which rows these are of what was given.
        option: what was decided.
        asked: of which a person was asked; `unanswered` those of them that nobody has answered yet.
        true_cost: shape (cases, options), of each option under the true label.
        paid: shape (cases,), what it cost with the review; NaN where it is unanswered.
        right: whether no other option would have been cheaper than the one that was taken; False where unanswered.
        other_spec: cases beside these that were decided, or turned out, in options or labels that there are no more.
    """

    rows: np.ndarray
    option: np.ndarray
    asked: np.ndarray
    unanswered: np.ndarray
    true_cost: np.ndarray
    paid: np.ndarray
    right: np.ndarray
    other_spec: int

    @property
    def counted(self) -> np.ndarray:
        """Which of them have cost something, or nothing, by now."""
        return ~self.unanswered


def realised_of(
    matured: pd.DataFrame, cost: np.ndarray, options: Sequence[str], labels: Sequence[str], review: float
) -> Realised:
    """What decisions came to: the one answer of report, results and alerts.

    Args:
        matured: option, label and answer of decided cases; see `maturity.matured_decisions`.
        cost: aligned with it, shape (cases, options, labels); NaN where it cannot be computed.
        review: cost of one answer.
    """
    names = {*options, ASK_PERSON}
    answers = answers_of(matured)
    answerable = np.array([answer is None or answer in names for answer in answers], dtype=bool)
    usable = (matured["option"].isin(names) & matured["label"].isin(labels)).to_numpy(dtype=bool) & answerable
    position = {name: i for i, name in enumerate(labels)}
    rows = np.flatnonzero(usable)
    true_cost = cost[rows, :, matured["label"].iloc[rows].map(position).to_numpy(dtype=int)]
    priced = np.isfinite(true_cost).all(axis=1)
    rows, true_cost = rows[priced], true_cost[priced]
    option = matured["option"].to_numpy(dtype=object)[rows]
    paid = realised(option.tolist(), [answers[row] for row in rows], true_cost, options, review)
    asked, open_still = option == ASK_PERSON, np.isnan(paid)
    option_cost = paid - np.where(asked, review, 0.0)
    right = ~open_still & ~dearer(option_cost, true_cost.min(axis=1, initial=np.inf))
    return Realised(rows, option, asked, open_still, true_cost, paid, right, int((~usable).sum()))


def best_constant(totals: Sequence[float] | np.ndarray, denies: Sequence[bool]) -> int:
    """The cheapest of the policies that always choose one option, as far as the machine may choose it: its position.

    Args:
        totals: of each option, what always choosing it costs.
        denies: of each option, whether only a person may choose it.
    """
    return min((i for i, closed in enumerate(denies) if not closed), key=lambda i: totals[i])
