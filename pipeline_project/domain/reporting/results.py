"""What decided nights came to, once the truth is known: the money, against the simplest policies, and the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline_project.domain.core.costs import CostMatrix, PolicyTerms
from pipeline_project.domain.measures.intervals import total_intervals
from pipeline_project.domain.measures.maturity import MATURE_SHARE, Matured
from pipeline_project.domain.measures.realised_cost import always_right, best_constant, realised_of

THIS = "this pipeline"
ALWAYS_ASKED = "always ask a person"
#: Above so many options not each is shown as a policy of its own.
MOST_POLICIES = 12


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
    mature_share: float = MATURE_SHARE
    duplicates: int = 0
    duplicates_contradicting: int = 0
    unanswered: int = 0
    right_answered: float = float("nan")
    other_spec: int = 0

    @property
    def share_to_people(self) -> float:
        return self.to_people / self.cases if self.cases else 0.0


def compare(matured: Matured, matrix: CostMatrix, terms: PolicyTerms, quality: Mapping[str, float]) -> Results:
    """This pipeline beside every policy that always does the same, over the cases whose cost came true.

    Args:
        quality: figures of the probabilities, computed elsewhere.
    """
    realised = realised_of(matured.decisions, matured.cost, matrix.options, matrix.labels, terms.review_cost)
    alone, answered = ~realised.asked, realised.asked & realised.counted
    counted = realised.counted
    return Results(
        cases=len(realised.rows),
        undecided_outcomes=matured.waiting,
        to_people=int(realised.asked.sum()),
        costs=_policy_costs(
            realised.true_cost[counted],
            realised.paid[counted],
            matured.customers[realised.rows][counted],
            matrix,
            terms,
        ),
        right_alone=_share(realised.right[alone]),
        quality=quality,
        unanswered=int(realised.unanswered.sum()),
        right_answered=_share(realised.right[answered]),
        other_spec=realised.other_spec,
        immature_cases=matured.immature.cases,
        immature_nights=matured.immature.nights,
        mature_share=matured.immature.mature_share,
    )


def _policy_costs(
    true_cost: np.ndarray, paid: np.ndarray, customers: np.ndarray, matrix: CostMatrix, terms: PolicyTerms
) -> tuple[PolicyCost, ...]:
    totals = true_cost.sum(axis=0)
    least = float(totals[best_constant(totals, terms.denies)])
    always = {f"always {name}": true_cost[:, i] for i, name in enumerate(matrix.options)}
    shown = always if len(always) <= MOST_POLICIES else {}
    columns = {**shown, ALWAYS_ASKED: always_right(true_cost, terms.review_cost), THIS: paid}
    intervals = total_intervals(np.column_stack(list(columns.values())), customers)
    return tuple(
        PolicyCost(name, total.value, total.low, total.high, total.value / least - 1 if least else 0.0)
        for name, total in zip(columns, intervals, strict=True)
    )


def _share(of: np.ndarray) -> float:
    return float(of.mean()) if len(of) else float("nan")
