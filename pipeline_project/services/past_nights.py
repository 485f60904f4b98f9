"""Past nights as they were known when they were decided, and a candidate that decides them again; nothing is written.

Commands use this as well, so there is no Dagster in it.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.core.errors import ReplayRefused
from pipeline_project.domain.core.named_values import in_label_order
from pipeline_project.domain.core.nights import look_back, shifted, window_of
from pipeline_project.domain.core.schema import CASE_ID, NIGHT, FieldType, Role
from pipeline_project.domain.deciding.surge import usual_cases
from pipeline_project.domain.features.building import FeaturePlan, Past
from pipeline_project.domain.lifecycle.replay.compare import ReplayComparison, ReplayTerms, compare
from pipeline_project.domain.lifecycle.replay.decide import (
    PastNights,
    Policy,
    ReplayedDecisions,
    allowed_nights,
    decide_again,
    decide_nights,
    joined,
    policy_of,
    recorded,
)
from pipeline_project.domain.lifecycle.replay.findings import ReplayResult
from pipeline_project.domain.lifecycle.replay.pinned import current_versions, first_of_each, pinned_rows, version_before
from pipeline_project.domain.measures.realised_cost import answers_to
from pipeline_project.domain.models.training import TrainedModel
from pipeline_project.domain.reporting.replay_page import PageTerms, render_replay
from pipeline_project.ports.compute import Workers
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.lifecycle import Replays
from pipeline_project.ports.registry import Registry
from pipeline_project.services.aggregating import AGGREGATES, completed
from pipeline_project.services.as_of import past_of
from pipeline_project.services.candidates import Candidate
from pipeline_project.services.decision_context import USUAL_NIGHTS
from pipeline_project.services.in_turn import InTurn
from pipeline_project.spec import WorkflowSpec

#: Policy, features, model and version of a candidate.
_Wants = tuple[Policy, FeaturePlan, TrainedModel | None, str | None]


def run_replay(
    spec: WorkflowSpec,
    lake: Lake,
    ledger: Ledger,
    registry: Registry,
    candidate: Candidate,
    span: tuple[str, str],
    as_of: datetime,
    knows_the_future: bool = False,
    workers: Workers | None = None,
) -> ReplayComparison:
    """A candidate beside what decided the nights of a span; nothing is written and nothing encoded.

    Args:
        span: first and last night.
        as_of: outcomes that became known before then tell what was right.
        knows_the_future: also nights from which the model has learned, for a look.
        workers: who decides the nights again, in as many stretches as they take at once; None for this process.

    Raises:
        ReplayRefused: nothing was decided in the span, or the model knows the future of a night.
        ModelUnavailable: the candidate's files are gone, changed, or for other labels or features.
        LakeUnavailable: a night was written again and what it was is no longer kept.
    """
    begun = time.monotonic()
    model = None if candidate.model is None else TrainedModel.from_files(registry.load(candidate.model))
    if model is not None and model.labels != spec.labels:
        raise ReplayRefused("the model was trained for other labels than the workflow has now; train one for them")
    past = gather(spec, lake, ledger, *span)
    if candidate.model is not None:
        allowed_nights(past.nights, candidate.model.known_before, knows_the_future)
    base_policy, policy = policy_in(spec), policy_in(spec, candidate.policy)
    version = None if candidate.model is None else candidate.model.version
    comparison = compare(
        past,
        recorded(past, base_policy),
        _decided_again(past, workers or InTurn(), policy, spec.feature_plan, model, version),
        (base_policy, policy),
        ledger.outcomes_known(spec.name, as_of),
        terms_of(spec),
        span,
    )
    return replace(comparison, result=replace(comparison.result, seconds=time.monotonic() - begun))


def _decided_again(past: PastNights, workers: Workers, *candidate: *_Wants) -> ReplayedDecisions:
    stretches = [
        part.tolist() for part in np.array_split(np.array(past.nights), min(workers.at_once, len(past.nights)))
    ]
    if len(stretches) == 1:
        return decide_again(past, *candidate)
    return joined(workers.call(decide_nights, stretches, past, *candidate))


def keep_replay(
    spec: WorkflowSpec,
    registry: Registry,
    replays: Replays,
    candidate: Candidate,
    result: ReplayResult,
    started_by: str,
) -> tuple[int, str]:
    """Keeps what a replay found, with its page, both or none; returns its number and where the page lies.

    Raises:
        ModelUnavailable: the candidate was deleted while it was replayed; nothing is kept then.
    """
    if candidate.model is not None:
        registry.load(candidate.model)
    page = PageTerms(spec.title, spec.currency, titles(spec, candidate.policy), replays.desk)
    return replays.keep(
        result, candidate.name, spec.spec_hash, started_by, lambda n: render_replay(result, candidate.name, n, page)
    )


def titles(spec: WorkflowSpec, policy: WorkflowSpec | None) -> dict[str, str]:
    """The options' titles, those of a policy file included."""
    named = {**spec.option_specs, **(policy.option_specs if policy else {})}
    return {name: option.title for name, option in named.items()}


