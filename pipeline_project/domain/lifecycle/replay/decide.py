"""Past nights decided again by a candidate: features of all of them at once, then night by night, places are shared."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.costs import CostMatrix, PolicyTerms
from pipeline_project.domain.core.errors import ReplayRefused
from pipeline_project.domain.core.reasons import ASK_PERSON, Reason, Trait
from pipeline_project.domain.core.schema import CASE_ID, NIGHT
from pipeline_project.domain.deciding.context import DecisionContext
from pipeline_project.domain.deciding.decisions import Decision, NightPolicy, decide_night
from pipeline_project.domain.features.building import FeaturePlan, Past, build_features
from pipeline_project.domain.features.table import strings
from pipeline_project.domain.models.scores import SCORES
from pipeline_project.domain.models.scoring import problems_of, summing_to_one
from pipeline_project.domain.models.trained import TrainedModel

#: Columns of `PastNights.standing`.
STANDING = (NIGHT, CASE_ID, "option", "reason", "probabilities", "propensity", "model_version")


@dataclass(frozen=True)
class PastNights:
    """Nights as they were when they were decided.

    Attributes:
        nights: in order.
        cases: each case as it was when it was decided, nights in order.
        standing: what was decided of it, columns as `STANDING`, row by row as `cases`.
        past: earlier cases, and every outcome with each of its corrections.
        as_of: the start of each night.
        embeddings: rows of these cases, or None where cases have no vectors.
        clusters: rows of these cases and of earlier ones, or None.
        usual: median of the cases of the nights before each night; None, or no entry, if unknown.
        answers: by case, the option that people chose where they were asked and answered; None where nobody kept it,
            as in nights that were made up: then every answer is taken to be right.
        aggregates: rows of these cases, or None where nothing is made of other rows.
    """

    nights: tuple[str, ...]
    cases: pa.Table
    standing: pd.DataFrame
    past: Past
    as_of: Mapping[str, datetime]
    embeddings: pa.Table | None = None
    clusters: pa.Table | None = None
    usual: Mapping[str, float | None] = field(default_factory=dict)
    answers: Mapping[str, str] | None = None
    aggregates: pa.Table | None = None


@dataclass(frozen=True)
class Policy(NightPolicy):
    """A policy with its name.

    Attributes:
        hash: sha256 of matrix and terms.
    """

    hash: str


@dataclass(frozen=True)
class ReplayedDecisions:
    """The decisions of one of the two, row by row as `PastNights.cases`.

    Attributes:
        probabilities: shape (cases, labels), NaN where there are none.
        alone: the option each case gets without people, None where there is none.
        benefit: what a person's answer was expected to save; NaN if unknown.
        drawn: the chance of being drawn for the random share; NaN if unknown.
        places: answers people can give in all of these nights.
        models: the versions that decided, in order.
    """

    option: list[str]
    reason: list[str]
    probabilities: np.ndarray
    alone: list[str | None]
    benefit: np.ndarray
    drawn: np.ndarray
    places: int
    models: tuple[str, ...]


def policy_of(matrix: CostMatrix, terms: PolicyTerms, amount: str | None, seed: str) -> Policy:
    """A policy with its hash; `seed` is the workflow's own, so that the random share draws the same cases."""
    terms = dataclasses.replace(terms, seed=seed)
    content = json.dumps([dataclasses.asdict(matrix), dataclasses.asdict(terms)], sort_keys=True, separators=(",", ":"))
    return Policy(matrix, terms, amount, hashlib.sha256(content.encode()).hexdigest())


def allowed_nights(nights: Sequence[str], known_before: str, knows_the_future: bool = False) -> None:
    """Lets nothing be replayed by a model that has seen what came after it.

    Args:
        known_before: the first night of which the model has seen nothing.
        knows_the_future: the caller wants it all the same, for a look and never for a verdict.

    Raises:
        ReplayRefused: with the first night that may be replayed.
    """
    early = [night for night in nights if night < known_before]
    if early and not knows_the_future:
        raise ReplayRefused(
            f"the model has learned from what became known until {known_before}, so it knows the future of "
            f"{len(early)} of {len(nights)} nights ({early[0]} to {early[-1]}); replay from {known_before} on, or "
            "train a model that is held back further"
        )


def decide_again(
    past: PastNights, policy: Policy, plan: FeaturePlan, model: TrainedModel | None, version: str | None
) -> ReplayedDecisions:
    """Every night decided by a candidate.

    Args:
        model: scores the cases anew; None takes the probabilities that were recorded.
        version: of the model.

    Raises:
        ModelUnavailable: the cases lack a feature that the model was trained on.
    """
    scores = (
        recorded_scores(past, len(policy.matrix.labels)) if model is None else _scores_of(past, plan, model, version)
    )
    return _promised(past, policy, _decided(past, policy, scores))


def decide_nights(
    nights: Sequence[str],
    past: PastNights,
    policy: Policy,
    plan: FeaturePlan,
    model: TrainedModel | None,
    version: str | None,
) -> ReplayedDecisions:
    """As `decide_again`, of some of the nights, which follow each other."""
    chosen = np.isin(strings(past.cases.column(NIGHT)), list(nights))
    some = dataclasses.replace(
        past,
        nights=tuple(nights),
        cases=past.cases.filter(pa.array(chosen)),
        standing=past.standing[chosen].reset_index(drop=True),
    )
    return decide_again(some, policy, plan, model, version)


