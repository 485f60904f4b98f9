"""What a night's decisions rest on beside its own cases: the evidence of a promise, signals of drift, usual sizes."""

from collections import Counter

import numpy as np
import pyarrow as pa

from pipeline_project.domain.core.costs import case_costs
from pipeline_project.domain.core.nights import NightWindow, days_before, look_back
from pipeline_project.domain.core.schema import CASE_ID, NIGHT, FieldType, number_columns
from pipeline_project.domain.deciding.context import DecisionContext
from pipeline_project.domain.deciding.evidence import LOOKED_AT, standing_for_all, with_truth
from pipeline_project.domain.deciding.promise import NO_EVIDENCE, Evidence, evidence_of
from pipeline_project.domain.deciding.surge import usual_cases
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.lifecycle import Quality
from pipeline_project.spec import WorkflowSpec

#: Days looked back on for the truth about past decisions.
LOOK_BACK = 60
#: Nights that say what is usual, of hours days with all their hours.
USUAL_NIGHTS = 28


def decision_context(
    spec: WorkflowSpec, lake: Lake, ledger: Ledger, quality: Quality, night: NightWindow, scores: pa.Table
) -> DecisionContext:
    """What is known at the night's start, as far as the spec asks for it.

    Args:
        scores: of tonight; the version that most of them come from is the one the evidence is about.
    """
    terms = spec.policy_terms
    usual = None if terms.surge is None else usual_cases(_sizes(spec, lake, night.night))
    if terms.promise is None:
        return DecisionContext(usual=usual)
    versions = Counter(v for v in scores["model_version"].to_pylist() if v is not None)
    model = versions.most_common(1)[0][0] if versions else None
    return DecisionContext(
        evidence=_evidence(spec, lake, ledger, night, model, _trained(scores, model)),
        signals=_breached_before(spec, quality, night.night),
        model=model,
        usual=usual,
    )


def _sizes(spec: WorkflowSpec, lake: Lake, night: str) -> list[int]:
    """How many cases each of the last nights had."""
    table = lake.read_span(spec.name, "cases", look_back(night, USUAL_NIGHTS), night, [NIGHT])
    return [] if table is None else list(Counter(table[NIGHT].to_pylist()).values())


def _trained(scores: pa.Table, model: str | None) -> str | None:
    """The night as of which the model was trained."""
    pairs = zip(scores["model_version"].to_pylist(), scores["model_night"].to_pylist(), strict=True)
    return next((trained for version, trained in pairs if version == model), None)


def _breached_before(spec: WorkflowSpec, quality: Quality, night: str) -> tuple[str, ...]:
    """The breached signals of the last night that was judged; tonight's own are known only after it is decided."""
    judged = {earlier: names for earlier, names in quality.history(spec.name).items() if earlier < night}
    return tuple(judged[max(judged)]) if judged else ()


def _evidence(
    spec: WorkflowSpec, lake: Lake, ledger: Ledger, night: NightWindow, model: str | None, since: str | None
) -> Evidence:
    """Decisions of the last nights by this model whose truth is known by now, under today's costs."""
    first = days_before(night.night, LOOK_BACK)
    decisions = lake.read_span(spec.name, "decisions", first, night.night, LOOKED_AT)
    # numbers alone: the words and photos of sixty nights would be read for nothing
    numbers = [field.name for field in spec.case_schema.of_type(FieldType.NUMBER)]
    cases = lake.read_span(spec.name, "cases", first, night.night, [CASE_ID, *numbers])
    if decisions is None or cases is None or not len(decisions) or model is None:
        return NO_EVIDENCE
    terms = spec.policy_terms
    rows = standing_for_all(decisions.to_pandas(), model, since, spec.outcome.learned_after, terms.seed)
    rows = with_truth(rows, ledger.outcomes_known(spec.name, night.start), spec.outcome.mature_share)
    row_of = {case: row for row, case in enumerate(cases[CASE_ID].to_pylist())}
    rows = rows[rows[CASE_ID].isin(row_of) & rows["label"].isin(spec.labels)]
    if rows.empty:
        return NO_EVIDENCE
    of_cases = cases.take(pa.array([row_of[case] for case in rows[CASE_ID]], pa.int64()))
    return evidence_of(
        np.array(rows["probabilities"].tolist(), dtype=float),
        case_costs(spec.cost_matrix, number_columns(of_cases), len(rows)),
        rows["label"].map({label: i for i, label in enumerate(spec.labels)}).to_numpy(dtype=int),
        terms.denies,
        terms.review_cost,
    )
