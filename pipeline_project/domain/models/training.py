"""From known outcomes to a model: fitted on the earlier nights, calibrated and measured on the later ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.core.devices import CPU
from pipeline_project.domain.core.errors import TooFewOutcomes
from pipeline_project.domain.core.night_arrays import days_begun
from pipeline_project.domain.core.nights import window_of
from pipeline_project.domain.core.schema import NIGHT
from pipeline_project.domain.features.building import SEASON, FeaturePlan, Past, build_features, no_cases
from pipeline_project.domain.features.history import microseconds
from pipeline_project.domain.features.table import CASE_NIGHT, FeatureTable, strings
from pipeline_project.domain.features.timeline import delay_weights, forward_steps, later_share
from pipeline_project.domain.measures.probabilities import all_metrics
from pipeline_project.domain.models import ESTIMATORS, Estimator, EstimatorSettings
from pipeline_project.domain.models.calibration import fit_calibration
from pipeline_project.domain.models.out_of_distribution import OutOfDistributionDetector
from pipeline_project.domain.models.search import Budget, Choices, Clock, LabelledCases, SearchResult, search
from pipeline_project.domain.models.segments import SegmentMaps, fit_segments, slice_metrics, slices
from pipeline_project.domain.models.trained import Prediction, TrainedModel
from pipeline_project.domain.models.training_guards import GuardTerms
from pipeline_project.domain.models.unseen import FEWEST_LABELS, LeftOutRound, UnseenKinds, caught, left_out
from pipeline_project.domain.vectors.modalities import usual_dimensions

__all__ = ["Prediction", "TrainedModel", "TrainingPlan", "learned_from", "train", "training_set", "training_table"]

_DAY = 86_400_000_000
#: Over a shorter span the season and the trend are one and the same, and trees would take the trend for a season.
_DAYS_OF_A_YEAR = 365
#: Stretches into which the later nights are cut, each predicted by a model of all nights before it.
_STEPS = 3


@dataclass(frozen=True)
class TrainingPlan:
    """How a workflow's model is trained.

    Attributes:
        estimator: a name in `models.ESTIMATORS`.
        labels: in the spec's order.
        calibration_share: latest share of the outcomes that the calibration, not the model, is fitted on.
        minimum_outcomes, minimum_per_label: with fewer, nothing is trained.
        dimensions: the vectors of each modality are reduced to this many.
        masked: features whose values are personal.
        watched: numbers whose range says whether a case is familiar.
        segments: categories by whose values probabilities are calibrated and figures are given.
        search: how long better hyper-parameters are looked for.
        choices: hyper-parameters that replace the estimator's own; see `models.search`.
        device: where it is trained, as `core.devices` takes it.
        false_alarms: share of cases of known labels that may be taken for an unseen kind; None looks for none.
    """

    estimator: str
    labels: tuple[str, ...]
    calibration_share: float = GuardTerms.calibration_share
    seed: int = 7
    minimum_outcomes: int = 200
    minimum_per_label: int = 10
    dimensions: Mapping[str, int] = field(default_factory=usual_dimensions, hash=False)
    masked: frozenset[str] = frozenset()
    watched: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    search: Budget = field(default_factory=Budget)
    choices: Choices = ()
    device: str = CPU
    false_alarms: float | None = None

    @property
    def settings(self) -> EstimatorSettings:
        return EstimatorSettings(self.labels, self.dimensions, self.masked, self.choices, self.device)


def training_set(features: FeatureTable, outcomes: pd.DataFrame) -> pa.Table:
    """The cases whose outcome is known, with label and known_at: case_night, case_id, label, known_at, features.

    Args:
        outcomes: case_id, label, known_at (aware); of several for one case the latest counts.
    """
    latest = outcomes.sort_values("known_at", kind="stable").drop_duplicates("case_id", keep="last")
    positions = pd.Index(latest["case_id"]).get_indexer(pd.Index(features.case_ids))
    labelled = features.select(positions >= 0)
    of = latest.iloc[positions[positions >= 0]]
    known_at = pa.array(microseconds(of["known_at"]), pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
    return labelled.to_arrow(of["label"].tolist(), known_at)


def training_table(read: Mapping[str, pa.Table | None], plan: FeaturePlan, past: Past, time_zone: str) -> pa.Table:
    """What `training_set` gives, from the lake's tables `cases`, `embeddings`, `clusters` and `aggregates` of earlier
    nights.

    Features of a case are those it had when its own night was scored: each night knows what was known at its start.
    """
    stored = read.get("cases")
    cases = no_cases(plan) if stored is None else stored
    as_of = {night: window_of(night, time_zone).start for night in set(strings(cases.column(NIGHT)))}
    # a basket holds cases without an outcome too, so features are built of all and picked afterwards
    features = build_features(
        cases,
        plan,
        Past(_all_earlier(past.cases, cases), past.outcomes),
        as_of,
        read.get("embeddings"),
        read.get("clusters"),
        read.get("aggregates"),
    )
    return training_set(features, past.outcomes)


def _all_earlier(past: pa.Table | None, cases: pa.Table) -> pa.Table:
    """Earlier nights that are only in `past`, before the nights at hand, which look back on each other."""
    if past is None or not len(past):
        return cases
    shared = [name for name in past.column_names if name in cases.column_names]
    first = pc.min(cases.column(NIGHT))
    before = past.filter(pc.less(past.column(NIGHT), first)) if first.is_valid else past
    return pa.concat_tables([before.select(shared), cases.select(shared)])


def train(table: pa.Table, plan: TrainingPlan, clock: Clock | None = None) -> TrainedModel:
    """A model from a training set.

    The estimator learns from the earlier nights and predicts the next stretch, learns from that too and predicts the
    one after, until all later nights are predicted by a model that knew only what came before. The calibration maps are
    fitted on these predictions, the metrics are of the same predictions calibrated by maps that had not seen the
    stretch. Then the estimator learns from all nights, since the latest matter most, and takes those maps.

    Args:
        clock: in seconds, what a search bounded in time goes by. It looks at the earlier nights only.

    Raises:
        TooFewOutcomes: with the counts there are and those that are needed.
        KeyError: the plan names an estimator or a segment that does not exist.
        ValueError: the plan searches for so many seconds and there is no clock.
    """
    learned = _with_known_label(table, plan.labels)
    _enough(learned.y, plan)
    learned = learned.weighted
    y, weights = learned.y, learned.weights
    features = _without_a_false_season(FeatureTable.from_arrow(learned.rows))
    later = later_share(features.nights, plan.calibration_share)
    step = forward_steps(features.nights, later, _STEPS)
    searched = _searched(features, y, weights, step == 0, plan, clock)
    plan = replace(plan, choices=searched.choices)
    uncalibrated, first = _predicted_ahead(features, y, weights, step, plan)
    ahead, seen = features.select(later), (y[later], step[later], weights[later])
    calibration, common = fit_calibration(uncalibrated, *seen)
    segments, crossed = fit_segments(ahead, plan.segments, uncalibrated, common, *seen)
    by_slice = slices(ahead, plan.segments, crossed, y[later], weights[later])
    final = _kind(plan)(plan.settings).fit(features, y, weights, plan.seed, like=first)
    ood_detector, share = _out_of_distribution(features, later, plan)
    unseen, caught_of_unseen = _unseen(features, y, weights, step, plan, (uncalibrated, first))
    return TrainedModel(
        estimator_name=plan.estimator,
        estimator=final,
        calibration=calibration,
        ood_detector=ood_detector,
        unseen=unseen,
        labels=plan.labels,
        features=features.names,
        metrics={
            **_metrics(uncalibrated, crossed, y, later, weights),
            **share,
            **caught_of_unseen,
            **slice_metrics(by_slice),
        },
        parameters=_parameters(plan, final, calibration.kind, segments, searched, len(y)),
        segments=segments,
        slices=by_slice,
        period=_period(features.nights, later),
        outcomes={label: int((y == i).sum()) for i, label in enumerate(plan.labels)},
    )


@dataclass(frozen=True)
class Learned:
    """The rows that a model learns from and is measured on, aligned.

    Attributes:
        rows: of a training set, those whose label the spec has.
        y: index of each row's label.
        weights: as `delay_weights` gives them; 0 says nothing.
    """

    rows: pa.Table
    y: np.ndarray
    weights: np.ndarray

    @property
    def nights(self) -> np.ndarray:
        return strings(self.rows.column(CASE_NIGHT))

    @property
    def weighted(self) -> Learned:
        """The rows whose weight is not 0."""
        of = self.weights > 0
        return Learned(self.rows.filter(pa.array(of)), self.y[of], self.weights[of])


def learned_from(table: pa.Table, labels: Sequence[str]) -> Learned:
    """What `train` learns from and takes its figures over; whatever is compared with these takes the same rows.

    Args:
        table: as `training_set` gives it.
        labels: in the spec's order; rows of other labels are left out.
    """
    return _with_known_label(table, labels).weighted


def _with_known_label(table: pa.Table, labels: Sequence[str]) -> Learned:
    rows = table.filter(pc.is_in(table.column("label"), value_set=pa.array(labels, pa.string())))
    position = {label: i for i, label in enumerate(labels)}
    y = np.array([position[label] for label in rows.column("label").to_pylist()], dtype=np.int64)
    return Learned(rows, y, _weights(y, strings(rows.column(CASE_NIGHT)), rows.column("known_at")))


def _searched(
    features: FeatureTable,
    y: np.ndarray,
    weights: np.ndarray,
    early: np.ndarray,
    plan: TrainingPlan,
    clock: Clock | None,
) -> SearchResult:
    """Better hyper-parameters, found on the nights of which no figure is reported."""
    if len(np.unique(y[early])) < 2:
        raise TooFewOutcomes(
            "the outcomes of the earlier nights are all of one label, so nothing can be learned from them; wait for "
            "more nights, or lower model.calibration_share"
        )
    cases = LabelledCases(features.select(early), y[early], weights[early])
    return search(_kind(plan), plan.settings, cases, plan.seed, plan.search, clock)


def _predicted_ahead(
    features: FeatureTable, y: np.ndarray, weights: np.ndarray, step: np.ndarray, plan: TrainingPlan
) -> tuple[np.ndarray, Estimator | None]:
    """Probabilities of the later rows, each by a model of all steps before its own, and the first of these models."""
    predicted = np.zeros((len(y), len(plan.labels)))
    first: Estimator | None = None
    for now in range(1, int(step.max()) + 1):
        before = step < now
        model = _kind(plan)(plan.settings)
        model = model.fit(features.select(before), y[before], weights[before], plan.seed, like=first)
        predicted[step == now] = model.probabilities(features.select(step == now))
        first = first or model
    return predicted[step > 0], first


def _out_of_distribution(
    features: FeatureTable, later: np.ndarray, plan: TrainingPlan
) -> tuple[OutOfDistributionDetector, dict[str, float]]:
    """What all nights looked like, with limits from how far the later ones lay from the earlier ones.

    And the share of the later cases that lie beyond them.
    """
    watched = tuple(name for name in plan.watched if name in features.number_names)
    ahead = features.select(later)
    before = OutOfDistributionDetector().fit(features.select(~later), watched, plan.seed).limit(ahead)
    share = {"unfamiliar_share": float(before.strange(ahead).mean())} if len(ahead) else {}
    return OutOfDistributionDetector(limits=before.limits).fit(features, watched, plan.seed), share


def _unseen(
    features: FeatureTable,
    y: np.ndarray,
    weights: np.ndarray,
    step: np.ndarray,
    plan: TrainingPlan,
    ahead_of: tuple[np.ndarray, Estimator | None],
) -> tuple[UnseenKinds | None, dict[str, float]]:
    """What tells a kind that no label stands for, with its limit; and how many of left-out labels it catches.

    Args:
        ahead_of: as `_predicted_ahead` gives it.
    """
    uncalibrated, first = ahead_of
    later, there = step > 0, np.unique(y[step == 0])
    if plan.false_alarms is None or first is None or len(there) < FEWEST_LABELS:
        return None, {}
    ahead, rounds = features.select(later), []
    for group in left_out(there, plan.seed):
        learned = (step == 0) & ~np.isin(y, group)
        model = _kind(plan)(plan.settings)
        model = model.fit(features.select(learned), y[learned], weights[learned], plan.seed, like=first)
        memory = UnseenKinds().remember(features.select(learned), y[learned], plan.seed)
        rounds.append(LeftOutRound(memory.signals(ahead, model.probabilities(ahead)), np.isin(y[later], group)))
    rounds = [one for one in rounds if one.strange.any() and not one.strange.all()]
    if len(rounds) < 2:
        return None, {}
    unseen = UnseenKinds()
    unseen.weigh(np.concatenate([one.signals for one in rounds]), np.concatenate([one.strange for one in rounds]))
    # each stretch against what came before it, as its probabilities are: the final model has seen no less
    of_stretches = []
    for now in range(1, int(step.max()) + 1):
        unseen.remember(features.select(step < now), y[step < now], plan.seed)
        of_stretches.append(unseen.signals(features.select(step == now), uncalibrated[step[later] == now]))
    unseen.bound(unseen.strangeness(np.concatenate(of_stretches)), plan.false_alarms)
    return unseen.remember(features, y, plan.seed), caught(rounds, plan.false_alarms)


def _kind(plan: TrainingPlan) -> type[Estimator]:
    if plan.estimator not in ESTIMATORS:
        raise KeyError(f"no estimator {plan.estimator!r}; there are {', '.join(ESTIMATORS)}")
    return ESTIMATORS[plan.estimator]


def _enough(y: np.ndarray, plan: TrainingPlan) -> None:
    counts = np.bincount(y, minlength=len(plan.labels))
    if len(y) < plan.minimum_outcomes:
        raise TooFewOutcomes(
            f"{len(y)} outcomes are known and {plan.minimum_outcomes} are needed to train; wait for more nights, or "
            "lower model.retrain.minimum_outcomes"
        )
    rare = [f"{label} {n}" for label, n in zip(plan.labels, counts, strict=True) if n < plan.minimum_per_label]
    if rare:
        raise TooFewOutcomes(
            f"of some labels too few outcomes are known ({', '.join(rare[:10])}) and {plan.minimum_per_label} of each "
            "are needed to train; wait for more nights, or lower model.retrain.minimum_per_label"
        )


def _without_a_false_season(features: FeatureTable) -> FeatureTable:
    days = days_begun(features.nights)
    span = days.max() - days.min() + 1
    return features if span >= _DAYS_OF_A_YEAR else features.without_numbers(SEASON)


def _weights(y: np.ndarray, nights: np.ndarray, known_at: pa.ChunkedArray) -> np.ndarray:
    """`delay_weights`, as of the latest outcome."""
    if not len(y):
        return np.ones(0)
    known_us = known_at.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
    begun = days_begun(nights) * _DAY
    return delay_weights(y, (known_us - begun) / _DAY, (known_us.max() - begun) / _DAY)


def _metrics(
    uncalibrated: np.ndarray, crossed: np.ndarray, y: np.ndarray, later: np.ndarray, weights: np.ndarray
) -> dict[str, float]:
    """Of the later nights, each as predicted by a model of the nights before it; empty when there is one night."""
    counts = {"outcomes": float(len(y)), "outcomes_of_later_nights": float(later.sum())}
    if not later.any():
        return counts
    honest = all_metrics(crossed, y[later], weights[later])
    before = all_metrics(uncalibrated, y[later], weights[later])
    raw = {f"{name}_before_calibration": before[name] for name in ("log_loss", "ece")}
    return {name: value for name, value in (honest | raw | counts).items() if np.isfinite(value)}


def _period(nights: np.ndarray, later: np.ndarray) -> dict[str, str]:
    period = {"first": str(min(nights)), "last": str(max(nights)), "nights": str(len(set(nights)))}
    return period | ({"later_from": str(min(nights[later]))} if later.any() else {})


def _parameters(
    plan: TrainingPlan, final: Estimator, calibration: str, segments: SegmentMaps, searched: SearchResult, rows: int
) -> dict[str, Any]:
    return {
        "estimator": plan.estimator,
        "calibration": calibration,
        "calibration_share": plan.calibration_share,
        "metrics_from": "later nights, each predicted from the nights before, calibration cross-fitted",
        "training_outcomes": rows,
        "trained_on": final.trained_on_,
        **({"segments": ", ".join(plan.segments)} if plan.segments else {}),
        **({"segments_calibrated": ", ".join(segments.names)[:500] or "none"} if plan.segments else {}),
        **searched.parameters(),
        **final.parameters(),
    }
