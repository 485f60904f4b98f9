"""Whose turn it is: read off the run itself, however it was launched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster import AssetCheckKey, AssetKey, DagsterRun, DagsterRunStatus, SubmitRunContext

from pipeline_project.automation.turns import (
    TURN,
    WORKFLOW,
    NightCoordinator,
    held_back,
    refuse_out_of_order,
    turn_tags,
    unfinished,
    workflows_of,
)
from pipeline_project.dagster_internals import (
    AUTO_RETRY_RUN_ID_TAG,
    BACKFILL_ID_TAG,
    WILL_RETRY_TAG,
    BulkActionStatus,
    PartitionBackfill,
)
from pipeline_project.domain.core.errors import NightOutOfTurn
from pipeline_project.domain.core.run_tags import PROCESS
from tests.dagster_internals import (
    AssetBackfillData,
    AssetGraphSubset,
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
    TagConcurrencyLimitsCounter,
    TimestampWithTimezone,
    create_run_for_test,
)

NIGHTS = [f"2025-01-{day}" for day in range(25, 30)]
DAYS = dg.DailyPartitionsDefinition("2025-01-01")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance in memory; the queue stands beside it."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def retrying() -> Iterator[dg.DagsterInstance]:
    """The same, where runs whose process died are run again, as `dagster.yaml` has it."""
    terms = {"enabled": True, "max_retries": 2, "retry_on_asset_or_op_failure": False}
    with dg.DagsterInstance.ephemeral(settings={"run_retries": terms}) as made:
        yield made


def queue_of(instance: dg.DagsterInstance) -> NightCoordinator:
    queue: NightCoordinator = NightCoordinator()
    queue.register_instance(instance)
    return queue


#: Where a run's definitions are; the queue asks for it and nothing here does.
ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "repository"), "__ASSET_JOB")


def from_graph(night: str, *asset_names: str, **more: str) -> DagsterRun:
    keys = frozenset(AssetKey(["flow", asset_name]) for asset_name in asset_names or ("decisions",))
    return DagsterRun(job_name="__ASSET_JOB", asset_selection=keys, tags={"dagster/partition": night, **more})


def queue_in(instance: dg.DagsterInstance, run: DagsterRun) -> DagsterRun:
    return queue_of(instance).submit_run(SubmitRunContext(run, workspace=None))  # type: ignore[arg-type]


def launched(instance: dg.DagsterInstance, night: str, *asset_names: str, **more: str) -> DagsterRun:
    """A run that the queue took in, as the UI launches one from the asset graph."""
    run = from_graph(night, *asset_names, **more)
    made = create_run_for_test(
        instance, run.job_name, tags=run.tags, asset_selection=run.asset_selection, status=run.status,
        remote_job_origin=ORIGIN,
    )  # fmt: skip
    return queue_in(instance, made)


def next_ones(instance: dg.DagsterInstance) -> list[str]:
    """The nights that the daemon would take out of the queue now, judged as it judges."""
    config = queue_of(instance).get_run_queue_config()
    under_way = instance.get_runs(dg.RunsFilter(statuses=[DagsterRunStatus.STARTED]))
    counter = TagConcurrencyLimitsCounter(config.tag_concurrency_limits, under_way)
    taken = []
    for run in instance.get_runs(dg.RunsFilter(statuses=[DagsterRunStatus.QUEUED]), ascending=True):
        if not counter.is_blocked(run):
            counter.update_counters_with_launched_item(run)
            taken.append(run.tags["dagster/partition"])
    return taken


@pytest.mark.parametrize(
    ("run", "names"),
    [
        (DagsterRun(job_name="flow_nightly"), ["flow"]),
        (DagsterRun(job_name="a_nightly_warm_up"), ["a_nightly"]),
        (DagsterRun(job_name="mine", tags={WORKFLOW: "flow"}), ["flow"]),
        (from_graph(NIGHTS[0], "release"), ["flow"]),
        (
            DagsterRun(
                job_name="__ASSET_JOB",
                asset_check_selection=frozenset({AssetCheckKey(AssetKey(["flow", "cases"]), "night_is_sound")}),
            ),
            ["flow"],
        ),
        (DagsterRun(job_name="__ASSET_JOB"), []),
    ],
)
def test_a_run_says_itself_for_which_workflow_it_works(run: DagsterRun, names: list[str]) -> None:
    assert workflows_of(run) == names


def test_a_run_from_the_asset_graph_is_queued_under_its_workflow_and_night(instance: dg.DagsterInstance) -> None:
    run = launched(instance, NIGHTS[0])
    assert (run.tags[WORKFLOW], run.tags[TURN]) == ("flow", f"flow/{NIGHTS[0]}")
    assert run.status == DagsterRunStatus.QUEUED


def test_a_tag_that_somebody_gave_is_left_alone(instance: dg.DagsterInstance) -> None:
    assert launched(instance, NIGHTS[0], **{WORKFLOW: "mine"}).tags[WORKFLOW] == "mine"


@pytest.mark.parametrize("order", [[28, 26, 27], [27, 28, 26], [26, 27, 28]])
def test_nights_leave_the_queue_in_their_order_one_at_a_time(instance: dg.DagsterInstance, order: list[int]) -> None:
    for day in order:
        launched(instance, f"2025-01-{day}")
    left = []
    while taken := next_ones(instance):
        left += taken
        for run in instance.get_runs(dg.RunsFilter(statuses=[DagsterRunStatus.QUEUED])):
            if run.tags["dagster/partition"] in taken:
                instance.report_run_failed(run)
    assert left == [f"2025-01-{day}" for day in (26, 27, 28)]


def test_while_one_run_works_no_other_of_its_workflow_leaves_the_queue(instance: dg.DagsterInstance) -> None:
    create_run_for_test(
        instance, "flow_nightly", tags={"dagster/partition": NIGHTS[3], WORKFLOW: "flow"},
        status=DagsterRunStatus.STARTED,
    )  # fmt: skip
    launched(instance, NIGHTS[3], "release")
    launched(instance, NIGHTS[1])
    assert next_ones(instance) == []


def test_another_workflow_does_not_wait(instance: dg.DagsterInstance) -> None:
    launched(instance, NIGHTS[2])
    other = create_run_for_test(
        instance, "__ASSET_JOB", tags={"dagster/partition": NIGHTS[4]},
        asset_selection=frozenset({AssetKey(["other", "cases"])}), status=DagsterRunStatus.NOT_STARTED,
        remote_job_origin=ORIGIN,
    )  # fmt: skip
    queue_in(instance, other)
    assert next_ones(instance) == [NIGHTS[2], NIGHTS[4]]


def backfill(instance: dg.DagsterInstance, done: int, status: BulkActionStatus = BulkActionStatus.REQUESTED) -> None:
    """A backfill of assets over three nights, of which the first ones are materialized."""
    key = AssetKey(["flow", "decisions"])
    subset: Callable[..., AssetGraphSubset] = AssetGraphSubset  # mypy takes its `__hash__` for one more field

    def nights(chosen: list[str]) -> AssetGraphSubset:
        return subset({key: DAYS.subset_with_partition_keys(chosen)})

    data = AssetBackfillData(
        target_subset=nights(NIGHTS[1:4]), requested_runs_for_target_roots=True, latest_storage_id=None,
        materialized_subset=nights(NIGHTS[1 : 1 + done]), requested_subset=subset(),
        failed_and_downstream_subset=subset(),
        backfill_start_time=TimestampWithTimezone(datetime.now(UTC).timestamp(), "UTC"),
    )  # fmt: skip
    instance.add_backfill(
        PartitionBackfill(
            "b", status, False, {}, datetime.now(UTC).timestamp(), asset_selection=[key], asset_backfill_data=data
        )
    )


@pytest.mark.parametrize(("done", "goes"), [(0, False), (1, True)])
def test_a_night_waits_for_a_backfill_that_has_still_to_launch_an_earlier_one(
    instance: dg.DagsterInstance, done: int, goes: bool
) -> None:
    backfill(instance, done)
    assert unfinished(instance) == {"flow": {*NIGHTS[1 + done : 4]}}
    launched(instance, NIGHTS[2])
    assert next_ones(instance) == ([NIGHTS[2]] if goes else [])


def test_a_backfill_that_somebody_ended_holds_nothing_back(instance: dg.DagsterInstance) -> None:
    backfill(instance, 0, BulkActionStatus.CANCELED)
    launched(instance, NIGHTS[2])
    assert next_ones(instance) == [NIGHTS[2]]


def test_only_later_nights_of_the_same_workflow_are_held_back() -> None:
    queued = [from_graph(night) for night in NIGHTS[:3]]
    assert held_back(queued, {"flow": {NIGHTS[1]}}) == {turn_tags(queued[2])[TURN]}
    assert held_back(queued, {"other": {NIGHTS[0]}}) == set()


def test_a_run_that_no_queue_put_in_its_place_is_refused_while_an_earlier_night_waits(
    instance: dg.DagsterInstance,
) -> None:
    launched(instance, NIGHTS[0])
    with pytest.raises(NightOutOfTurn, match=f"night {NIGHTS[0]} of flow is queued"):
        refuse_out_of_order(instance, from_graph(NIGHTS[1]))
    refuse_out_of_order(instance, from_graph(NIGHTS[0]))
    refuse_out_of_order(instance, from_graph(NIGHTS[1], **{PROCESS: "x"}))
    refuse_out_of_order(instance, launched(instance, NIGHTS[1]))


def test_a_night_waits_for_an_earlier_one_whose_process_died_until_dagster_has_run_it_again(
    retrying: dg.DagsterInstance,
) -> None:
    died = launched(retrying, NIGHTS[0])
    launched(retrying, NIGHTS[1])
    retrying.report_run_failed(died)
    assert _tags_of(retrying, died)[WILL_RETRY_TAG] == "true"
    assert next_ones(retrying) == []

    again = create_run_for_test(
        retrying, died.job_name, tags=died.tags, asset_selection=died.asset_selection, parent_run_id=died.run_id,
        root_run_id=died.run_id, remote_job_origin=ORIGIN,
    )  # fmt: skip
    retrying.add_run_tags(died.run_id, {AUTO_RETRY_RUN_ID_TAG: again.run_id})
    assert next_ones(retrying) == []
    queue_in(retrying, again)
    assert next_ones(retrying) == [NIGHTS[0]]
    retrying.report_run_canceled(again)
    assert next_ones(retrying) == [NIGHTS[1]]


def test_a_night_waits_for_nothing_that_dagster_will_not_run_again(retrying: dg.DagsterInstance) -> None:
    given_up = launched(retrying, NIGHTS[0], **{"dagster/max_retries": "0"})
    of_ended_backfill = launched(retrying, NIGHTS[0], **{BACKFILL_ID_TAG: "b"})
    backfill(retrying, 3, BulkActionStatus.CANCELED)
    of_deleted_backfill = launched(retrying, NIGHTS[0], **{BACKFILL_ID_TAG: "gone"})
    of_a_process = create_run_for_test(
        retrying, "flow_nightly", tags={"dagster/partition": NIGHTS[0], WORKFLOW: "flow"},
        status=DagsterRunStatus.STARTED,
    )  # fmt: skip
    for run in (given_up, of_ended_backfill, of_deleted_backfill, of_a_process):
        retrying.report_run_failed(run)
    launched(retrying, NIGHTS[1])
    assert next_ones(retrying) == [NIGHTS[1]]


def test_a_night_that_somebody_ran_again_by_hand_is_waited_for_no_longer(retrying: dg.DagsterInstance) -> None:
    retrying.report_run_failed(launched(retrying, NIGHTS[0]))
    launched(retrying, NIGHTS[1])
    create_run_for_test(
        retrying, "other_nightly", tags={"dagster/partition": NIGHTS[0], WORKFLOW: "other"},
        status=DagsterRunStatus.SUCCESS,
    )  # fmt: skip
    assert next_ones(retrying) == []
    create_run_for_test(
        retrying, "flow_nightly", tags={"dagster/partition": NIGHTS[0], WORKFLOW: "flow"},
        status=DagsterRunStatus.SUCCESS,
    )  # fmt: skip
    assert next_ones(retrying) == [NIGHTS[1]]


def test_where_nothing_is_run_again_no_night_waits_for_a_failed_one(instance: dg.DagsterInstance) -> None:
    instance.report_run_failed(launched(instance, NIGHTS[0]))
    launched(instance, NIGHTS[1])
    assert next_ones(instance) == [NIGHTS[1]]


def _tags_of(instance: dg.DagsterInstance, run: DagsterRun) -> dict[str, str]:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return dict(found.tags)
