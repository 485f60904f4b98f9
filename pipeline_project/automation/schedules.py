"""Each workflow's night, and its retraining, by the clock of its own time zone, or of UTC for hours."""

import dagster as dg

from pipeline_project.automation.jobs import Job
from pipeline_project.domain.core.run_tags import STARTED_BY
from pipeline_project.domain.lifecycle.retraining_due import is_due
from pipeline_project.partitions import just_ended
from pipeline_project.spec import WorkflowSpec


def build_schedules(spec: WorkflowSpec, jobs: dict[str, Job]) -> list[dg.ScheduleDefinition]:
    """The nightly schedule, and the retraining one unless the spec says never."""

    @dg.schedule(
        name=f"{spec.name}_every_night",
        job=jobs["nightly"],
        cron_schedule=spec.nights.schedule,
        execution_timezone=spec.nights.clock,
        description="Runs the night that has just ended.",
    )
    def every_night(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        night = just_ended(spec, context.scheduled_execution_time)
        if not spec.has_night(night):
            return dg.SkipReason(f"{night} is no night of {spec.name}; its nights are set in the workflow's `nights`")
        if spec.warms_up(night):
            return dg.SkipReason(f"{night} is a warm-up night; backfill the job {spec.name}_warm_up")
        return dg.RunRequest(run_key=f"{spec.name}/{night}", partition_key=night)

    @dg.schedule(
        name=f"{spec.name}_retraining",
        job=jobs["retrain"],
        cron_schedule=spec.nights.schedule,
        execution_timezone=spec.nights.clock,
        description=f"Trains a challenger on the first night of every {spec.model.retrain.every}.",
    )
    def retraining(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        night = just_ended(spec, context.scheduled_execution_time)
        if not spec.has_night(night):
            return dg.SkipReason(f"{night} is no night of {spec.name}")
        due = is_due(spec.retrain_rule, night, last_trained=night, new_outcomes=0)
        if due is None:
            return dg.SkipReason(f"{night} is not the first night of a {spec.model.retrain.every}")
        tags = {"pipeline/why": due, STARTED_BY: "schedule"}
        return dg.RunRequest(run_key=f"{spec.name}/retrain/{night}", partition_key=night, tags=tags)

    return [every_night] if spec.model.retrain.every == "never" else [every_night, retraining]