def gather(spec: WorkflowSpec, lake: Lake, ledger: Ledger, first: str, last: str) -> PastNights:
    """The decided nights of a span, each case as it was when it was decided.

    Raises:
        ReplayRefused: nothing was decided in the span.
    """
    decided = ledger.decided(spec.name, first, last)
    if not len(decided):
        raise ReplayRefused(
            f"nothing of {spec.name} was decided from {first} to {last}; the first night that is decided is "
            f"{spec.nights.decide_from}"
        )
    nights = tuple(sorted(decided[NIGHT].unique()))
    zone, reading = spec.nights.time_zone, _Reading(spec, lake, nights)
    cases, standing = reading.cases(decided)
    # what was scored for other labels, or for the same in another order, is read by the labels it was scored for
    versions = [version for version in standing["model_version"].unique() if isinstance(version, str)]
    standing = in_label_order(standing, spec.labels, ledger.labels_of_models(spec.name, versions))
    # the bound of what may be known of the past is that of the first night; outcomes are dated one by one
    earlier = past_of(spec, lake, ledger, window_of(nights[0], zone))
    return PastNights(
        nights=nights,
        cases=cases,
        standing=standing,
        past=Past(
            _before_and(earlier.cases, cases),
            ledger.outcome_history(spec.name, window_of(nights[-1], zone).start),
        ),
        as_of={night: window_of(night, zone).start for night in nights},
        embeddings=reading.embeddings(standing) if spec.encodes else None,
        clusters=reading.clusters(standing) if spec.clusters else None,
        aggregates=completed(spec, lake, ledger, nights, reading.aggregates(standing)) if spec.aggregates else None,
        usual=_usual(spec, lake, nights),
        answers=answers_to(standing, ledger.decided_further(spec.name, nights[0], shifted(nights[-1], 1))),
    )


def _usual(spec: WorkflowSpec, lake: Lake, nights: tuple[str, ...]) -> dict[str, float | None]:
    """For each night the median of the cases of the nights before it."""
    table = lake.read_span(spec.name, "cases", look_back(nights[0], USUAL_NIGHTS), nights[-1], [NIGHT])
    sizes = Counter([] if table is None else table[NIGHT].to_pylist())
    return {
        night: usual_cases([n for earlier, n in sizes.items() if look_back(night, USUAL_NIGHTS) <= earlier < night])
        for night in nights
    }


def policy_in(spec: WorkflowSpec, other: WorkflowSpec | None = None) -> Policy:
    """The policy of a workflow, or what another file would make of it; who is drawn at random stays the same."""
    amount = spec.case_schema.by_role(Role.AMOUNT)
    given = other or spec
    return policy_of(given.cost_matrix, given.policy_terms, amount.name if amount else None, spec.policy_terms.seed)


def terms_of(spec: WorkflowSpec) -> ReplayTerms:
    """How a workflow's replays are judged."""
    subject = spec.case_schema.by_role(Role.SUBJECT)
    features = {field.name for field in spec.model_inputs}
    return ReplayTerms(
        workflow=spec.name,
        subject=subject.name if subject else None,
        segments=spec.model.segments,
        sliced=tuple(f.name for f in spec.case_schema.of_type(FieldType.CATEGORY) if f.name in features),
        learned_after=spec.outcome.learned_after,
        mature_share=spec.outcome.mature_share,
        effective=spec.gates.effective,
        enough=spec.gates.slice_cases,
        seed=spec.model.seed,
    )


