"""Decisions beside the ledger: what is handed over to be recorded, and what stands there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class NewDecision:
    """One decision of the policy before it is a row of the ledger: all that explains it from there alone.

    Attributes:
        data_versions: of the lake's tables that it rests on, by table.
        contract: rows of the night that arrived, were admitted and were quarantined.
        reasons: what moved the model, in words.
        probabilities: in the order of the labels.
        expected_costs: in the order of `option_order`.
    """

    case_id: str
    option: str
    reason: str
    spec_hash: str
    data_versions: Mapping[str, int]
    model_version: str | None = None
    contract: Mapping[str, int] | None = None
    cluster: str | None = None
    reasons: Sequence[str] | None = None
    probabilities: Sequence[float] | None = None
    expected_costs: Sequence[float] | None = None
    amount: float | None = None
    propensity: float | None = None
    option_order: Sequence[str] | None = None


@dataclass(frozen=True)
class RecordedDecision:
    """One decision as it stands in the ledger, by column; a figure that was none is None.

    Attributes:
        epoch: which decision of the case it is, from 1.
        made_by: `policy`, or `person:` and a name.
    """

    id: int
    workflow: str
    case_id: str
    epoch: int
    night: str
    option: str
    reason: str
    spec_hash: str
    model_version: str | None
    data_versions: Mapping[str, int]
    contract: Mapping[str, int] | None
    cluster: str | None
    reasons: Sequence[str] | None
    probabilities: Sequence[float] | None
    expected_costs: Sequence[float | None] | None
    amount: float | None
    propensity: float | None
    attempt: int
    run_id: str
    made_by: str
    decided_at: datetime
    option_order: Sequence[str] | None
