"""What starts runs beside the clock: files that land, outcomes that become known; and what a failure tells whom."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Protocol

import dagster as dg

from pipeline_project.automation.jobs import Job, job_kind, job_name
from pipeline_project.automation.progress import LANDED, night_states
from pipeline_project.automation.training import training_due
from pipeline_project.domain.ports import CaseSource, Ledger
from pipeline_project.domain.reconciling import nights_to_run
from pipeline_project.partitions import last_ended, window
from pipeline_project.spec import WorkflowSpec

#: Nights started in one tick; the rest follow in the next ones.
NIGHTS_A_TICK = 20


class Sources(Protocol):
    def cases(self, spec: WorkflowSpec) -> CaseSource: ...


def build_sensors(spec: WorkflowSpec, jobs: dict[str, Job]) -> list[dg.SensorDefinition]:
    """Reconciles landed files with nights done, retrains on new outcomes, and writes alerts for failed runs."""
    return [_landing(spec, jobs), _new_outcomes(spec, jobs), _alerts(spec, jobs)]


def _landing(spec: WorkflowSpec, jobs: dict[str, Job]) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{spec.name}_landing",
        jobs=[jobs["nightly"], jobs["warm_up"]],
        minimum_interval_seconds=60,
        description="Runs every ended night for which something landed that no finished run has taken in.",
    )
    def landing(
        context: dg.SensorEvaluationContext, sources: dg.ResourceParam[Sources]
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        source = sources.cases(spec)
        ended = last_ended(spec)
        landed = [night for night in source.nights_landed() if spec.has_night(night) and night <= ended]
        wanted = nights_to_run(spec.name, night_states(context.instance, spec, source, landed), ended)
        if not wanted:
            yield dg.SkipReason(f"all {len(landed)} landed nights are done")
        for night in wanted[:NIGHTS_A_TICK]:
            fingerprint = source.fingerprint(window(spec, night.night))
            yield dg.RunRequest(
                run_key=night.key,
                partition_key=night.night,
                job_name=job_name(spec, job_kind(spec, night.night)),
                tags={LANDED: fingerprint[:60]},
            )

    return landing


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
        night = last_ended(spec)
        due = training_due(spec, ledger, night, datetime.now(UTC))
        if due is None:
            return dg.SkipReason(f"nothing calls for a training on {night}")
        return dg.RunRequest(run_key=f"{spec.name}/outcomes/{night}", partition_key=night, tags={"pipeline/why": due})

    return new_outcomes


def _alerts(spec: WorkflowSpec, jobs: dict[str, Job]) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name=f"{spec.name}_alerts",
        monitored_jobs=list(jobs.values()),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="A failed run becomes an alert with an owner and the command to run next.",
    )
    def alerts(context: dg.RunFailureSensorContext, ledger: dg.ResourceParam[Ledger]) -> None:
        run = context.dagster_run
        night = run.tags.get("dagster/partition", "")
        steps = ", ".join(event.step_key or "?" for event in context.get_step_failure_events()) or "the run itself"
        ledger.raise_alert(
            workflow=spec.name,
            kind="run_failed",
            key=f"{run.job_name}/{night}",
            message=f"{run.job_name} failed on {night or 'no night'} at {steps}; run {run.run_id}",
            owner=spec.owners[0],
            next_command=next_command(spec, run.job_name, night),
        )

    return alerts


def next_command(spec: WorkflowSpec, job: str, night: str) -> str:
    """What the owner of a failed run types next."""
    if job == job_name(spec, "retrain"):
        return f"pipeline nights {spec.name} --from {night} --to {night} --retrain"
    return f"pipeline nights {spec.name} --from {night} --to {night}"
