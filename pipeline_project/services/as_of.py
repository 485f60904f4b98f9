"""What was known when a night began: earlier cases and the outcomes that had become known by then."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.costs import case_costs
from pipeline_project.domain.core.errors import NightMissing
from pipeline_project.domain.core.named_values import in_label_order
from pipeline_project.domain.core.nights import NightWindow, shifted
from pipeline_project.domain.core.schema import CASE_ID, NIGHT, FieldType, Role, number_columns
from pipeline_project.domain.core.stored_tables import StoredTable
from pipeline_project.domain.features.building import Past
from pipeline_project.domain.measures.intervals import customers_of
from pipeline_project.domain.measures.label_delay import DelayCurve, Maturity, seen_from
from pipeline_project.domain.measures.maturity import (
    DECIDED,
    Matured,
    immature_part,
    matured_decisions,
    settled_nights,
    truth_learned,
)
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.spec import WorkflowSpec


def stored(lake: Lake, spec: WorkflowSpec, asset_name: str, night: str) -> StoredTable:
    """One night of one asset that must be there.

    Raises:
        NightMissing: it was never materialized; the message has the command to run.
    """
    table = lake.stored_night(spec.name, asset_name, night)
    if table is None:
        raise never_written(spec, asset_name, night)
    return table


def written(lake: Lake, spec: WorkflowSpec, asset_name: str, night: str) -> pa.Table:
    """The rows of `stored`."""
    return stored(lake, spec, asset_name, night).rows


def never_written(spec: WorkflowSpec, asset_name: str, night: str) -> NightMissing:
    """What to raise where a night of an asset must be there and is not."""
    return NightMissing(
        f"{spec.name}/{asset_name} was never materialized for {night}; run "
        f"pipeline nights {spec.name} --from {night} --to {night}"
    )


def written_span(lake: Lake, spec: WorkflowSpec, asset_name: str, first: str, before: str) -> pa.Table:
    """The nights first <= night < before of one asset that must be there.

    Raises:
        NightMissing: it was never materialized; the message has the command to run.
    """
    table = lake.read_span(spec.name, asset_name, first, before)
    return written(lake, spec, asset_name, shifted(before, -1)) if table is None else table


def clusters_until(spec: WorkflowSpec, lake: Lake, night: NightWindow) -> pa.Table | None:
    """Clusters of this night's cases and of earlier ones, for what is known of a cluster's past."""
    return lake.read_span(spec.name, "clusters", None, shifted(night.night, 1)) if spec.clusters else None


def maturity_seen(spec: WorkflowSpec, lake: Lake, ledger: Ledger, as_of: datetime) -> tuple[DelayCurve, list[Maturity]]:
    """How late outcomes come, and how mature each night before `as_of` is: the one answer that every page, report and
    command shows. Two that asked with other cases or other outcomes would call one night by two names.

    Where the truth is learned after some options only, the cases that got another one are not waited for. Reads the
    ids of all cases there are.
    """
    before = spec.nights.of(as_of)
    cases = lake.read_span(spec.name, "cases", None, before, [NIGHT, CASE_ID])
    ids = pd.DataFrame({name: [] if cases is None else cases[name].to_pylist() for name in (NIGHT, CASE_ID)})
    if spec.outcome.learned_after:
        decided = lake.read_span(spec.name, "decisions", None, before, [NIGHT, CASE_ID, "option"])
        if decided is not None:
            never = np.array(decided[CASE_ID].to_pylist(), dtype=object)[~_learned(spec, decided)]
            ids = ids[~ids[CASE_ID].isin(set(never))]
    history = ledger.outcome_history(spec.name, as_of)
    share, zone = spec.outcome.mature_share, spec.nights.time_zone
    return seen_from(ids.astype(object).reset_index(drop=True), history, as_of, share, zone)


def matured_seen(
    spec: WorkflowSpec, lake: Lake, ledger: Ledger, first: str, before: str, as_of: datetime
) -> Matured | None:
    """The decisions of the nights first <= night < before with what is known of them at a moment: the one answer for
    every page, report and command that judges them. None where nothing was decided."""
    decisions = lake.read_span(spec.name, "decisions", first, before, DECIDED)
    subject = spec.case_schema.by_role(Role.SUBJECT)
    # what costs and customers are read from: the words and photos of many nights would be read for nothing
    fields = [field.name for field in (*spec.case_schema.of_type(FieldType.NUMBER), *([subject] if subject else []))]
    cases = lake.read_span(spec.name, "cases", first, before, [CASE_ID, *dict.fromkeys(fields)])
    if decisions is None or cases is None or not len(decisions):
        return None
    outcomes = ledger.outcomes_known(spec.name, as_of)
    further = ledger.decided_further(spec.name, first, before)
    matured, of_cases = matured_decisions(decisions, cases, outcomes, further)
    versions = [version for version in matured["model_version"].unique() if isinstance(version, str)]
    _, nights = maturity_seen(spec, lake, ledger, as_of)
    return Matured(
        in_label_order(matured, spec.labels, ledger.labels_of_models(spec.name, versions)),
        case_costs(spec.cost_matrix, number_columns(of_cases), len(of_cases)),
        customers_of(of_cases, subject.name if subject else None),
        len(decisions) - len(matured),
        immature_part(decisions, matured, nights, spec.outcome.mature_share),
    )


def _learned(spec: WorkflowSpec, decided: pa.Table) -> np.ndarray:
    return truth_learned(decided["option"].to_pylist(), spec.outcome.learned_after)


def mature_decided(
    spec: WorkflowSpec, lake: Lake, ledger: Ledger, first: str | None, before: str, as_of: datetime
) -> list[str]:
    """The decided nights first <= night < before that were settled before `as_of`, in order.

    Where the truth is learned after some options only, the cases that got another one are not waited for.
    """
    decided = lake.read_span(spec.name, "decisions", first, before, [NIGHT, CASE_ID, "option"])
    if decided is None:
        return []
    waited_for = decided.select([NIGHT, CASE_ID]).to_pandas()[_learned(spec, decided)]
    with_outcome = waited_for[CASE_ID].isin(set(ledger.outcomes_known(spec.name, as_of)[CASE_ID]))
    return settled_nights(waited_for[NIGHT], with_outcome, spec.outcome.mature_share)


def past_of(spec: WorkflowSpec, lake: Lake, ledger: Ledger, night: NightWindow) -> Past:
    """The past as a model deciding `night` may know it: cases of earlier nights, outcomes known before it began."""
    roles = (Role.TIME, Role.AMOUNT)
    named = [field.name for role in roles if (field := spec.case_schema.by_role(role))]
    columns = [NIGHT, CASE_ID, *dict.fromkeys([*named, *(h.by for h in spec.model.history)])]
    back = [history.nights for history in spec.model.history]
    bounded = [nights for nights in back if nights is not None]
    # a cluster's past has no bound, and the first night of a training looks back as far as the last one does
    bound = bool(bounded) and len(bounded) == len(back) and not spec.clusters
    first = shifted(night.night, -max(bounded) - (spec.model.training_nights or 0)) if bound else None
    return Past(
        cases=lake.read_span(spec.name, "cases", first, night.night, columns) if back or spec.clusters else None,
        outcomes=ledger.outcomes_known(spec.name, night.start),
    )
