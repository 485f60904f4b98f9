"""What the decisions of a workflow came to, as `pipeline results` prints it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.core.schema import NIGHT
from pipeline_project.domain.intake.duplicates import contradicting, repeated
from pipeline_project.domain.measures.probabilities import all_metrics
from pipeline_project.domain.reporting.results import Results, compare
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.services.as_of import matured_seen
from pipeline_project.spec import WorkflowSpec

EVER = "9999-12-31"


def results_of(spec: WorkflowSpec, tables: Lake, ledger: Ledger, now: datetime) -> Results | None:
    """What the decided nights came to, as known at a moment; None where nothing was decided."""
    first = spec.nights.first_decided
    matured = matured_seen(spec, tables, ledger, first, EVER, now)
    if matured is None:
        return None
    decisions = matured.decisions
    scored = decisions[decisions["probabilities"].notna() & decisions["label"].isin(spec.labels)]
    labels = scored["label"].map({label: i for i, label in enumerate(spec.labels)}).to_numpy(dtype=int)
    figures = all_metrics(np.array(scored["probabilities"].tolist()), labels) if len(scored) else {}
    results = compare(matured, spec.cost_matrix, spec.policy_terms, figures)
    dropped = dropped_duplicates(spec, tables, first)
    return replace(results, duplicates=dropped[0], duplicates_contradicting=dropped[1])


def dropped_duplicates(spec: WorkflowSpec, tables: Lake, first: str) -> tuple[int, int]:
    """Exact duplicates that were dropped since a night, and how many of them tell another outcome."""
    arrivals, *retained = (
        tables.read_span(spec.name, asset_name, first, EVER, [NIGHT, "row_sha256"])
        for asset_name in ("arrivals", "cases", "quarantine")
    )
    if arrivals is None:
        return 0, 0
    # a night that stopped before its rows were sorted has dropped none
    sorted_nights = pa.array(sorted(tables.nights(spec.name, "cases")), pa.string())
    arrivals = arrivals.filter(pc.is_in(arrivals[NIGHT], value_set=sorted_nights))
    dropped = len(arrivals) - sum(len(table) for table in retained if table is not None)
    cell, again = spec.outcome_cell, repeated(arrivals)
    if cell is None or not len(again):
        return dropped, 0
    nights = again[NIGHT].to_pylist()
    rows = tables.read_span(spec.name, "arrivals", min(nights), shifted(max(nights), 1), [NIGHT, "row_sha256", "raw"])
    return dropped, 0 if rows is None else contradicting(repeated(rows), cell)
