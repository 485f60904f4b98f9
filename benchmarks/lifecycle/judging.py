"""The ways in which a model is stopped, asked in the order in which it would meet them in production."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.lifecycle.bad_models import Candidate
from benchmarks.lifecycle.house import LIVE_DECISIONS, House
from benchmarks.lifecycle.world import LABELS, MATRIX, PLAN, POLICY, WORKFLOW, Cases, decided
from pipeline_project.domain.core.costs import case_costs
from pipeline_project.domain.core.errors import ModelUnavailable, PipelineError
from pipeline_project.domain.core.model_terms import GateTerms, RolloutTerms
from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.core.schema import number_columns
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.lifecycle.gates import GateVerdict, judge_gates
from pipeline_project.domain.lifecycle.replay.compare import ReplayTerms, compare
from pipeline_project.domain.lifecycle.replay.decide import PastNights, allowed_nights, recorded
from pipeline_project.domain.lifecycle.replay.findings import ReplayResult
from pipeline_project.domain.lifecycle.rollout.watching import EProcess
from pipeline_project.domain.measures.realised_cost import dearer
from pipeline_project.domain.models import files as model_files
from pipeline_project.domain.models.trained import OUT_OF_DISTRIBUTION, TrainedModel
from pipeline_project.domain.models.training import train
from pipeline_project.domain.models.training_guards import GuardTerms, check

#: The terms a workflow has when its file says nothing.
GATES, ROLLOUT = GateTerms(), RolloutTerms()
#: Of fewer than 500 cases a calibration error of 0.05 is as likely luck as not.
REPLAY = ReplayTerms(WORKFLOW, "customer", segments=("kind",), sliced=("kind", "channel"), enough=500)


@dataclass(frozen=True)
class Stop:
    """What became of a candidate.

    Attributes:
        by: guard, training, artifact, scoring, replay, gate or watch; None where nothing stopped it.
        what: in words.
        watched: after how many of its own decisions the watch alone, with the good model's promise, would have rolled
            it back; None where it would not have within the decisions there are, or where it cannot decide at all.
    """

    by: str | None
    what: str
    watched: int | None = None


@dataclass(frozen=True)
class Bench:
    """What every candidate is measured against.

    Attributes:
        promised: the error that the gates saw of the good model, with the slack.
    """

    house: House
    base: PastNights
    promised: float

    @classmethod
    def of(cls, house: House) -> Bench:
        base = _nights(house.replayed, house.champion, lambda features: features, "1")
        good = replay(house, base, house.good, Candidate())
        return cls(house, base, good.candidate.error + ROLLOUT.slack)

    def judged(self, given: Candidate) -> Stop:
        """Asks guards, training, files, replay, gates and the watch in turn."""
        try:
            model = self._model(given)
        except _Stopped as stopped:
            return Stop(stopped.by, str(stopped))
        watched = self._watched(model, given, self.promised)
        try:
            result = self._replayed(model, given)
        except PipelineError as problem:
            return Stop("scoring" if isinstance(problem, ModelUnavailable) else "replay", str(problem), watched)
        failed = [verdict for verdict in judge_gates(result, GATES, None) if not verdict.passed]
        if failed:
            return Stop("gate", _told(failed), watched)
        after = self._watched(model, given, result.candidate.error + ROLLOUT.slack)
        if after is not None:
            return Stop("watch", f"error above what the gates saw, {result.candidate.error:.1%}", after)
        return Stop(None, f"{result.money.value:+.3f} per case against the champion" if result.money else "", watched)

    def _model(self, given: Candidate) -> TrainedModel:
        if given.table is not None:
            refuse_by_guards(given)
        try:
            model = given.model or (train(given.table, PLAN) if given.table is not None else self.house.good)
        except PipelineError as problem:
            raise _Stopped("training", str(problem)) from problem
        files = dict(given.files or model.files())
        try:
            return opened(files, given.registered or (None if given.files else model.digest))
        except PipelineError as problem:
            raise _Stopped("artifact", str(problem)) from problem

    def _replayed(self, model: TrainedModel, given: Candidate) -> ReplayResult:
        if given.table is not None:
            allowed_nights(self.house.replayed.nights, knows_until(given))
        return replay(self.house, self.base, model, given)

    def _watched(self, model: TrainedModel, given: Candidate, promised: float) -> int | None:
        try:
            nights = _nights(self.house.live, model, given.seen, "2")
        except PipelineError:
            return None
        wrong = wrong_alone(nights, self.house.live)
        watch = EProcess(min(max(promised, 0.001), 0.999), ROLLOUT.alpha)
        for number, each in enumerate(wrong[:LIVE_DECISIONS], start=1):
            watch.update([bool(each)])
            if watch.breached:
                return number
        return None


class _Stopped(Exception):
    def __init__(self, by: str, why: str) -> None:
        super().__init__(why)
        self.by = by


def refuse_by_guards(given: Candidate) -> None:
    """What the training asset asks before it trains.

    Raises:
        _Stopped: a guard refused.
    """
    assert given.table is not None
    names = FeatureTable.from_arrow(given.table).names
    try:
        check(given.table, GuardTerms(LABELS, content=frozenset(names)))
    except PipelineError as problem:
        raise _Stopped("guard", str(problem)) from problem


def opened(files: Mapping[str, bytes], registered: str | None) -> TrainedModel:
    """A version as the registry opens it: the digest that was registered first, then formats and seal, then content.

    Raises:
        ModelUnavailable: anything of it is not as it was registered, or it is of other labels.
    """
    if registered is not None and model_files.digest(files) != registered:
        raise ModelUnavailable("the files are not those that were registered and signed; bring the originals back")
    model = TrainedModel.from_files(files)
    if model.labels != LABELS:
        raise ModelUnavailable("it was trained for other labels than the spec has now; train a model for them")
    return model


def knows_until(given: Candidate) -> str:
    """The night from which on a training set knows nothing: not what anybody says, but its latest outcome."""
    assert given.table is not None
    return str(max(given.table.column("known_at").to_pylist()).date().isoformat())


def replay(house: House, base: PastNights, model: TrainedModel, given: Candidate) -> ReplayResult:
    """The candidate beside the champion on the same nights."""
    nights = _nights(house.replayed, model, given.seen, "2")
    found = compare(
        base, recorded(base, POLICY), recorded(nights, POLICY), (POLICY, POLICY),
        house.replayed.outcomes(), REPLAY, (base.nights[0], base.nights[-1]),
    )  # fmt: skip
    return found.result


def _nights(
    cases: Cases, model: TrainedModel, seen: Callable[[FeatureTable], FeatureTable], version: str
) -> PastNights:
    table = seen(cases.features)
    # one case is asked in full, which says what a night would: whether the model can be used at all
    model.predict(table.select(np.arange(1)))
    # the rest without reasons, which take most of the time and change no decision
    told = model.calibration.apply(model.estimator.probabilities(table))
    problems = [OUT_OF_DISTRIBUTION if odd else None for odd in model.ood_detector.strange(table)]
    return decided(cases, told / told.sum(axis=1, keepdims=True), version, problems)


def wrong_alone(nights: PastNights, cases: Cases) -> np.ndarray:
    """Of the decisions made without people, in order: whether another option was cheaper for the truth."""
    cost = case_costs(MATRIX, number_columns(nights.cases), len(cases))
    rows, option = np.arange(len(cases)), nights.standing["option"].to_numpy()
    alone = option != ASK_PERSON
    chosen = np.array([MATRIX.options.index(name) if name != ASK_PERSON else 0 for name in option])
    told = cost[rows, :, cases.label]
    return dearer(told[rows, chosen], told.min(axis=1))[alone]


def _told(failed: list[GateVerdict]) -> str:
    return f"{', '.join(verdict.name for verdict in failed)}: {failed[0].detail}"
