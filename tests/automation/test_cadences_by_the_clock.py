"""Dagster's partitions and ticks of workflows that have a night every hour, day or week, where clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

import dagster as dg
import pytest

from pipeline_project.automation.jobs import build_jobs, job_kind
from pipeline_project.automation.schedules import build_schedules
from pipeline_project.domain.core.nights import nights_between, shifted
from pipeline_project.partitions import earlier_nights, just_ended, last_ended, nights, window
from pipeline_project.spec import WorkflowSpec
from tests.dagster_internals import cron_string_iterator
from tests.doubles import claims

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]
#: Days on which clocks change in one of the zones: an hour forward, an hour back, and half an hour.
CHANGES = ["2025-03-09", "2025-03-30", "2025-04-06", "2025-10-05", "2025-10-26", "2025-11-02"]
BOTH = pytest.mark.parametrize("zone", ZONES)


def spec_of(zone: str, every: str, model: dict[str, Any] | None = None, **more: str) -> WorkflowSpec:
    """The small workflow from the first Monday of 2025 on, with another cadence."""
    declared = {"time_zone": zone, "every": every, "first": "2025-01-06", "decide_from": "2025-01-06", **more}
    return claims(nights=declared, **({"model": model} if model else {}))


def ticks(spec: WorkflowSpec, name: str, first: datetime, last: datetime) -> list[str]:
    """The nights that a schedule asks for between two moments, tick by tick."""
    declared = next(s for s in build_schedules(spec, build_jobs(spec)) if s.name == f"claims_{name}")
    moments = cron_string_iterator(first.timestamp(), str(declared.cron_schedule), declared.execution_timezone)
    asked = []
    for moment in takewhile(lambda tick: tick <= last, moments):
        request = declared(dg.build_schedule_context(scheduled_execution_time=moment))
        if isinstance(request, dg.RunRequest):
            asked.append(str(request.partition_key))
    return asked


@BOTH
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("every", "around"), [("hour", 2), ("day", 4), ("week", 22)])
def test_every_night_is_asked_for_once_when_clocks_change(zone: str, change: str, every: str, around: int) -> None:
    at = datetime.fromisoformat(f"{change}T06:30").replace(tzinfo=UTC)
    asked = ticks(spec_of(zone, every), "every_night", at - timedelta(days=around), at + timedelta(days=around))
    assert asked == list(nights_between(asked[0], asked[-1])), "each once, in order, none left out"
    assert len(asked) >= {"hour": 95, "day": 7, "week": 5}[every]


@BOTH
@pytest.mark.parametrize("every", ["hour", "day", "week"])
def test_dagster_means_the_same_windows_by_the_same_keys(zone: str, every: str) -> None:
    spec = spec_of(zone, every, last="2025-11-10")
    with dg.partition_loading_context(effective_dt=datetime(2025, 11, 20, tzinfo=UTC)):
        keys = nights(spec).get_partition_keys()
    assert keys == list(nights_between(spec.nights.first_night, str(spec.nights.last_night)))
    for change in CHANGES:
        near = shifted(just_ended(spec, datetime.fromisoformat(f"{change}T06:30").replace(tzinfo=UTC)), -20)
        for night in nights_between(near, shifted(near, 40)):
            if spec.has_night(night):
                theirs, ours = nights(spec).time_window_for_partition_key(night), window(spec, night)
                assert (theirs.start, theirs.end) == (ours.start, ours.end), night


@BOTH
@pytest.mark.parametrize("every", ["hour", "week"])
def test_ranges_subsets_and_the_nights_before_are_dagsters_too(zone: str, every: str) -> None:
    """What backfills, the pages of partitions and inputs from earlier nights are made of."""
    partitions = nights(spec_of(zone, every))
    with dg.partition_loading_context(effective_dt=datetime(2025, 12, 1, tzinfo=UTC)):
        keys = partitions.get_partition_keys()
        first, last = keys[3], keys[30]
        assert partitions.get_partition_keys_in_range(dg.PartitionKeyRange(first, last)) == keys[3:31]
        subset = partitions.subset_with_partition_keys([*keys[3:31], keys[35]])
        again = partitions.deserialize_subset(subset.serialize())
        assert sorted(again.get_partition_keys()) == [*keys[3:31], keys[35]]
        before = earlier_nights(5).get_upstream_mapped_partitions_result_for_partitions(
            partitions.subset_with_partition_keys([last]), partitions, partitions
        )
        assert sorted(before.partitions_subset.get_partition_keys()) == keys[25:30]


def test_the_night_that_has_ended_is_a_partition_at_once() -> None:
    hourly, weekly = spec_of("Europe/Berlin", "hour"), spec_of("Europe/Berlin", "week")
    for spec, now, night in [
        (hourly, datetime(2025, 10, 26, 1, 0, tzinfo=UTC), "2025-10-26T00Z"),
        (hourly, datetime(2025, 10, 26, 1, 59, tzinfo=UTC), "2025-10-26T00Z"),
        # Monday has begun in Berlin while it is Sunday by UTC
        (weekly, datetime(2025, 3, 30, 22, 0, tzinfo=UTC), "2025-W13-1"),
        (weekly, datetime(2025, 3, 30, 21, 59, tzinfo=UTC), "2025-W12-1"),
    ]:
        assert last_ended(spec, now) == night
        with dg.partition_loading_context(effective_dt=now):
            assert nights(spec).get_last_partition_key() == night


def test_warm_up_and_the_last_night_by_cadence() -> None:
    spec = spec_of("Asia/Kolkata", "hour", decide_from="2025-01-07", last="2025-01-08")
    assert (spec.nights.first_night, spec.nights.first_decided) == ("2025-01-05T19Z", "2025-01-06T19Z")
    assert spec.nights.last_night == "2025-01-08T18Z"
    assert [job_kind(spec, night) for night in ("2025-01-06T18Z", "2025-01-06T19Z")] == ["warm_up", "nightly"]
    there = [spec.has_night(night) for night in ("2025-01-05T18Z", "2025-01-08T18Z", "2025-01-08T19Z")]
    assert there == [False, True, False]
    assert not spec.has_night("2025-01-07"), "a day is no night of a workflow of hours"
    assert last_ended(spec, datetime(2026, 1, 1, tzinfo=UTC)) == "2025-01-08T18Z"


@pytest.mark.parametrize(
    ("every", "due"),
    [
        ("hour", ["2025-01-13T00Z", "2025-01-20T00Z", "2025-01-27T00Z"]),
        ("week", ["2025-W02-1", "2025-W03-1", "2025-W04-1"]),
    ],
)
def test_a_training_each_week_of_hours_and_of_weeks(every: str, due: list[str]) -> None:
    spec = spec_of("UTC", every, model={"estimator": "boosting", "retrain": {"every": "week"}})
    first, last = datetime(2025, 1, 7, tzinfo=UTC), datetime(2025, 1, 27, 3, tzinfo=UTC)
    assert ticks(spec, "retraining", first, last) == due
