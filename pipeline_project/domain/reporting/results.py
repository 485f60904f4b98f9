"""What decided nights came to, once the truth is known: the money, against the simplest policies, and the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline_project.domain.core.costs import CostMatrix, PolicyTerms
from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.measures.realised_cost import always_right, answers_of, best_constant, realised, unanswered
from pipeline_project.domain.measures.resampling import resampled_totals

THIS = "this pipeline"
ALWAYS_ASKED = "always ask a person"
#: Above so many options not each is shown as a policy of its own.
MOST_POLICIES = 12
#: A difference in money below this is none.
CENT = 1e-9


@dataclass(frozen=True)
class PolicyCost:
    """What one policy cost over all cases with a known outcome.

    Attributes:
        total: in the workflow's currency.
        low, high: 95 % interval of the total, resampling customers.
        against_best: total over that of the best policy that always takes one option open to the machine, minus one.
    """

    policy: str
    total: float
    low: float
    high: float
    against_best: float


@dataclass(frozen=True)
class Results:
    """Decided cases whose outcome is known, summed up.

    Attributes:
        undecided_outcomes: decisions whose outcome is not known yet.
        immature_cases: cases that lie in immature nights, of which the outcomes that come late are missing.
        immature_nights: how many such nights there are.
        mature_share: from which share of its outcomes on a night is mature.
        duplicates: rows of these nights that were dropped because the very same row had come before.
        duplicates_contradicting: how many of them tell another outcome than the row that was kept.
        right_alone: share of cases decided without people whose option was the cheapest for the true label.
        to_people: cases that people were asked about, answered or not.
        costs: over the cases that were decided alone or answered; "always ask a person" is a yardstick in which every
            answer is right.
        unanswered: of those asked, the ones nobody has answered yet; they are in no cost.
        right_answered: share of the answers that were the cheapest option for the true label.
        other_spec: decisions and outcomes under options or labels that the spec no longer has; they count nowhere else.
    """

    cases: int
    undecided_outcomes: int
    to_people: int
    costs: tuple[PolicyCost, ...]
    right_alone: float
    quality: Mapping[str, float]
    immature_cases: int = 0
    immature_nights: int = 0
    mature_share: float = 0.9
    duplicates: int = 0
    duplicates_contradicting: int = 0
    unanswered: int = 0
    right_answered: float = float("nan")
    other_spec: int = 0

    @property
    def share_to_people(self) -> float:
        return self.to_people / self.cases if self.cases else 0.0


def compare(
    matured: pd.DataFrame,
    cost: np.ndarray,
    customers: np.ndarray,
    matrix: CostMatrix,
    terms: PolicyTerms,
    waiting: int,
    quality: Mapping[str, float],
) -> Results:
    """This pipeline beside every policy that always does the same, over the cases whose cost came true.

    Args:
        matured: option, label and answer of each decided case with a known outcome; see `maturity.matured_decisions`.
        cost: shape (cases, options, labels).
        customers: whose case each is.
        waiting: decisions whose outcome is not known yet.
        quality: figures of the probabilities, computed elsewhere.
    """
    priced = np.isfinite(cost).all(axis=(1, 2))
    matured, cost, customers = matured[priced].reset_index(drop=True), cost[priced], customers[priced]
    readable = _readable(matured, matrix)
    told, cost, customers = matured[readable].reset_index(drop=True), cost[readable], customers[readable]
    position = {name: i for i, name in enumerate(matrix.labels)}
    label = np.array([position[name] for name in told["label"]], dtype=int)
    options, answers = told["option"].tolist(), answers_of(told)
    true_cost = cost[np.arange(len(label)), :, label]
    paid = realised(options, answers, true_cost, matrix.options, terms.review_cost)
    open_still = unanswered(options, answers)
    best = true_cost.min(axis=1, initial=np.inf)
    alone = np.array([name != ASK_PERSON for name in options], dtype=bool)
    right = paid - np.where(alone, 0.0, terms.review_cost) <= best + CENT
    counted = np.isfinite(paid)
    return Results(
        cases=len(label),
        undecided_outcomes=waiting,
        to_people=int((~alone).sum()),
        costs=_policy_costs(true_cost[counted], paid[counted], customers[counted], matrix, terms),
        right_alone=_share(right[alone]),
        quality=quality,
        unanswered=int(open_still.sum()),
        right_answered=_share(right[~alone & ~open_still]),
        other_spec=int((~readable).sum()),
    )


def _readable(matured: pd.DataFrame, matrix: CostMatrix) -> np.ndarray:
    """Which decisions today's costs can tell of: options and labels that are gone have none."""
    names = {*matrix.options, ASK_PERSON}
    taken = [option in names for option in matured["option"]]
    answered = [answer is None or answer in names for answer in answers_of(matured)]
    known = matured["label"].isin(matrix.labels).to_numpy(dtype=bool)
    return np.asarray(np.array(taken, dtype=bool) & np.array(answered, dtype=bool) & known)


def _policy_costs(
    true_cost: np.ndarray, paid: np.ndarray, customers: np.ndarray, matrix: CostMatrix, terms: PolicyTerms
) -> tuple[PolicyCost, ...]:
    always = {f"always {name}": true_cost[:, i] for i, name in enumerate(matrix.options)}
    closed = frozenset(f"always {name}" for name, no in zip(matrix.options, terms.denies, strict=True) if no)
    totals = {name: float(each.sum()) for name, each in always.items()}
    least = totals[best_constant(totals, closed)]
    shown = always if len(always) <= MOST_POLICIES else {}
    columns = {**shown, ALWAYS_ASKED: always_right(true_cost, terms.review_cost), THIS: paid}
    each = np.column_stack(list(columns.values()))
    draws = resampled_totals(each, customers)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    return tuple(
        PolicyCost(name, float(total), float(lo), float(hi), float(total / least - 1) if least else 0.0)
        for name, total, lo, hi in zip(columns, each.sum(axis=0), low, high, strict=True)
    )


def _share(of: np.ndarray) -> float:
    return float(of.mean()) if len(of) else float("nan")