def joined(parts: Sequence[ReplayedDecisions]) -> ReplayedDecisions:
    """The decisions of stretches of nights, in their order, as one."""
    return ReplayedDecisions(
        option=[option for part in parts for option in part.option],
        reason=[reason for part in parts for reason in part.reason],
        probabilities=np.concatenate([part.probabilities for part in parts]),
        alone=[option for part in parts for option in part.alone],
        benefit=np.concatenate([part.benefit for part in parts]),
        drawn=np.concatenate([part.drawn for part in parts]),
        places=sum(part.places for part in parts),
        models=tuple(sorted({version for part in parts for version in part.models}, key=_numbered)),
    )


def _promised(past: PastNights, policy: Policy, decided: ReplayedDecisions) -> ReplayedDecisions:
    """Cases that went to people so that a promise is kept go there again, under a policy that promises something.

    What a promise rests on is what its own model did: of a candidate that never decided there is no such evidence.
    """
    if policy.terms.promise is None:
        return decided
    promised = [
        was == Reason.PROMISE.value and option != ASK_PERSON
        for was, option in zip(past.standing["reason"], decided.option, strict=True)
    ]
    return dataclasses.replace(
        decided,
        option=[ASK_PERSON if keep else option for keep, option in zip(promised, decided.option, strict=True)],
        reason=[Reason.PROMISE.value if keep else why for keep, why in zip(promised, decided.reason, strict=True)],
    )


def recorded(past: PastNights, policy: Policy) -> ReplayedDecisions:
    """What decided those nights, as it was recorded.

    Args:
        policy: the one under which they were decided; options and reasons are the recorded ones, what would have been
            decided without people and what an answer was expected to save follow from the recorded probabilities.
    """
    again, standing = _decided(past, policy, recorded_scores(past, len(policy.matrix.labels))), past.standing
    return ReplayedDecisions(
        standing["option"].tolist(),
        standing["reason"].tolist(),
        again.probabilities,
        again.alone,
        again.benefit,
        standing["propensity"].to_numpy(dtype=float),
        again.places,
        tuple(sorted({v for v in standing["model_version"] if isinstance(v, str)}, key=_numbered)),
    )


def recorded_scores(past: PastNights, labels: int) -> pa.Table:
    """The probabilities that each case was decided with, as `SCORES`."""
    rows = past.standing
    # of other labels than today's nothing can be said
    has = [isinstance(p, list) and len(p) == labels for p in rows["probabilities"]]
    failed = Reason.having(Trait.BARRED)
    problems = [
        None if there else (reason if reason in failed else Reason.NO_MODEL.value)
        for there, reason in zip(has, rows["reason"], strict=True)
    ]
    return _table(
        past,
        [p if there else None for p, there in zip(rows["probabilities"], has, strict=True)],
        problems,
        [v if isinstance(v, str) else None for v in rows["model_version"]],
    )


def _scores_of(past: PastNights, plan: FeaturePlan, model: TrainedModel, version: str | None) -> pa.Table:
    features = build_features(past.cases, plan, past.past, past.as_of, past.embeddings, past.clusters, past.aggregates)
    scored = model.predict(features, explain=False)
    closed = [why == Reason.POLICY_CLOSED.value for why in past.standing["reason"]]
    problems = [
        Reason.POLICY_CLOSED.value if shut else problem
        for shut, problem in zip(closed, problems_of(past.cases, past.embeddings, scored.problems), strict=True)
    ]
    probabilities = [None if p else summing_to_one(row) for p, row in zip(problems, scored.probabilities, strict=True)]
    return _table(past, probabilities, problems, [version] * len(problems))


def _table(
    past: PastNights,
    probabilities: Sequence[list[float] | None],
    problems: Sequence[str | None],
    versions: Sequence[str | None],
) -> pa.Table:
    n = past.cases.num_rows
    columns = {
        NIGHT: past.cases.column(NIGHT),
        CASE_ID: past.cases.column(CASE_ID),
        "probabilities": pa.array(probabilities, pa.list_(pa.float64())),
        "problem": pa.array(problems, pa.string()),
        "model_version": pa.array(versions, pa.string()),
    }
    return pa.table({f.name: columns.get(f.name, pa.nulls(n, f.type)) for f in SCORES})


def _decided(past: PastNights, policy: Policy, scores: pa.Table) -> ReplayedDecisions:
    of_night = pd.Series(strings(past.cases.column(NIGHT)))
    spans = of_night.groupby(of_night, sort=True).indices
    cases: list[Decision] = []
    benefits, places = [], 0
    unpromised = dataclasses.replace(policy, terms=dataclasses.replace(policy.terms, promise=None))
    for night in past.nights:
        rows = spans.get(night)
        if rows is None:
            continue
        # rows of a night stand together, so a slice does and nothing is copied
        first, count = int(rows[0]), len(rows)
        decided = decide_night(
            past.cases.slice(first, count),
            scores.slice(first, count),
            None,
            unpromised,
            DecisionContext(usual=past.usual.get(night)),
        )
        cases += decided.cases
        benefits.append(np.asarray(decided.result.benefit, dtype=float))
        places += decided.result.places
    nothing = [np.nan] * len(policy.matrix.labels)
    return ReplayedDecisions(
        [decision.option for decision in cases],
        [decision.reason for decision in cases],
        np.array([decision.probabilities or nothing for decision in cases], dtype=float).reshape(len(cases), -1)
        if cases
        else np.empty((0, len(nothing))),
        [decision.cheapest for decision in cases],
        np.concatenate(benefits) if benefits else np.empty(0),
        np.array([decision.propensity for decision in cases], dtype=float),
        places,
        tuple(sorted({decision.model_version for decision in cases if decision.model_version}, key=_numbered)),
    )


def _numbered(version: str) -> tuple[int, str]:
    return (int(version) if version.isdigit() else 0, version)
