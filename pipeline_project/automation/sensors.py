"""What starts runs beside the clock: files that land, outcomes that become known; and what a failure tells whom."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Protocol

import dagster as dg

from pipeline_project.automation.jobs import KINDS, Job, job_kind, job_name
from pipeline_project.automation.progress import (
    PARTITION,
    Photos,
    failed_runs,
    landed_tag,
    late_photos,
    night_states,
    stale_nights,
    taken_nights,
    unfinished,
)
from pipeline_project.automation.training import training_due
from pipeline_project.domain.core.alerts import RUN_FAILED
from pipeline_project.domain.core.errors import says_what_to_do
from pipeline_project.domain.core.run_tags import STARTED_BY, memory_words, times_killed
from pipeline_project.domain.deciding.clearance import LANDED_CHECK
from pipeline_project.domain.intake.due_nights import ATTEMPTS, in_turns, nights_to_run
from pipeline_project.domain.intake.landing import LATE_ALERT
from pipeline_project.partitions import last_ended, window
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.sources import CaseSource
from pipeline_project.spec import WorkflowSpec

#: Nights started in one tick; the rest follow in the next ones.
NIGHTS_A_TICK = 20


class PhotoSources(Photos, Protocol):
    def cases(self, spec: WorkflowSpec) -> CaseSource: ...


def build_sensors(spec: WorkflowSpec, jobs: dict[str, Job]) -> list[dg.SensorDefinition]:
    """Reconciles landed files with nights done, and retrains on new outcomes."""
    return [_landing(spec, jobs), _late(spec), _new_outcomes(spec, jobs)]


def _landing(spec: WorkflowSpec, jobs: dict[str, Job]) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{spec.name}_landing",
        jobs=list(jobs.values()),
        minimum_interval_seconds=60,
        description="Runs every ended night for which something landed that no finished run has taken in; before it "
        "the training that the night calls for.",
    )
    def landing(
        context: dg.SensorEvaluationContext,
        sources: dg.ResourceParam[PhotoSources],
        ledger: dg.ResourceParam[Ledger],
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        source = sources.cases(spec)
        ended = last_ended(spec, ledger.now())
        turn = _turn(context, spec)
        source_nights = {*source.nights_landed(), *(() if spec.source.tells_nights else turn)}
        landed = [night for night in sorted(source_nights) if spec.has_night(night) and night <= ended]
        photos = late_photos(context.instance, spec, sources, turn)
        states = night_states(context.instance, spec, source, sorted({*landed, *photos}), photos)
        wanted = nights_to_run(spec.name, states, ended)
        if not wanted:
            yield dg.SkipReason(f"all {len(landed)} landed nights are done, running or have failed too often")
        for night in wanted[:NIGHTS_A_TICK]:
            # runs of a workflow go one at a time, first in, first out: the night is scored by the model trained for it
            training = _training(context.instance, spec, ledger, night.night, window(spec, night.night).start)
            if training:
                yield training
            yield dg.RunRequest(
                run_key=night.key,
                partition_key=night.night,
                job_name=job_name(spec, job_kind(spec, night.night)),
                tags=landed_tag(night.landed),
            )

    return landing


def _late(spec: WorkflowSpec) -> dg.SensorDefinition:
    """Tells, and starts nothing: whether a night is taken in again is for `landing` or a person to say."""

    @dg.sensor(
        name=f"{spec.name}_late",
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells of nights for which something landed after they were run: an alert, and the check "
        f"{LANDED_CHECK} of their arrivals. It starts no run.",
    )
    def late(
        context: dg.SensorEvaluationContext,
        sources: dg.ResourceParam[PhotoSources],
        ledger: dg.ResourceParam[Ledger],
    ) -> dg.SensorResult:
        source = sources.cases(spec)
        turn = _turn(context, spec)
        # in one look for all nights: the fingerprints asked for next are of this moment
        source.nights_landed()
        asked = taken_nights(context.instance, spec) if spec.source.tells_nights else turn
        photos = late_photos(context.instance, spec, sources, turn)
        stale = sorted({*stale_nights(context.instance, spec, source, asked), *photos})
        new = [night for night in stale if raise_stale_alert(spec, ledger, night)]
        summary = f"something landed late for {len(stale)} of {len(asked)} nights" if stale else "nothing landed late"
        events = [_stale_check(spec, night) for night in new]
        return dg.SensorResult(asset_events=events, skip_reason=dg.SkipReason(summary))

    return late


def raise_stale_alert(spec: WorkflowSpec, ledger: Ledger, night: str) -> bool:
    """Raises the alert of a night for which something landed after it ran; False when it is open already."""
    message = f"something landed for {night} after it was run, and was not taken in yet"
    about, command = f"{LATE_ALERT}/{night}", f"pipeline nights {spec.name}"
    return ledger.raise_alert(spec.name, LATE_ALERT, about, message, spec.owners[0], command)


def _stale_check(spec: WorkflowSpec, night: str) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey([spec.dagster_name, "arrivals"]),
        check_name=LANDED_CHECK,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"stale: something landed for {night} after it was run; pipeline nights {spec.name} takes it in",
        partition=night,
    )


def _turn(context: dg.SensorEvaluationContext, spec: WorkflowSpec) -> list[str]:
    """Nights to look at again where each costs something: a database does not say for which nights it has something
    new, and of photos each is looked at. The latest are looked at every time, the others in turns."""
    if spec.source.tells_nights and not spec.reads_files:
        return []
    turn = int(context.cursor or 0)
    context.update_cursor(str(turn + 1))
    return in_turns(taken_nights(context.instance, spec), turn)


def _new_outcomes(spec: WorkflowSpec, jobs: dict[str, Job]) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{spec.name}_new_outcomes",
        job=jobs["retrain"],
        minimum_interval_seconds=300,
        description="Trains a challenger when enough new outcomes are known.",
    )
    def new_outcomes(
        context: dg.SensorEvaluationContext, ledger: dg.ResourceParam[Ledger]
    ) -> dg.RunRequest | dg.SkipReason:
        now = ledger.now()
        night = last_ended(spec, now)
        training = _training(context.instance, spec, ledger, night, now)
        return training or dg.SkipReason(f"nothing calls for a training on {night}, or one is running or has failed")

    return new_outcomes


def _training(
    instance: dg.DagsterInstance, spec: WorkflowSpec, ledger: Ledger, night: str, known_before: datetime
) -> dg.RunRequest | None:
    """The training that a night calls for, unless it is running or has failed too often."""
    job = job_name(spec, "retrain")
    due = training_due(spec, ledger, night, known_before)
    if due is None or unfinished(instance, job, night):
        return None
    failed = failed_runs(instance, job, night)
    if failed >= ATTEMPTS:
        return None
    key = f"{spec.name}/training/{night}/{failed + 1}"
    tags = {"pipeline/why": due, STARTED_BY: "sensor"}
    return dg.RunRequest(run_key=key, partition_key=night, job_name=job, tags=tags)


def build_run_sensors(specs: Sequence[WorkflowSpec]) -> list[dg.SensorDefinition]:
    """What a run's end tells whom: two sensors for all workflows, since each tick is a look at the log."""
    by_job = {job_name(spec, kind): spec for spec in specs for kind in KINDS}

    @dg.run_failure_sensor(
        name="failed_runs",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="A failed run becomes an alert with an owner and the command to run next.",
    )
    def failed(context: dg.RunFailureSensorContext, ledger: dg.ResourceParam[Ledger]) -> None:
        run = context.dagster_run
        spec = by_job.get(run.job_name)
        if spec is None:
            return
        night = run.tags.get(PARTITION, "")
        failures = context.get_step_failure_events()
        steps = ", ".join(event.step_key or "?" for event in failures)
        why = _what_to_do(failures) if steps else memory_words(times_killed(run.tags))
        where = f"{night or 'no night'} at {steps or 'the run itself'}"
        ledger.raise_alert(
            workflow=spec.name,
            kind=RUN_FAILED,
            key=alert_key(spec, run.job_name, night),
            message=f"{run.job_name} failed on {where}; run {run.run_id}{f': {why}' if why else ''}",
            owner=spec.owners[0],
            next_command=next_command(spec, run.job_name, night),
        )

    @dg.run_status_sensor(
        name="recovered_runs",
        run_status=dg.DagsterRunStatus.SUCCESS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="A run that went through closes the alert of the runs before it.",
    )
    def recovered(context: dg.RunStatusSensorContext, ledger: dg.ResourceParam[Ledger]) -> None:
        run = context.dagster_run
        if (spec := by_job.get(run.job_name)) is not None:
            ledger.close_alert(spec.name, alert_key(spec, run.job_name, run.tags.get(PARTITION, "")))

    return [failed, recovered]


def _what_to_do(failures: Iterable[dg.DagsterEvent]) -> str:
    """The first error that says so itself; those of others may quote a row."""
    for event in failures:
        error = event.step_failure_data.error
        while error is not None and not says_what_to_do(error.cls_name or ""):
            error = error.cause
        if error is not None:
            return error.message.strip().split(f"{error.cls_name}: ", 1)[-1]
    return ""


def alert_key(spec: WorkflowSpec, job: str, night: str) -> str:
    """What a failed run's alert is about: the kind of job and the night, so that the next attempt closes it."""
    return f"{job.removeprefix(f'{spec.dagster_name}_')}/{night}"


def next_command(spec: WorkflowSpec, job: str, night: str) -> str:
    """What the owner of a failed run types next."""
    if not night:
        return "pipeline status"
    if job == job_name(spec, "retrain"):
        return f"pipeline nights {spec.name} --from {night} --to {night} --retrain"
    return f"pipeline nights {spec.name} --from {night} --to {night}"
