"""Each workflow's night, and its retraining, by the clock of its own time zone."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from pipeline_project.automation.jobs import build_jobs, job_kind
from pipeline_project.automation.schedules import build_schedules
from pipeline_project.partitions import last_ended, nights
from pipeline_project.spec import WorkflowSpec
from tests.dagster_internals import cron_string_iterator
from tests.doubles import claims

BERLIN = ZoneInfo("Europe/Berlin")


def schedule(kind: str, spec: WorkflowSpec | None = None) -> dg.ScheduleDefinition:
    spec = spec or claims()
    return next(s for s in build_schedules(spec, build_jobs(spec)) if s.name == f"claims_{kind}")


def at(moment: datetime, kind: str = "every_night", spec: WorkflowSpec | None = None) -> dg.RunRequest | dg.SkipReason:
    found = schedule(kind, spec)(dg.build_schedule_context(scheduled_execution_time=moment))
    assert isinstance(found, dg.RunRequest | dg.SkipReason)
    return found


def nightly(first: datetime, last: datetime) -> list[str]:
    """The nights that the schedule asks for between two moments, tick by tick."""
    declared = schedule("every_night")
    ticks = cron_string_iterator(first.timestamp(), str(declared.cron_schedule), declared.execution_timezone)
    found = (at(tick) for tick in takewhile(lambda tick: tick <= last, ticks))
    return [str(request.partition_key) for request in found if isinstance(request, dg.RunRequest)]


@pytest.mark.parametrize("change", ["2025-03-30", "2025-10-26"])
def test_every_night_is_asked_for_once_when_the_clocks_change(change: str) -> None:
    day = datetime.fromisoformat(change).replace(tzinfo=BERLIN)
    wanted = [(day + timedelta(days=n)).date().isoformat() for n in range(-3, 3)]
    assert nightly(day - timedelta(days=2), day + timedelta(days=3, hours=23)) == wanted


@pytest.mark.parametrize(
    ("moment", "night"),
    [
        (datetime(2025, 7, 2, 2, 30, tzinfo=BERLIN), "2025-07-01"),
        (datetime(2025, 7, 2, 0, 30, tzinfo=ZoneInfo("UTC")), "2025-07-01"),
        # still the evening of the first in New York, already the second in Berlin
        (datetime(2025, 7, 1, 20, 30, tzinfo=ZoneInfo("America/New_York")), "2025-07-01"),
        (datetime(2025, 3, 30, 3, 0, tzinfo=BERLIN), "2025-03-29"),
        (datetime(2025, 10, 26, 2, 30, fold=1, tzinfo=BERLIN), "2025-10-25"),
    ],
)
def test_the_night_that_has_just_ended(moment: datetime, night: str) -> None:
    request = at(moment)
    assert isinstance(request, dg.RunRequest)
    assert (request.partition_key, request.run_key) == (night, f"claims/{night}")
    with dg.partition_loading_context(effective_dt=moment):
        assert nights(claims()).get_last_partition_key() == night, "a night is a partition as soon as it has ended"


def test_warm_up_nights_are_not_decided() -> None:
    assert isinstance(at(datetime(2025, 3, 1, 2, 30, tzinfo=BERLIN)), dg.SkipReason)
    assert isinstance(at(datetime(2025, 3, 2, 2, 30, tzinfo=BERLIN)), dg.RunRequest)
    assert (job_kind(claims(), "2025-02-28"), job_kind(claims(), "2025-03-01")) == ("warm_up", "nightly")


@pytest.mark.parametrize(
    ("every", "due"),
    [
        ("week", ["2025-03-01", "2025-03-03", "2025-03-10", "2025-03-17", "2025-03-24", "2025-03-31"]),
        ("month", ["2025-03-01", "2025-04-01"]),
    ],
)
def test_retraining_has_the_rhythm_of_the_spec(every: str, due: list[str]) -> None:
    model = {"estimator": "boosting", "retrain": {"every": every, "after_outcomes": 50}}
    ticks = [datetime(2025, 2, 21, 2, 30, tzinfo=BERLIN) + timedelta(days=n) for n in range(42)]
    found = [at(tick, "retraining", claims(model=model)) for tick in ticks]
    assert [request.partition_key for request in found if isinstance(request, dg.RunRequest)] == due


def test_a_workflow_that_never_retrains_has_no_such_schedule() -> None:
    spec = claims(model={"estimator": "boosting", "retrain": {"every": "never"}})
    assert [s.name for s in build_schedules(spec, build_jobs(spec))] == ["claims_every_night"]


def test_the_training_goes_before_the_night_that_waits_with_it() -> None:
    jobs = build_jobs(claims())
    priority = {kind: int((job.tags or {}).get("dagster/priority", "0")) for kind, job in jobs.items()}
    assert priority["retrain"] > max(priority["nightly"], priority["warm_up"])
    assert {(job.tags or {})["pipeline/workflow"] for job in jobs.values()} == {"claims"}


@pytest.mark.parametrize(
    ("moment", "night"),
    [
        (datetime(2025, 3, 31, 0, 0, tzinfo=BERLIN), "2025-03-30"),
        (datetime(2025, 3, 30, 23, 59, tzinfo=BERLIN), "2025-03-29"),
        (datetime(2025, 10, 26, 23, 30, tzinfo=BERLIN), "2025-10-25"),
    ],
)
def test_the_last_night_that_has_ended(moment: datetime, night: str) -> None:
    assert last_ended(claims(), moment) == night


def ended_spec() -> WorkflowSpec:
    """The small workflow with a last night."""
    nights_part = claims().nights.model_dump(mode="json")
    first = claims().nights.decide_from
    return claims(nights=nights_part | {"last": (first + timedelta(days=2)).isoformat()})


def test_a_workflow_that_has_ended_asks_for_nothing_more() -> None:
    spec = ended_spec()
    last = spec.nights.last
    assert last is not None
    morning = datetime.combine(last + timedelta(days=1), datetime.min.time(), BERLIN) + timedelta(hours=3)
    assert isinstance(at(morning, spec=spec), dg.RunRequest)
    after = at(morning + timedelta(days=1), spec=spec)
    assert isinstance(after, dg.SkipReason)
    assert "no night of claims" in str(after.skip_message)
    assert last_ended(spec, morning + timedelta(days=30)) == last.isoformat()
    assert nights(spec).get_partition_keys(current_time=morning + timedelta(days=30))[-1] == last.isoformat()
    assert not spec.has_night((last + timedelta(days=1)).isoformat())
