"""What each option costs under each label, and what asking a person costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline_project.domain.core.expressions import evaluate
from pipeline_project.domain.core.model_terms import PolicyBounds


@dataclass(frozen=True)
class CostMatrix:
    """Options by labels; a cell is a number or an expression over the case's own fields.

    Attributes:
        cells: shape (options, labels).
    """

    labels: tuple[str, ...]
    options: tuple[str, ...]
    cells: tuple[tuple[float | str, ...], ...]


@dataclass(frozen=True)
class PolicyTerms(PolicyBounds):
    """What bounds the policy beside the costs.

    Attributes:
        denies: per option, whether it refuses a customer something, so that only a person may choose it.
        review_cost: of one answer, in the workflow's currency.
        capacity: answers per night, a number or a share such as "20%".
        exploration: share of cases sent to people at random.
        seed: what makes one workflow's random share differ from another's.
    """

    denies: tuple[bool, ...]
    review_cost: float
    capacity: int | str
    exploration: float
    seed: str

    def places(self, cases: int) -> int:
        """How many answers people can give for a night of this many cases."""
        return review_capacity(self.capacity, cases)


def review_capacity(capacity: int | str, cases: int) -> int:
    """Answers that people can give: a number as it stands, or a share such as "20%" of the cases, rounded down."""
    return int(float(capacity.rstrip("%")) * cases / 100) if isinstance(capacity, str) else capacity


def case_costs(matrix: CostMatrix, columns: Mapping[str, np.ndarray], cases: int) -> np.ndarray:
    """The cost of every option under every label, for every case.

    Returns:
        Shape (cases, options, labels), in the workflow's currency; NaN where a field it needs is missing, or
        where it divides by a field that is 0.
    """
    by_cell: dict[str | float, np.ndarray] = {}
    costs = np.empty((cases, len(matrix.options), len(matrix.labels)))
    for o, row in enumerate(matrix.cells):
        for c, cell in enumerate(row):
            if cell not in by_cell:
                by_cell[cell] = evaluate(cell, columns, cases)
            costs[:, o, c] = by_cell[cell]
    costs[~np.isfinite(costs)] = np.nan
    return costs


def expected_costs(probability: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Expected cost of each option for each case.

    Args:
        probability: calibrated, shape (cases, labels), rows sum to one.
        cost: in the workflow's currency, shape (cases, options, labels).

    Returns:
        Shape (cases, options). The policy takes the cheapest column.
    """
    return np.einsum("cl,col->co", probability, cost)
