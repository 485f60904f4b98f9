"""Whose turn it is: one run of a workflow at a time, in the order of its nights, however a run was launched.

A night builds on the nights before it. The jobs carry a tag for that; a run launched from the asset graph, by a
backfill of assets or over the API carries none. So what a run is about is read off the run itself, and where runs are
queued they are told apart and held back here. That two processes never work on one workflow at once, in a queue or
not, is the lock's work (`resources/ledger/turns.py`).
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dagster import DagsterRunStatus, QueuedRunCoordinator, RunsFilter, SubmitRunContext

from pipeline_project.automation.fair_share import FairShare
from pipeline_project.automation.progress import PARTITION
from pipeline_project.dagster_internals import (
    AUTO_RETRY_RUN_ID_TAG,
    BACKFILL_ID_TAG,
    BULK_ACTION_TERMINAL_STATUSES,
    IN_PROGRESS_RUN_STATUSES,
    WILL_RETRY_TAG,
    BulkActionsFilter,
    BulkActionStatus,
    PartitionBackfill,
    RunQueueConfig,
)
from pipeline_project.domain.core.errors import NightOutOfTurn
from pipeline_project.domain.core.run_tags import PROCESS, TENANT
from pipeline_project.domain.core.tenants import tenant_and_workflow
from pipeline_project.tenants import most_runs

if TYPE_CHECKING:
    from dagster import AssetKey, DagsterInstance, DagsterRun

WORKFLOW = "pipeline/workflow"
#: The tag by which the queue holds a run back: `<workflow>/<night>`.
TURN = "pipeline/turn"
#: Of a range of partitions in one run the first counts.
_FIRST_OF_RANGE = "dagster/asset_partition_range_start"
_KINDS = ("_nightly", "_warm_up", "_retrain")
_UNDER_WAY = [DagsterRunStatus.QUEUED, *IN_PROGRESS_RUN_STATUSES]
#: How long a failed run is waited for that Dagster means to run again: its daemon looks every five seconds, and after a
#: failure of its own it may never come back to a run.
_RETRY_WITHIN = timedelta(hours=1)

log = logging.getLogger("dagster.pipeline.turns")

Nights = dict[str, set[str]]


def workflows_of(run: DagsterRun) -> list[str]:
    """The workflows that a run writes for, in order: by its tag, its job, or the assets and checks it was asked for."""
    if WORKFLOW in run.tags:
        return [run.tags[WORKFLOW]]
    for kind in _KINDS:
        if run.job_name.endswith(kind):
            return [run.job_name.removesuffix(kind)]
    keys = {*(run.asset_selection or ()), *(check.asset_key for check in run.asset_check_selection or ())}
    return sorted({key.path[0] for key in keys if _is_ours(key)})


def night_of(run: DagsterRun) -> str | None:
    """The night of a run, or None where it has none."""
    return run.tags.get(PARTITION) or run.tags.get(_FIRST_OF_RANGE)


def turn_tags(run: DagsterRun) -> dict[str, str]:
    """The tags by which the queue tells a run's workflow and its night."""
    workflows, night = workflows_of(run), night_of(run)
    if not workflows:
        return {}
    tenant = tenant_and_workflow(workflows[0])[0]
    return {
        WORKFLOW: workflows[0],
        **({TURN: f"{workflows[0]}/{night}"} if night else {}),
        **({TENANT: tenant} if tenant else {}),
    }


def unfinished(instance: DagsterInstance, apart_from: str = "", runs: Sequence[DagsterRun] | None = None) -> Nights:
    """The nights of each workflow of which a run is queued, under way or about to be run again, or that a backfill has
    still to launch.

    Args:
        apart_from: the id of a run that is not looked at.
        runs: those that are queued or under way, where somebody has asked for them already.
    """
    open_nights: Nights = defaultdict(set)
    under_way = instance.get_runs(RunsFilter(statuses=_UNDER_WAY)) if runs is None else runs
    # asked for in this order: a run that fails in between is in both
    for run in (*under_way, *_to_be_retried(instance)):
        night = night_of(run)
        if night and run.run_id != apart_from:
            for workflow in workflows_of(run):
                open_nights[workflow].add(night)
    for backfill in instance.get_backfills(BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])):
        for workflow, night in _still_to_do(backfill):
            open_nights[workflow].add(night)
    return open_nights


def _to_be_retried(instance: DagsterInstance) -> Iterator[DagsterRun]:
    """Failed runs that Dagster will run again and has not queued yet; until then nothing else says that they go on."""
    if not instance.run_retries_enabled:
        return
    since = datetime.now(UTC) - _RETRY_WITHIN
    for record in instance.get_run_records(RunsFilter(statuses=[DagsterRunStatus.FAILURE], updated_after=since)):
        run = record.dagster_run
        # the tag comes a moment after the failure; what no code location launched is never run again
        if run.remote_job_origin is None or run.tags.get(WILL_RETRY_TAG, "true") != "true":
            continue
        if retry_id := run.tags.get(AUTO_RETRY_RUN_ID_TAG):
            retry = instance.get_run_by_id(retry_id)
            if retry is not None and retry.status is DagsterRunStatus.NOT_STARTED:
                yield run
        elif not _of_ended_backfill(instance, run) and not _run_by_others(instance, run, record.create_timestamp):
            yield run


def _run_by_others(instance: DagsterInstance, run: DagsterRun, created: datetime) -> bool:
    """Whether somebody has run the night again meanwhile, which then counts instead."""
    night = night_of(run)
    if night is None:
        return False
    later = instance.get_runs(RunsFilter(tags={PARTITION: night}, created_after=created))
    return any(other.run_id != run.run_id and {*workflows_of(other)} & {*workflows_of(run)} for other in later)


