"""Small past nights for tests of replays: two options, two labels, costs that one can add up by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.costs import CostMatrix, PolicyTerms
from pipeline_project.domain.features.building import Past, no_past
from pipeline_project.domain.lifecycle.replay.compare import ReplayTerms
from pipeline_project.domain.lifecycle.replay.decide import PastNights, Policy, policy_of

MATRIX = CostMatrix(("honest", "fraud"), ("pay", "assess"), ((0.0, "amount"), (80.0, 80.0)))
TERMS = ReplayTerms("claims", "customer", segments=("kind",), sliced=("kind",), effective=1, enough=2)


def policy(
    matrix: CostMatrix = MATRIX, capacity: int | str = 0, exploration: float = 0.0, review: float = 15
) -> Policy:
    terms = PolicyTerms((False,) * len(matrix.options), review, capacity, exploration, "claims")
    return policy_of(matrix, terms, "amount", "claims")


@dataclass(frozen=True)
class Case:
    """A decided case; without probabilities no model could look at it."""

    option: str
    fraud: float | None = 0.1
    amount: float = 100.0
    night: str = "2025-03-01"
    reason: str = "cheapest"
    kind: str = "glass"
    customer: str | None = None
    propensity: float = 0.0
    version: str | None = "1"


def nights_of(cases: Sequence[Case], past: Past | None = None) -> PastNights:
    """The cases as past nights, named C0, C1, ... in order of nights."""
    ordered = sorted(cases, key=lambda case: case.night)
    ids = [f"C{i}" for i in range(len(ordered))]
    standing = pd.DataFrame(
        {
            "night": [case.night for case in ordered],
            "case_id": ids,
            "option": [case.option for case in ordered],
            "reason": [case.reason for case in ordered],
            "probabilities": pd.Series(
                [None if case.fraud is None else [1 - case.fraud, case.fraud] for case in ordered], dtype=object
            ),
            "propensity": np.array([case.propensity for case in ordered]),
            "model_version": [case.version for case in ordered],
        }
    )
    table = pa.table(
        {
            "night": [case.night for case in ordered],
            "case_id": ids,
            "amount": pa.array([case.amount for case in ordered], pa.float64()),
            "kind": [case.kind for case in ordered],
            "customer": [case.customer or f"K{i}" for i, case in enumerate(ordered)],
        }
    )
    nights = tuple(dict.fromkeys(standing["night"]))
    as_of = {night: datetime.fromisoformat(night).replace(tzinfo=UTC) for night in nights}
    return PastNights(nights, table, standing, past or no_past(), as_of)


def outcomes(labels: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame({"case_id": list(labels), "label": list(labels.values())})
