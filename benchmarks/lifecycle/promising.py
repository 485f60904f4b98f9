"""The nights of a home decided again under a promised error: each night certified on what was known at its start."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.tables import percent, table
from pipeline_project.domain.core.costs import case_costs
from pipeline_project.domain.core.model_terms import PromiseTerms
from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.core.schema import CASE_ID, NIGHT, number_columns
from pipeline_project.domain.deciding.context import DecisionContext
from pipeline_project.domain.deciding.decisions import NightPolicy, decide_night
from pipeline_project.domain.deciding.evidence import LOOKED_AT, standing_for_all, with_truth
from pipeline_project.domain.deciding.promise import NO_EVIDENCE, Evidence, evidence_of
from pipeline_project.domain.measures.intervals import upper_share
from pipeline_project.domain.measures.realised_cost import dearer, realised
from pipeline_project.domain.models.scores import SCORES
from pipeline_project.partitions import window
from pipeline_project.spec import WorkflowSpec


@dataclass(frozen=True)
class Promised:
    """
    Attributes:
        kept_from: the first night on which the promise was in force; None if it never was.
        nights: of which `in_force` had the promise certified.
        wrong: of those decided alone on nights with a promise.
        cost: of all cases with a known outcome, in the workflow's currency.
    """

    terms: PromiseTerms
    kept_from: str | None
    nights: int
    in_force: int
    cases: int
    alone: int
    wrong: int
    cost: float


def again_under(
    spec: WorkflowSpec, terms: PromiseTerms | None, decisions: pa.Table, cases: pa.Table, outcomes: pd.DataFrame
) -> Promised:
    """Every night decided again with the probabilities it had.

    Args:
        terms: the promise; None decides without one.
        outcomes: case_id, label, known_at, one row a case.
    """
    frame = decisions.select(LOOKED_AT).to_pandas()
    policy = replace(spec.policy_terms, promise=terms)
    row_of = pd.Series(range(len(cases)), index=cases[CASE_ID].to_pylist())
    label_of = dict(zip(outcomes["case_id"], outcomes["label"], strict=True))
    alone = wrong = in_force = seen = 0
    cost, first = 0.0, None
    nights = sorted(frame[NIGHT].unique())
    for night in nights:
        tonight = frame[frame[NIGHT] == night].reset_index(drop=True)
        model = tonight["model_version"].dropna().max() if tonight["model_version"].notna().any() else None
        known = outcomes[outcomes["known_at"] <= window(spec, night).start]
        evidence = _evidence(spec, frame[frame[NIGHT] < night], model, known, cases, row_of)
        of_cases = cases.take(pa.array(row_of.loc[tonight[CASE_ID]].to_numpy(), pa.int64()))
        told = DecisionContext(evidence=evidence, model=model)
        result = decide_night(of_cases, _scores(tonight), None, NightPolicy(spec.cost_matrix, policy, None), told)
        option = np.array([each.option for each in result.cases], dtype=object)
        label = np.array([spec.labels.index(label_of[case]) if case in label_of else -1 for case in tonight[CASE_ID]])
        matrix = case_costs(spec.cost_matrix, number_columns(of_cases), len(of_cases))
        there = (label >= 0) & np.isfinite(matrix).all(axis=(1, 2))
        true_cost = matrix[there][np.arange(int(there.sum())), :, label[there]]
        # nobody answers in a measurement: people are supposed to be right
        names = spec.cost_matrix.options
        answers = [names[i] for i in true_cost.argmin(axis=1)]
        paid = realised(option[there].tolist(), answers, true_cost, names, policy.review_cost)
        cost, seen = cost + float(paid.sum()), seen + int(there.sum())
        best = true_cost.min(axis=1)
        by_itself = option[there] != ASK_PERSON
        alone, wrong = alone + int(by_itself.sum()), wrong + int((by_itself & dearer(paid, best)).sum())
        if by_itself.any():
            in_force, first = in_force + 1, first or night
    return Promised(terms or PromiseTerms(1 - 1e-9), first, len(nights), in_force, seen, alone, wrong, cost)


def told(spec: WorkflowSpec, decisions: pa.Table, cases: pa.Table, outcomes: pd.DataFrame) -> str:
    """One row for each promise, the spec's own among them."""
    own = [spec.policy.promise] if spec.policy.promise else []
    wanted = {each.error: each for each in (*own, *(PromiseTerms(error) for error in (0.01, 0.02, 0.05)))}
    found: list[tuple[str, Promised]] = [("none", again_under(spec, None, decisions, cases, outcomes))]
    found += [(f"{at:.0%}", again_under(spec, wanted[at], decisions, cases, outcomes)) for at in sorted(wanted)]
    rows = []
    for name, each in found:
        bound = upper_share(each.wrong, each.alone, 0.05) if each.alone else float("nan")
        error = f"{each.wrong:,} ({each.wrong / each.alone:.2%}, bound {bound:.2%})" if each.alone else "–"
        kept = (
            "–"
            if name == "none" or not each.alone
            else "kept"
            if each.wrong <= each.terms.error * each.alone
            else "not kept"
        )
        share = f"{each.cases - each.alone:,} ({percent(1 - each.alone / each.cases)})"
        since = f"{each.kept_from}, {each.in_force} of {each.nights} nights" if each.kept_from else "never"
        rows.append((name, since, share, error, kept, f"{each.cost:,.2f}"))
    columns = ["promise", "decides alone from", "to people", "wrong of the others", "", f"cost, {spec.currency}"]
    return table(f"{spec.name} decided again under a promised error, each night on what was known then", columns, rows)


def _evidence(
    spec: WorkflowSpec, before: pd.DataFrame, model: str | None, known: pd.DataFrame, cases: pa.Table, row_of: pd.Series
) -> Evidence:
    rows = standing_for_all(before, model, None, spec.outcome.learned_after, spec.name)
    if rows.empty:
        return NO_EVIDENCE
    rows = with_truth(rows, known, spec.outcome.mature_share)
    if rows.empty:
        return NO_EVIDENCE
    of_cases = cases.take(pa.array(row_of.loc[rows[CASE_ID]].to_numpy(), pa.int64()))
    return evidence_of(
        np.array([list(p) for p in rows["probabilities"]], dtype=float),
        case_costs(spec.cost_matrix, number_columns(of_cases), len(of_cases)),
        np.array([spec.labels.index(label) for label in rows["label"]]),
        spec.policy_terms.denies,
        spec.policy_terms.review_cost,
    )


def _scores(tonight: pd.DataFrame) -> pa.Table:
    has = [p is not None and len(p) > 0 if hasattr(p, "__len__") else False for p in tonight["probabilities"]]
    told = [list(p) if there else None for p, there in zip(tonight["probabilities"], has, strict=True)]
    failed = [None if there else reason for there, reason in zip(has, tonight["reason"], strict=True)]
    columns = {
        NIGHT: pa.array(tonight[NIGHT], pa.string()),
        CASE_ID: pa.array(tonight[CASE_ID], pa.string()),
        "probabilities": pa.array(told, pa.list_(pa.float64())),
        "problem": pa.array(failed, pa.string()),
        "model_version": pa.array(tonight["model_version"].tolist(), pa.string()),
    }
    return pa.table({f.name: columns.get(f.name, pa.nulls(len(tonight), f.type)) for f in SCORES})