def _of_ended_backfill(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Whether a run belongs to a backfill that is over or deleted, for which Dagster runs nothing again."""
    if BACKFILL_ID_TAG not in run.tags:
        return False
    backfill = instance.get_backfill(run.tags[BACKFILL_ID_TAG])
    return backfill is None or backfill.status in BULK_ACTION_TERMINAL_STATUSES


def held_back(queued: Sequence[DagsterRun], nights: Mapping[str, set[str]]) -> set[str]:
    """The turns of queued runs before which an earlier night of the same workflow has to end."""
    waiting = set()
    for run in queued:
        night = night_of(run)
        if night and any(earlier < night for name in workflows_of(run) for earlier in nights.get(name, ())):
            waiting.add(turn_tags(run)[TURN])
    return waiting


def refuse_out_of_order(instance: DagsterInstance, run: DagsterRun) -> None:
    """Stops a run that no queue has put in its place, before it does anything.

    Raises:
        NightOutOfTurn: an earlier night of the workflow is queued, under way, about to be run again, or asked for by a
            backfill.
    """
    night = night_of(run)
    # the queue and `pipeline nights` take nights in order by themselves
    if night is None or TURN in run.tags or PROCESS in run.tags:
        return
    nights = unfinished(instance, apart_from=run.run_id)
    for workflow in workflows_of(run):
        if earlier := sorted(open_night for open_night in nights.get(workflow, ()) if open_night < night):
            raise out_of_turn(workflow, earlier[0], night)


def out_of_turn(workflow: str, earlier: str, night: str) -> NightOutOfTurn:
    """What to raise where an earlier night comes first."""
    return NightOutOfTurn(
        f"night {earlier} of {workflow} is queued, under way or about to be run again in Dagster, and {night} builds "
        f"on it; let it end, run {earlier} first, or end it under Runs or Backfills if nothing works on it any more, "
        "then run this night again"
    )


class NightCoordinator(QueuedRunCoordinator):
    """Dagster's queue, with runs of one workflow one at a time and in the order of its nights, and tenants in turns."""

    _share: FairShare | None = None

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Queues a run under the tags of its workflow and night, whoever launched it."""
        run = context.dagster_run
        missing = {name: value for name, value in turn_tags(run).items() if name not in run.tags}
        if missing:
            self._instance.add_run_tags(run.run_id, missing)
        return super().submit_run(context)

    def get_run_queue_config(self) -> RunQueueConfig:
        """What the daemon asks for before it takes runs out of the queue: those whose turn it is not are at a limit."""
        config = super().get_run_queue_config()
        limits = [{"key": WORKFLOW, "limit": 1, "value": {"applyLimitPerUniqueValue": True}}]
        runs = self._instance.get_runs(RunsFilter(statuses=_UNDER_WAY)) if self.has_instance else []
        queued = [run for run in runs if run.status is DagsterRunStatus.QUEUED]
        # one run alone may have to wait for a backfill that has not launched what comes before it
        waiting = held_back(queued, unfinished(self._instance, runs=runs)) if queued else set()
        if waiting:
            log.info("%d nights wait for earlier nights of their workflow", len(waiting))
        later = [{"key": TURN, "value": turn, "limit": 0} for turn in sorted(waiting)]
        others = self._held_for_others(runs, waiting, config.max_concurrent_runs) if queued else set()
        held = [{"key": WORKFLOW, "value": workflow, "limit": 0} for workflow in sorted(others)]
        return config._replace(tag_concurrency_limits=[*(config.tag_concurrency_limits or ()), *limits, *later, *held])

    def _held_for_others(self, runs: Sequence[DagsterRun], waiting: set[str], places: int) -> set[str]:
        """Workflows that wait because it is another tenant's turn."""
        queued = [run for run in runs if run.status is DagsterRunStatus.QUEUED and run.tags.get(TURN) not in waiting]
        # as Dagster takes them: by priority, and those that came first first; they are given to us the other way round
        queued.reverse()
        queued.sort(key=_priority, reverse=True)
        under_way = [run for run in runs if run.status is not DagsterRunStatus.QUEUED]
        self._share = self._share or FairShare()
        return self._share.held(
            [name for run in queued for name in workflows_of(run)[:1]],
            [name for run in under_way for name in workflows_of(run)[:1] or [run.run_id]],
            places,
            most_runs(os.environ),
        )


def _priority(run: DagsterRun) -> int:
    """As Dagster reads it: what is no number counts as none."""
    try:
        return int(run.tags.get("dagster/priority", "0"))
    except ValueError:
        return 0


def _still_to_do(backfill: PartitionBackfill) -> Iterator[tuple[str, str]]:
    """Workflow and night of what a backfill has to launch or is waiting for."""
    if backfill.asset_backfill_data is not None:
        data = backfill.asset_backfill_data
        left = data.target_subset - (data.materialized_subset | data.failed_and_downstream_subset)
        for key, nights in left.partitions_subsets_by_asset_key.items():
            if _is_ours(key):
                yield from ((key.path[0], night) for night in nights.get_partition_keys())
    elif backfill.partition_names and (job := backfill.job_name):
        names, last = list(backfill.partition_names), backfill.last_submitted_partition_name
        submitted = names.index(last) + 1 if last in names else 0
        for kind in _KINDS:
            if job.endswith(kind):
                yield from ((job.removesuffix(kind), night) for night in names[submitted:])


def _is_ours(key: AssetKey) -> bool:
    return len(key.path) == 2
