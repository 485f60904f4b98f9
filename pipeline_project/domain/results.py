"""What decided nights came to, once the truth is known: the money, against the simplest policies, and the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline_project.domain.costs import CostMatrix, PolicyTerms
from pipeline_project.domain.policy import ASK_PERSON

ROUNDS = 1000
THIS = "this pipeline"


@dataclass(frozen=True)
class PolicyCost:
    """What one policy cost over all cases with a known outcome.

    Attributes:
        total: in the workflow's currency.
        low, high: 95 % interval of the total, resampling customers.
        against_best: total over that of the best constant policy, minus one.
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

    @property
    def share_to_people(self) -> float:
        return self.to_people / self.cases if self.cases else 0.0


def realised(
    option: Sequence[str], label: np.ndarray, cost: np.ndarray, matrix: CostMatrix, review: float
) -> np.ndarray:
    """What each decision cost, given the truth; a person is taken to find it and to choose the cheapest option.

    Args:
        option: names, "ask_person" included.
        label: index of the true label.
        cost: shape (cases, options, labels).
        review: cost of one answer.

    Returns:
        Shape (cases,), in the workflow's currency.
    """
    rows = np.arange(len(label))
    true_cost = cost[rows, :, label]
    index = {name: i for i, name in enumerate(matrix.options)}
    chosen = np.array([index.get(name, -1) for name in option], dtype=int)
    asked = np.array([name == ASK_PERSON for name in option], dtype=bool)
    return np.where(asked, review + true_cost.min(axis=1), true_cost[rows, np.maximum(chosen, 0)])


def resampled_totals(costs: np.ndarray, customers: np.ndarray, seed: int = 7, rounds: int = ROUNDS) -> np.ndarray:
    """Totals over customers drawn with replacement.

    Args:
        costs: shape (cases, policies).
        customers: shape (cases,), whose case each is; a case without one counts as a customer of its own.

    Returns:
        Shape (rounds, policies): the same draw for every policy, so that differences can be taken.
    """
    if not len(costs):
        return np.zeros((rounds, costs.shape[1]))
    codes, known = pd.factorize(customers)
    nobody = codes < 0
    codes[nobody] = len(known) + np.arange(nobody.sum())
    count = codes.max() + 1
    by_customer = np.zeros((count, costs.shape[1]))
    np.add.at(by_customer, codes, costs)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=rounds)
    return draws @ by_customer


def compare(
    matured: pd.DataFrame,
    cost: np.ndarray,
    customers: np.ndarray,
    matrix: CostMatrix,
    terms: PolicyTerms,
    waiting: int,
    quality: Mapping[str, float],
) -> Results:
    """This pipeline beside every policy that always does the same.

    Args:
        matured: option and label of each decided case with a known outcome.
        cost: shape (cases, options, labels).
        customers: whose case each is.
        waiting: decisions whose outcome is not known yet.
        quality: figures of the probabilities, computed elsewhere.
    """
    known = np.isfinite(cost).all(axis=(1, 2))
    matured, cost, customers = matured[known].reset_index(drop=True), cost[known], customers[known]
    label = np.array([matrix.labels.index(name) for name in matured["label"]], dtype=int)
    options = matured["option"].tolist()
    policies = {f"always {name}": [name] * len(label) for name in matrix.options} if len(matrix.options) <= 12 else {}
    policies |= {"always ask a person": [ASK_PERSON] * len(label), THIS: options}
    columns = np.column_stack(
        [realised(chosen, label, cost, matrix, terms.review_cost) for chosen in policies.values()]
    )
    totals, draws = columns.sum(axis=0), resampled_totals(columns, customers)
    best = min(total for name, total in zip(policies, totals, strict=True) if name != THIS)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    alone = [name != ASK_PERSON for name in options]
    cheapest = cost[np.arange(len(label)), :, label].argmin(axis=1)
    right = [matrix.options[c] == o for c, o, on in zip(cheapest, options, alone, strict=True) if on]
    return Results(
        cases=len(label),
        undecided_outcomes=waiting,
        to_people=len(label) - sum(alone),
        costs=tuple(
            PolicyCost(name, float(total), float(lo), float(hi), float(total / best - 1) if best else 0.0)
            for name, total, lo, hi in zip(policies, totals, low, high, strict=True)
        ),
        right_alone=float(np.mean(right)) if right else float("nan"),
        quality=quality,
    )
