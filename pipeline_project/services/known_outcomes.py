"""What is known of a workflow's outcomes, as `pipeline outcomes` prints it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from pipeline_project.domain.core.schema import CASE_ID
from pipeline_project.domain.measures.label_delay import DelayCurve, Maturity
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.services.as_of import maturity_seen
from pipeline_project.spec import WorkflowSpec


@dataclass(frozen=True)
class KnownOutcomes:
    """What the ledger knows of a workflow's cases.

    Attributes:
        curve, nights: see `label_delay`; every night, in order.
        unknown: ids that have an outcome and no case.
        contradictions: as `Ledger.contradictions`.
    """

    curve: DelayCurve
    nights: list[Maturity]
    unknown: list[str]
    contradictions: pd.DataFrame


def outcomes_of(spec: WorkflowSpec, tables: Lake, ledger: Ledger, now: datetime) -> KnownOutcomes:
    """What is known of a workflow's outcomes at a moment, and how late they come."""
    read = tables.read_span(spec.name, "cases", None, "9999-12-31", [CASE_ID])
    case_ids = set() if read is None else set(read[CASE_ID].to_pylist())
    history = ledger.outcome_history(spec.name, now)
    curve, nights = maturity_seen(spec, tables, ledger, now)
    unknown = sorted(set(history[CASE_ID]) - case_ids)
    return KnownOutcomes(curve, nights, unknown, ledger.contradictions(spec.name))
