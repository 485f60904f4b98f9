"""Workflows whose nights are hours, or weeks, through the nights on which clocks change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from pipeline_project.commands.shared.asked_nights import first_asked, last_asked
from pipeline_project.partitions import last_ended, nights, window
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House

#: In Berlin the first two both begin at two in the morning: at three the clock goes back.
HOURS = ("2025-10-26T00Z", "2025-10-26T01Z", "2025-10-26T02Z")
LOCALLY = ("2025-10-26 02:15:00+02:00", "2025-10-26 02:15:00+01:00", "2025-10-26 03:15:00+01:00")
#: On the Sunday of the first, New York loses an hour.
WEEKS = ("2025-W10-1", "2025-W11-1")
EACH = 6


def cases(mark: str, at: str, count: int = EACH, least: int = 100) -> list[shop.Row]:
    return [
        {
            "case": f"{mark}-{number}",
            "at": at,
            "customer": f"K-{number % 3}",
            "amount": f"{least + 70 * number}.00",
            "kind": ("glass", "theft")[number % 2],
            "note": "",
        }
        for number in range(count)
    ]


def changes(zone: str, day: str, every: str, pattern: str) -> dict[str, Any]:
    nights = {"time_zone": zone, "every": every, "first": day, "decide_from": day}
    return {"nights": nights, "source": {"kind": "files", "folder": "in", "pattern": pattern}}


def decided(house: House, night: str) -> set[str]:
    return {str(row["case_id"]) for row in house.decisions(night)}


@pytest.fixture(scope="module")
def hourly(new_house: NewHouse) -> House:
    """Three hours of a workflow whose files are named after the day and the hour."""
    house = new_house("hourly", **changes("Europe/Berlin", "2025-10-26", "hour", "claims/{night:%Y%m%d_%H}*.csv"))
    for hour, (night, at) in enumerate(zip(HOURS, LOCALLY, strict=True)):
        shop.drop_cases(house.folder, f"20251026_{hour:02}", cases(night, at))
    runs = house.nights(HOURS[0], HOURS[-1])
    assert [(run.night, run.outcome) for run in runs] == [(night, "done") for night in HOURS]
    return house


@pytest.fixture(scope="module")
def weekly(new_house: NewHouse) -> House:
    """Two weeks of a workflow, outcomes included: what was known of the first is used in the second."""
    house = new_house("weekly", **changes("America/New_York", "2025-03-03", "week", "claims/{night}*.csv"))
    for night, at in zip(WEEKS, ("2025-03-09 03:30", "2025-03-10 00:30"), strict=True):
        shop.drop_cases(house.folder, night, cases(night, at))
    shop.drop_outcomes(house.folder, WEEKS[0], cases(WEEKS[0], ""), "2025-03-09T12:00:00")
    runs = house.nights(*WEEKS)
    assert [(run.night, run.outcome) for run in runs] == [(night, "done") for night in WEEKS]
    return house


@pytest.mark.parametrize("night", HOURS)
def test_an_hour_that_the_clock_shows_twice_is_two_nights(hourly: House, night: str) -> None:
    assert decided(hourly, night) == {f"{night}-{number}" for number in range(EACH)}
    shown = {HOURS[0]: "02:00 CEST", HOURS[1]: "02:00 CET", HOURS[2]: "03:00 CET"}[night]
    assert f"{night} (Sun 26 Oct 2025 {shown})" in hourly.page(night)
    assert all(hourly.checks("cases", night).values())


def test_weeks_are_decided_with_what_was_known_when_they_began(weekly: House) -> None:
    assert [len(decided(weekly, night)) for night in WEEKS] == [EACH, EACH]
    first, second = (window(weekly.spec, night) for night in WEEKS)
    assert first.end - first.start == timedelta(days=7, hours=-1)
    assert (second.start, second.end - second.start) == (first.end, timedelta(days=7))
    known = weekly.ledger.outcomes_known(weekly.name, second.start)
    assert set(known["case_id"]) == {f"{WEEKS[0]}-{number}" for number in range(EACH)}
    assert not len(weekly.ledger.outcomes_known(weekly.name, first.start))


def test_what_is_done_is_passed_over_and_everything_adds_up(hourly: House, weekly: House) -> None:
    for house, keys in ((hourly, HOURS), (weekly, WEEKS)):
        before = house.facts()
        again = house.nights(keys[0], keys[-1])
        assert {run.outcome for run in again} == {"passed_over"}
        assert house.facts() == before
        whole = house.command("reconcile", house.name, "--json")
        assert whole.returncode == 0, whole.stdout


def test_a_file_that_is_late_for_an_hour_enters_that_hour_alone(hourly: House) -> None:
    before: Mapping[str, set[str]] = {night: decided(hourly, night) for night in HOURS}
    shop.drop_cases(hourly.folder, "20251026_01", cases("late", LOCALLY[1], 2, least=131), part="_b")
    status = hourly.command("status", hourly.name, "--json")
    assert HOURS[1] in json.dumps(json.loads(status.stdout))
    runs = hourly.nights(HOURS[0], HOURS[-1])
    assert [(run.outcome, run.why) for run in runs] == [("passed_over", None), ("done", None), ("passed_over", None)]
    late = {"late-0", "late-1"}
    assert {night: decided(hourly, night) - before[night] for night in HOURS} == {
        HOURS[0]: set(), HOURS[1]: late, HOURS[2]: set()
    }  # fmt: skip


def test_a_day_stands_for_its_hours_and_for_its_week(hourly: House, weekly: House) -> None:
    day = "2025-10-26"
    asked = (first_asked(hourly.spec, day), last_asked(hourly.spec, day))
    assert asked == ("2025-10-25T22Z", "2025-10-26T22Z"), "twenty-five hours"
    done = hourly.command("nights", hourly.name, "--night", HOURS[1], "--json")
    assert [run["night"] for run in json.loads(done.stdout)["nights"]] == [HOURS[1]]
    done = weekly.command("nights", weekly.name, "--night", "2025-03-05", "--json")
    assert [run["night"] for run in json.loads(done.stdout)["nights"]] == [WEEKS[0]]
    refused = weekly.command("nights", weekly.name, "--night", HOURS[0])
    assert refused.returncode == 2
    assert "2025-W12-1" in refused.stderr
    refused = hourly.command("quarantine", hourly.name, "--night", "2025-10-26")
    assert refused.returncode == 2
    assert asked[1] in refused.stderr


def test_a_workflow_keeps_the_cadence_it_began_with(weekly: House) -> None:
    daily = changes("America/New_York", "2025-03-03", "day", "claims/{night}*.csv")
    kept = weekly.decisions()
    weekly.declare(**daily)
    shop.drop_cases(weekly.folder, "2025-03-10", cases("daily", "2025-03-10 09:00"))
    (run,) = weekly.nights("2025-03-10")
    assert run.outcome == "failed"
    assert "keeps the cadence it began with" in str(run.why)
    assert weekly.decisions() == kept
    weekly.declare(**changes("America/New_York", "2025-03-03", "week", "claims/{night}*.csv"))
    assert {run.outcome for run in weekly.nights(*WEEKS)} == {"passed_over"}


def test_the_last_hour_that_has_ended_is_of_this_day(hourly: House) -> None:
    now = datetime(2025, 10, 26, 2, 59, tzinfo=UTC)
    assert last_ended(hourly.spec, now) == HOURS[1]
    with dg.partition_loading_context(effective_dt=now):
        assert nights(hourly.spec).get_last_partition_key() == HOURS[1]
