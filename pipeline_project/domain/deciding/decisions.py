"""Decisions as tables: what the policy says of a night, and how it meets what was already decided."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.costs import CostMatrix, PolicyTerms, case_costs
from pipeline_project.domain.core.reasons import ASK_PERSON, Reason
from pipeline_project.domain.core.schema import CASE_ID, NIGHT, number_columns
from pipeline_project.domain.core.stored_tables import StoredTable, versions_of
from pipeline_project.domain.deciding.context import DecisionContext
from pipeline_project.domain.deciding.policy import PolicyResult, decide
from pipeline_project.domain.deciding.recorded import NewDecision
from pipeline_project.domain.models.scores import SCORES

#: The decision of each case. `option` is the one that stands in the ledger, `would_be` what the policy says now;
#: they differ only on a night decided before. Expected costs stand in the order of the spec's options.
DECISIONS = pa.schema(
    [
        pa.field(NIGHT, pa.string(), nullable=False),
        pa.field(CASE_ID, pa.string(), nullable=False),
        pa.field("option", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("would_be", pa.string(), nullable=False),
        pa.field("amount", pa.float64()),
        pa.field("cheapest", pa.string()),
        pa.field("cheapest_cost", pa.float64()),
        pa.field("person_cost", pa.float64()),
        pa.field("benefit", pa.float64()),
        pa.field("propensity", pa.float64()),
        pa.field("probabilities", pa.list_(pa.float64())),
        pa.field("expected_costs", pa.list_(pa.float64())),
        pa.field("reasons", pa.list_(pa.string())),
        pa.field("model_version", pa.string()),
        pa.field("cluster", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Decision:
    """The policy's word on one case; money in the workflow's currency, None where it is not known.

    Attributes:
        option: what is chosen, `ASK_PERSON` included; `reason` why, the value of a `Reason`.
        amount: at stake.
        cheapest: the cheapest option open to the machine, and what it and a person would cost in expectation.
        benefit: what a person's answer saves.
        propensity: probability with which the case could have been drawn for the random share.
        probabilities: in the order of the labels.
        expected_costs: in the order of the options.
        reasons: what moved the model, in words.
    """

    night: str
    case_id: str
    option: str
    reason: str
    amount: float | None
    cheapest: str | None
    cheapest_cost: float | None
    person_cost: float | None
    benefit: float | None
    propensity: float
    probabilities: list[float] | None
    expected_costs: list[float] | None
    reasons: list[str]
    model_version: str | None
    cluster: str | None


#: What the ledger keeps of it.
_KEPT = (
    *(CASE_ID, "model_version", "option", "reason", "amount", "propensity", "probabilities", "expected_costs"),
    *("reasons", "cluster"),
)


@dataclass(frozen=True)
class NightDecisions:
    """The policy's word on a night, case by case; `result` holds what belongs to the night as a whole.

    Attributes:
        options: of which option each of the `expected_costs` is.
    """

    cases: list[Decision]
    result: PolicyResult
    options: tuple[str, ...] = ()


def unscored(night: str, case_ids: Sequence[str], problem: str) -> pa.Table:
    """Scores for cases that no model could look at; each of them goes to a person."""
    rows = [{NIGHT: night, CASE_ID: case, "reasons": [], "problem": problem} for case in case_ids]
    return pa.Table.from_pylist(rows, schema=SCORES)


@dataclass(frozen=True)
class NightPolicy:
    """The part of a workflow that says what is done about probabilities.

    Attributes:
        matrix: options by labels.
        amount: the field that holds the money at stake, or None.
    """

    matrix: CostMatrix
    terms: PolicyTerms
    amount: str | None


def decide_night(
    cases: pa.Table,
    scores: pa.Table,
    clusters: pa.Table | None,
    policy: NightPolicy,
    tonight: DecisionContext | None = None,
) -> NightDecisions:
    """Decides every case of a night.

    Args:
        cases: the admitted cases.
        scores: as `SCORES`, for the same cases in any order.
        clusters: the night's clusters, for the record, or None.
        tonight: what promise and surge rest on, see `decide`.

    Raises:
        ValueError: cases and scores are not the same cases.
    """
    matrix, amount = policy.matrix, policy.amount
    ids: list[str] = cases.column(CASE_ID).to_pylist()
    score_of = {row[CASE_ID]: row for row in scores.to_pylist()}
    if set(score_of) != set(ids) or len(score_of) != scores.num_rows:
        raise ValueError("scores and cases of the night are not the same cases; materialize `scores` again")
    ordered = [score_of[case] for case in ids]
    probability = _probabilities(ordered, len(matrix.labels))
    columns = number_columns(cases)
    if tonight is not None and tonight.model is not None:
        covered = np.array([row["model_version"] == tonight.model for row in ordered], dtype=bool)
        tonight = replace(tonight, covered=covered)
    costs, problems = case_costs(matrix, columns, len(ids)), [row["problem"] for row in ordered]
    result = decide(ids, probability, costs, problems, policy.terms, tonight)
    cluster_of = {} if clusters is None else _column_by_case(clusters, "cluster")
    amounts = columns[amount] if amount else np.full(len(ids), np.nan)
    priced = np.isfinite(result.expected).all(axis=1)
    decided = [
        Decision(
            night=score[NIGHT],
            case_id=case,
            option=_option(matrix, result, i),
            reason=result.reason[i].value,
            amount=_finite(amounts[i]),
            cheapest=matrix.options[result.cheapest[i]] if result.cheapest[i] >= 0 else None,
            cheapest_cost=_finite(result.cheapest_cost[i]),
            person_cost=_finite(result.person_cost[i]),
            benefit=_finite(result.benefit[i]),
            propensity=float(result.propensity[i]),
            probabilities=score["probabilities"],
            expected_costs=result.expected[i].tolist() if priced[i] else None,
            reasons=score["reasons"] or [],
            model_version=score["model_version"],
            cluster=cluster_of.get(case),
        )
        for i, (case, score) in enumerate(zip(ids, ordered, strict=True))
    ]
    return NightDecisions(decided, result, matrix.options)


def _probabilities(scores: Sequence[Mapping[str, Any]], labels: int) -> np.ndarray:
    """Shape (cases, labels); NaN where a case has none."""
    nothing = [math.nan] * labels
    return np.array([row["probabilities"] or nothing for row in scores], dtype=float).reshape(len(scores), labels)


def ledger_rows(decided: NightDecisions, read: Mapping[str, StoredTable], spec_hash: str) -> list[NewDecision]:
    """What the ledger keeps of each decision, so that it can be explained from there alone.

    Args:
        decided: the policy's word.
        read: the tables it rests on, by asset name; their lake versions are kept with the decision.
        spec_hash: of the workflow as it was declared.
    """
    versions = versions_of(read.values())
    contract = {
        "arrivals": read["arrivals"].rows.num_rows,
        "admitted": read["cases"].rows.num_rows,
        "quarantined": read["quarantine"].rows.num_rows,
    }
    return [
        NewDecision(
            **{name: getattr(decision, name) for name in _KEPT},
            option_order=list(decided.options),
            spec_hash=spec_hash,
            data_versions=versions,
            contract=contract,
        )
        for decision in decided.cases
    ]


def standing_table(decided: NightDecisions, standing: pd.DataFrame) -> pa.Table:
    """The night's decisions as they stand: the ledger's word where a case was decided before, beside the policy's.

    Args:
        decided: what the policy says now.
        standing: case_id, option, reason of every case, from the ledger.
    """
    by_case = {row.case_id: row for row in standing.itertuples(index=False)}
    now = {name: [getattr(decision, name) for decision in decided.cases] for name in Decision.__dataclass_fields__}
    stands = {name: [getattr(by_case[case], name) for case in now[CASE_ID]] for name in ("option", "reason")}
    return pa.Table.from_pydict({**now, **stands, "would_be": now["option"]}, schema=DECISIONS)


def option_counts(decisions: pa.Table) -> dict[str, int]:
    """How many cases each option got, asking a person included, most first."""
    counts = pd.Series(decisions.column("option").to_pylist(), dtype=object).value_counts(sort=True)
    return {str(option): int(n) for option, n in counts.items()}


def changed(decisions: pa.Table) -> int:
    """Cases that the policy would decide otherwise today than they were decided."""
    return sum(a != b for a, b in zip(decisions["option"].to_pylist(), decisions["would_be"].to_pylist(), strict=True))


def asked(decisions: pa.Table) -> dict[str, int]:
    """How many cases go to people, by reason."""
    reasons = [
        reason
        for option, reason in zip(decisions["option"].to_pylist(), decisions["reason"].to_pylist(), strict=True)
        if option == ASK_PERSON
    ]
    return {reason.value: reasons.count(reason.value) for reason in Reason if reason.value in reasons}


def bounds_metadata(result: PolicyResult) -> Mapping[str, Any]:
    """What bounded a night beyond costs and places, as metadata: beyond, exploration_*, promise_*, surge_*."""
    parts = {"exploration": result.exploration, "promise": result.promise, "surge": result.surge}
    figures = {
        f"{name}_{key}": list(value) if isinstance(value, tuple) else value
        for name, part in parts.items()
        if part is not None
        for key, value in asdict(part).items()
        if value is not None
    }
    return {"beyond": result.beyond, **figures}


def _option(matrix: CostMatrix, result: PolicyResult, i: int) -> str:
    return ASK_PERSON if result.option[i] < 0 else matrix.options[result.option[i]]


def _column_by_case(table: pa.Table, column: str) -> Mapping[str, Any]:
    return dict(zip(table[CASE_ID].to_pylist(), table[column].to_pylist(), strict=True))


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
