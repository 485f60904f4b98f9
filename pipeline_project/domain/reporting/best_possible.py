"""How good decisions could be: the same rule, places and costs, but with the true chances instead of a model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline_project.domain.core.costs import CostMatrix, PolicyTerms
from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.core.schema import CASE_ID, NIGHT
from pipeline_project.domain.deciding.policy import decide
from pipeline_project.domain.measures.intervals import Interval, mean_intervals
from pipeline_project.domain.measures.maturity import Matured
from pipeline_project.domain.measures.realised_cost import dearer, realised

THIS, BEST, ALWAYS_ASKED = "this pipeline", "the best possible", "asking about all"


@dataclass(frozen=True)
class JudgedPolicy:
    """One way of deciding, every question taken as rightly answered.

    Attributes:
        total: cost over all cases, in the workflow's currency; `a_case` is its mean with the 95 % interval.
        asked: cases that people are asked about.
        wrong: share of the others for which another option would have been cheaper; NaN where there are none.
    """

    policy: str
    total: float
    a_case: Interval
    asked: int
    wrong: float


@dataclass(frozen=True)
class AgainstTruth:
    """What was decided beside the best that could have been decided.

    Attributes:
        cases: whose truth and whose true chances are known.
        unknown: decided cases of which nothing more is known.
        distance: of the total over the best possible one, minus one.
    """

    cases: int
    unknown: int
    policies: tuple[JudgedPolicy, ...]
    distance: float


def against_truth(
    matured: Matured, chances: Mapping[str, Sequence[float]], truth: Mapping[str, str], matrix: CostMatrix,
    terms: PolicyTerms, seed: int = 7,
) -> AgainstTruth:  # fmt: skip
    """What was decided, what the same rule decides by the true chances, and asking about all.

    A promise is not kept by the best possible policy: it needs none where its chances are true.

    Args:
        chances: by case, the true chance of each label, in the matrix's order.
        truth: by case, its label.

    Raises:
        ValueError: of no decided case the true chances are known.
    """
    frame = matured.decisions.reset_index(drop=True)
    has_chances = np.array([case in chances for case in frame[CASE_ID]], dtype=bool)
    priced = np.isfinite(matured.cost).all(axis=(1, 2))
    rows = np.flatnonzero(
        has_chances & priced & frame["option"].isin([*matrix.options, ASK_PERSON]).to_numpy(dtype=bool)
    )
    if not len(rows):
        raise ValueError("of no decided case the true chances are known")
    decided, cost = frame.iloc[rows], matured.cost[rows]
    label = np.array([matrix.labels.index(truth[case]) for case in decided[CASE_ID]])
    true_cost = cost[np.arange(len(rows)), :, label]
    best = _best(decided, cost, np.array([chances[case] for case in decided[CASE_ID]]), matrix, terms)
    options = {
        THIS: decided["option"].tolist(),
        BEST: best,
        ALWAYS_ASKED: [ASK_PERSON] * len(rows),
    }
    customers = matured.customers[rows]
    judged = tuple(_judged(name, chosen, true_cost, matrix, terms, customers, seed) for name, chosen in options.items())
    this, least = judged[0].total, judged[1].total
    return AgainstTruth(len(rows), len(frame) - len(rows), judged, this / least - 1 if least else float("nan"))


def _best(
    decided: pd.DataFrame, cost: np.ndarray, chances: np.ndarray, matrix: CostMatrix, terms: PolicyTerms
) -> list[str]:
    """Night by night, as the places are."""
    chosen = np.full(len(decided), ASK_PERSON, dtype=object)
    for positions in decided.reset_index(drop=True).groupby(NIGHT).indices.values():
        ids = decided[CASE_ID].iloc[positions].tolist()
        result = decide(ids, chances[positions], cost[positions], [None] * len(ids), terms)
        alone = result.option >= 0
        chosen[positions[alone]] = np.array(matrix.options, dtype=object)[result.option[alone]]
    return chosen.tolist()


def _judged(
    name: str, chosen: Sequence[str], true_cost: np.ndarray, matrix: CostMatrix, terms: PolicyTerms,
    customers: np.ndarray, seed: int,
) -> JudgedPolicy:  # fmt: skip
    least = true_cost.argmin(axis=1)
    right = [matrix.options[at] for at in least]
    paid = realised(chosen, right, true_cost, matrix.options, terms.review_cost)
    asked = np.array([option == ASK_PERSON for option in chosen], dtype=bool)
    wrong = dearer(paid, true_cost.min(axis=1))[~asked]
    (a_case,) = mean_intervals(paid, [np.ones(len(paid), dtype=bool)], customers, seed)
    return JudgedPolicy(
        name, float(paid.sum()), a_case, int(asked.sum()), float(wrong.mean()) if len(wrong) else float("nan")
    )
