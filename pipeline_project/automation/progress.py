"""What Dagster's event log says was done with each night: telemetry for deciding what to run, never a ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, Protocol

from dagster import AssetKey, DagsterInstance, DagsterRunStatus, RunsFilter

from pipeline_project.automation.jobs import job_kind, job_name
from pipeline_project.automation.last_made import LastMade, last_made
from pipeline_project.dagster_internals import FINISHED_STATUSES, NOT_FINISHED_STATUSES
from pipeline_project.domain.intake.due_nights import NightProgress, Taken, is_done, is_stale
from pipeline_project.partitions import window
from pipeline_project.ports.sources import CaseSource
from pipeline_project.spec import WorkflowSpec

LANDED = "pipeline/landed"
PARTITION = "dagster/partition"
_WITHOUT_SUCCESS = [DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
_STARTED_BY_DAEMON = {"dagster/run_key", "dagster/backfill"}


def landed_tag(landed: str) -> dict[str, str]:
    """The tag that says for what content a run was started; Dagster takes 63 characters."""
    return {LANDED: landed[:60]}


class Photos(Protocol):
    def photo_stamp(self, spec: WorkflowSpec, night: str) -> str | None:
        """What lies there now of the photos that a night's cases name; None where there are no such cases."""


def night_states(
    instance: DagsterInstance,
    spec: WorkflowSpec,
    source: CaseSource,
    nights: Iterable[str],
    photos: Mapping[str, str] | None = None,
) -> dict[str, NightProgress]:
    """The state of each of these nights: what lies at the source, what was taken in, whether it went through.

    Args:
        photos: by night what lies there now of photos that are not as they were read (`late_photos`).
    """
    wanted = list(nights)
    intakes = _last_made(instance, spec, "arrivals", wanted)
    ends = {asset_name: _last_made(instance, spec, asset_name, wanted) for asset_name in _ends(spec)}
    states = {}
    for night in wanted:
        landed = source.fingerprint(window(spec, night))
        if photos and night in photos:
            landed = sha256(f"{landed} {photos[night]}".encode()).hexdigest()
        arrivals = intakes.get(night)
        finished = arrivals is not None and all(
            night in ends[asset_name] and ends[asset_name][night].at >= arrivals.at
            for asset_name in _ends_of(spec, night)
        )
        state = NightProgress(landed, arrivals.landed if arrivals else None, finished)
        states[night] = state if is_done(state) else replace(state, **_runs(instance, spec, night, landed))
    return states


def taken_nights(instance: DagsterInstance, spec: WorkflowSpec) -> list[str]:
    """The nights that were ever taken in, in order."""
    nights = instance.get_materialized_partitions(AssetKey([spec.dagster_name, "arrivals"]))
    return sorted(night for night in nights if spec.has_night(night))


def stale_nights(instance: DagsterInstance, spec: WorkflowSpec, source: CaseSource, nights: Iterable[str]) -> list[str]:
    """Those of the nights for which something landed after they were taken in, in order."""
    states = {
        night: NightProgress(source.fingerprint(window(spec, night)), taken.landed, finished=False)
        for night, taken in _last_made(instance, spec, "arrivals", nights).items()
    }
    return sorted(night for night, state in states.items() if is_stale(state))


def late_photos(instance: DagsterInstance, spec: WorkflowSpec, photos: Photos, nights: Iterable[str]) -> dict[str, str]:
    """Those of the nights whose photos are not as they were when they were read, with what lies there now.

    Costs a look at every photo of these nights, so only a few nights are asked for (`domain.reconciling.in_turns`).
    """
    if not spec.reads_files:
        return {}
    made = _last_made(instance, spec, "embeddings", nights)
    read = {night: of_night.landed for night, of_night in made.items() if of_night.landed is not None}
    now = {night: photos.photo_stamp(spec, night) for night in sorted(read)}
    return {night: stamp for night, stamp in now.items() if stamp is not None and stamp != read[night]}


def taken_at(instance: DagsterInstance, spec: WorkflowSpec, nights: Iterable[str]) -> dict[str, Taken]:
    """When each of these nights was taken in, and when something late last was."""
    wanted = list(nights)
    arrivals = _last_made(instance, spec, "arrivals", wanted)
    photos = _last_made(instance, spec, "embeddings", wanted) if spec.reads_files else {}
    late = {night: [made.late_at for made in (rows, photos.get(night)) if made] for night, rows in arrivals.items()}
    last = {night: max((at for at in times if at is not None), default=None) for night, times in late.items()}
    return {night: Taken(made.at, last[night]) for night, made in arrivals.items()}


def unfinished(instance: DagsterInstance, job: str, night: str) -> bool:
    """Whether a run of a night is queued or running; one that a command started may have died with the command."""
    waiting = RunsFilter(job_name=job, tags={PARTITION: night}, statuses=NOT_FINISHED_STATUSES)
    return any(_STARTED_BY_DAEMON & run.tags.keys() for run in instance.get_runs(waiting))


def failed_runs(instance: DagsterInstance, job: str, night: str) -> int:
    """Runs of a job for a night that failed or were cancelled."""
    return instance.get_runs_count(RunsFilter(job_name=job, tags={PARTITION: night}, statuses=_WITHOUT_SUCCESS))


def _last_made(
    instance: DagsterInstance, spec: WorkflowSpec, asset_name: str, nights: Iterable[str]
) -> dict[str, LastMade]:
    return last_made(instance, AssetKey([spec.dagster_name, asset_name]), nights)


def _ends(spec: WorkflowSpec) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*_warm_up_ends(spec), "night_report")))


def _ends_of(spec: WorkflowSpec, night: str) -> tuple[str, ...]:
    return _warm_up_ends(spec) if spec.warms_up(night) else ("outcomes", "night_report")


def _warm_up_ends(spec: WorkflowSpec) -> tuple[str, ...]:
    deepest = "clusters" if spec.clusters else "embeddings" if spec.encodes else "cases"
    return (deepest, "outcomes")


def _runs(instance: DagsterInstance, spec: WorkflowSpec, night: str, landed: str) -> dict[str, Any]:
    """What became of the runs that were started for what has landed, as arguments of a `NightProgress`."""
    job = job_name(spec, job_kind(spec, night))
    ended = instance.get_runs(
        RunsFilter(job_name=job, tags={PARTITION: night, **landed_tag(landed)}, statuses=FINISHED_STATUSES)
    )
    failures = sum(run.status in _WITHOUT_SUCCESS for run in ended)
    return {"failures": failures, "attempts": len(ended), "running": unfinished(instance, job, night)}
