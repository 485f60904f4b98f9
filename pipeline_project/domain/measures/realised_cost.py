"""What decisions really cost, once the truth is known: one function for results, report and replay.

A person's answer costs the review and what the option costs that the person chose, right or wrong. A case that nobody
has answered yet has cost nothing and saved nothing: it is unanswered, and counts nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.core.schema import CASE_ID

#: The column of what became of a question: the option that stands now, None while nobody has answered.
ANSWER = "answer"


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
    answers = pd.Series([None if each == ASK_PERSON else each for each in given], index=decisions.index, dtype=object)
    return decisions.assign(**{ANSWER: answers})


def answers_to(decisions: pd.DataFrame, further: Mapping[str, str]) -> dict[str, str]:
    """The answers alone, by case; arguments as `with_answers`."""
    given = zip(decisions[CASE_ID], answers_of(with_answers(decisions, further)), strict=True)
    return {case: answer for case, answer in given if answer is not None}


def answers_of(decisions: pd.DataFrame) -> list[str | None]:
    """The answers that a frame holds; none where it holds no such column."""
    if ANSWER not in decisions:
        return [None] * len(decisions)
    return [each if isinstance(each, str) else None for each in decisions[ANSWER]]


def unanswered(option: Sequence[str], answer: Sequence[str | None]) -> np.ndarray:
    """Which cases wait for a person."""
    return np.array([o == ASK_PERSON and a is None for o, a in zip(option, answer, strict=True)], dtype=bool)


def realised(
    option: Sequence[str], answer: Sequence[str | None], true_cost: np.ndarray, options: Sequence[str], review: float
) -> np.ndarray:
    """What each decision cost, given the truth.

    Args:
        option: what was decided, "ask_person" included.
        answer: of what was asked, the option that a person chose; None while nobody has.
        true_cost: shape (cases, options), of each option under the true label.
        options: the names of its columns.
        review: cost of one answer.

    Returns:
        Shape (cases,), in the workflow's currency; NaN of what is unanswered, and of options that are not among these.
    """
    column: dict[Any, int] = {name: i for i, name in enumerate(options)}
    asked = np.array([name == ASK_PERSON for name in option], dtype=bool)
    taken = [a if o == ASK_PERSON else o for o, a in zip(option, answer, strict=True)]
    chosen = np.array([column.get(name, -1) for name in taken], dtype=int)
    paid = true_cost[np.arange(len(chosen)), np.maximum(chosen, 0)] + np.where(asked, review, 0.0)
    return np.asarray(np.where(chosen >= 0, paid, np.nan))


def always_right(true_cost: np.ndarray, review: float) -> np.ndarray:
    """What asking about every case would cost if every answer were right: a yardstick, which nobody has measured."""
    return np.asarray(review + true_cost.min(axis=1, initial=np.inf))


def best_constant(totals: Mapping[str, float], closed: frozenset[str]) -> str:
    """The cheapest of the policies that always choose one option, as far as the machine may choose it.

    Args:
        totals: of each option, what always choosing it costs.
        closed: options that only a person may choose.
    """
    return min((name for name in totals if name not in closed), key=lambda name: totals[name])