@dataclass(frozen=True)
class _Reading:
    """Reads nights at the versions of the lake that their decisions rest on.

    Nights that nobody replaced since are read together, at the newest version; only the others cost a read each.
    """

    spec: WorkflowSpec
    lake: Lake
    nights: tuple[str, ...]

    def cases(self, decided: pd.DataFrame) -> tuple[pa.Table, pd.DataFrame]:
        """Cases and what was decided of them, row by row, nights in order.

        Raises:
            ReplayRefused: decided cases are no longer in the lake.
        """
        table = self._as_decided("cases", decided)
        rows = pd.MultiIndex.from_arrays([table[NIGHT].to_pylist(), table[CASE_ID].to_pylist()])
        asked = pd.MultiIndex.from_frame(decided[[NIGHT, CASE_ID]])
        positions = rows.get_indexer(asked)
        if (positions < 0).any():
            night = decided[NIGHT].iloc[int((positions < 0).argmax())]
            raise ReplayRefused(
                f"{int((positions < 0).sum())} decided cases are not in the lake's table {self.spec.name}/cases, the "
                f"first of night {night}; restore it from its backup, or replay other nights"
            )
        # in the lake's order, which is the order in which the night was decided
        order = positions.argsort(kind="stable")
        return table.take(pa.array(positions[order])), decided.iloc[order].reset_index(drop=True)

    def clusters(self, standing: pd.DataFrame) -> pa.Table:
        """Clusters of these cases as they were, and of earlier cases."""
        now = self._as_decided("clusters", standing)
        before = self.lake.read_span(self.spec.name, "clusters", None, self.nights[0])
        return pa.concat_tables([before, now]) if before is not None else now

    def aggregates(self, standing: pd.DataFrame) -> pa.Table | None:
        """What was kept of these cases when they were decided; None where nothing was kept then."""
        kept = self.lake.read_span(self.spec.name, AGGREGATES, self.nights[0], shifted(self.nights[-1], 1))
        return None if kept is None else self._as_decided(AGGREGATES, standing)

    def embeddings(self, standing: pd.DataFrame) -> pa.Table:
        """Vectors of these cases; those of a night that was written again since are the ones of before."""
        newest = self._span("embeddings")
        replaced = _stale(standing, f"{self.spec.name}/cases", self.lake.night_commits(self.spec.name, "cases"))
        if not replaced:
            return newest
        commits = self.lake.night_commits(self.spec.name, "embeddings")
        older = []
        for night, until in replaced.items():
            version = version_before(commits.get(night, []), until)
            table = None if version is None else self.lake.read_night(self.spec.name, "embeddings", night, version)
            if table is not None:
                older.append(table)
        return first_of_each([*older, newest])

    def _as_decided(self, asset_name: str, decided: pd.DataFrame) -> pa.Table:
        """The rows of each night at the versions that its decisions name; the newest where they name none."""
        name = f"{self.spec.name}/{asset_name}"
        newest = self._span(asset_name)
        commits = self.lake.night_commits(self.spec.name, asset_name)
        older = current_versions(decided, name, commits)
        if not older:
            return newest
        read = {
            (night, version): self.lake.read_night(self.spec.name, asset_name, night, version)
            for night, version in sorted(set(older.values()))
        }
        return pinned_rows(newest, older, read)

    def _span(self, asset_name: str) -> pa.Table:
        table = self.lake.read_span(self.spec.name, asset_name, self.nights[0], shifted(self.nights[-1], 1))
        if table is None:
            raise ReplayRefused(
                f"the lake has no table {self.spec.name}/{asset_name}, which these nights were decided on; "
                "restore it from its backup"
            )
        return table


def _stale(standing: pd.DataFrame, name: str, commits: dict[str, list[tuple[int, datetime]]]) -> dict[str, datetime]:
    """The nights that were written again after they were decided, with the time of the first such writing."""
    rewritten: dict[str, datetime] = {}
    for night, versions in standing.groupby(NIGHT)["data_versions"]:
        decided_at = [v[name] for v in versions if isinstance(v, dict) and name in v]
        later = [time for version, time in commits.get(str(night), []) if decided_at and version > min(decided_at)]
        if later:
            rewritten[str(night)] = min(later)
    return rewritten


def _before_and(earlier: pa.Table | None, cases: pa.Table) -> pa.Table | None:
    """Cases of earlier nights, then the ones at hand, which look back on each other."""
    if earlier is None:
        return None
    first = pc.min(cases.column(NIGHT))
    before = earlier.filter(pc.less(earlier.column(NIGHT), first))
    return pa.concat_tables([before, cases.select(earlier.column_names)])
