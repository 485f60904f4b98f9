"""Places for runs, shared out among tenants: nobody waits for the length of another one's queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from pipeline_project.automation.fair_share import FairShare
from pipeline_project.automation.turns import NightCoordinator
from pipeline_project.domain.core.run_tags import TENANT
from pipeline_project.domain.core.tenants import in_dagster, tenant_and_workflow
from tests.automation.test_turns import ORIGIN, queue_in
from tests.dagster_internals import TagConcurrencyLimitsCounter, create_run_for_test

A, B = (f"{tenant}__flow" for tenant in ("ACME", "BETA"))


@pytest.mark.parametrize(
    ("queued", "running", "places", "most", "held"),
    [
        # alone, whoever it is: nobody is held back
        (["a", "b", "c"], [], 1, {}, set()),
        (["ACME__a", "ACME__b"], ["ACME__c"], 2, {}, set()),
        # the house is one among others; who has fewer comes first, however late it came
        (["ACME__a", "ACME__b", "x"], [], 2, {}, {"ACME__b"}),
        (["ACME__a", "BETA__a"], ["ACME__b"], 2, {}, {"ACME__a"}),
        (["ACME__a", "ACME__b"], ["BETA__a"], 3, {}, set()),
        # no place is free: all of them wait
        (["ACME__a", "BETA__a"], ["x"], 1, {}, {"ACME__a", "BETA__a"}),
        # what the operator grants holds whether or not somebody else waits
        (["ACME__a", "ACME__b"], [], 4, {"acme": 1}, {"ACME__b"}),
        (["ACME__a"], ["ACME__b"], 4, {"acme": 1}, {"ACME__a"}),
        # without a limit for all, only what is granted holds
        (["ACME__a", "ACME__b", "BETA__a"], [], -1, {"acme": 1}, {"ACME__b"}),
        (["ACME__a", "ACME__b", "BETA__a"], [], -1, {}, set()),
        # a workflow that runs has its turn already
        (["ACME__a", "BETA__a"], ["ACME__a"], 2, {}, set()),
    ],
)
def test_who_waits(
    queued: Sequence[str], running: Sequence[str], places: int, most: Mapping[str, int], held: set[str]
) -> None:
    assert FairShare().held(queued, running, places, most) == held


def test_those_who_have_equally_few_take_turns() -> None:
    share, waiting = FairShare(), ["ACME__a", "BETA__a", "x"]
    first = [({*waiting} - share.held(waiting, [], 1, {})).pop() for _ in range(6)]
    assert first == ["ACME__a", "BETA__a", "x"] * 2


# -- before the queue as the daemon asks it ------------------------------------------------------------------------


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def submitted(instance: dg.DagsterInstance, workflow: str, night: int) -> dg.DagsterRun:
    tags = {"dagster/partition": f"2025-01-{night:02}"}
    keys = frozenset({dg.AssetKey([workflow, "decisions"])})
    made = create_run_for_test(
        instance, "__ASSET_JOB", tags=tags, asset_selection=keys, status=DagsterRunStatus.NOT_STARTED,
        remote_job_origin=ORIGIN,
    )  # fmt: skip
    return queue_in(instance, made)


def carried_out(instance: dg.DagsterInstance, places: int) -> list[str]:
    """The workflows in the order in which their runs began; each run ends before the queue is asked the next time."""
    queue = NightCoordinator(max_concurrent_runs=places)
    queue.register_instance(instance)
    order = []
    while queued := instance.get_runs(dg.RunsFilter(statuses=[DagsterRunStatus.QUEUED]), ascending=True):
        counter = TagConcurrencyLimitsCounter(queue.get_run_queue_config().tag_concurrency_limits, [])
        begun: list[dg.DagsterRun] = []
        for run in queued:
            if len(begun) < places and not counter.is_blocked(run):
                counter.update_counters_with_launched_item(run)
                begun.append(run)
        assert begun, "nothing goes on although places are free"
        for run in begun:
            order.append(run.tags["pipeline/workflow"])
            instance.delete_run(run.run_id)
    return order


def test_one_night_of_one_tenant_does_not_wait_for_the_backfill_of_another(instance: dg.DagsterInstance) -> None:
    """Four workflows of twenty nights lie in the queue as one night of another tenant, and one of the house, come."""
    for night in range(1, 21):
        for flow in range(4):
            submitted(instance, f"ACME__flow{flow}", night)
    late = [submitted(instance, B, 1), submitted(instance, "flow", 1)]
    assert [run.tags.get(TENANT) for run in map(instance.get_run_by_id, [run.run_id for run in late]) if run] == [
        "beta", None,
    ]  # fmt: skip
    order = carried_out(instance, 2)
    assert {B, "flow"} < {*order[:4]}
    assert len(order) == 82, "and the backfill was carried out to its end"


def test_two_backfills_go_on_side_by_side(instance: dg.DagsterInstance) -> None:
    for name in (A, B):
        for night in range(1, 11):
            submitted(instance, name, night)
            submitted(instance, f"{name}2", night)
    order = carried_out(instance, 1)
    assert order[:20].count(A) + order[:20].count(f"{A}2") == 10


def test_a_tenant_alone_takes_every_place(instance: dg.DagsterInstance) -> None:
    for flow in range(3):
        submitted(instance, in_dagster(f"flow{flow}", "acme"), 1)
    assert [tenant_and_workflow(name) for name in carried_out(instance, 3)] == [
        ("acme", f"flow{flow}") for flow in range(3)
    ]


def test_what_the_instance_says_of_tags_still_holds(instance: dg.DagsterInstance) -> None:
    queue = NightCoordinator(tag_concurrency_limits=[{"key": "team", "limit": 1}])
    queue.register_instance(instance)
    assert {"key": "team", "limit": 1} in queue.get_run_queue_config().tag_concurrency_limits
