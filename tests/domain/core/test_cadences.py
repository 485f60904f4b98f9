"""Hours, days and weeks: keys, windows and how they follow each other through the nights on which clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_project.domain.core.night_arrays import days_begun, days_of, nights_of, window_numbers
from pipeline_project.domain.core.nights import (
    Cadence,
    begins_on,
    cadence_of,
    day_of,
    days_before,
    distance,
    is_night,
    last_day_of,
    look_back,
    night_of,
    nights_between,
    on_day,
    shifted,
    shown_locally,
    valid_night,
    window_of,
)

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
KOLKATA = "Asia/Kolkata"
ZONES = [BERLIN, NEW_YORK, LORD_HOWE, KOLKATA, "America/Sao_Paulo", "Pacific/Apia"]
MOMENTS = st.integers(788_918_400, 2_114_380_800).map(lambda second: datetime.fromtimestamp(second, UTC))
EXAMPLES = {Cadence.HOUR: "2025-03-16T14Z", Cadence.DAY: "2025-03-16", Cadence.WEEK: "2025-W12-1"}


@settings(deadline=None)
@given(MOMENTS, st.sampled_from(ZONES), st.sampled_from(Cadence))
def test_windows_tile_time(moment: datetime, zone: str, cadence: Cadence) -> None:
    night = night_of(moment, zone, cadence)
    window = window_of(night, zone)
    assert window.start <= moment < window.end, "a moment lies in its night"
    before, after = (window_of(shifted(night, step), zone) for step in (-1, 1))
    assert (before.end, window.end) == (window.start, after.start), "without a gap or an overlap"
    assert night_of(window.end - timedelta(microseconds=1), zone, cadence) == night
    assert before.night < night < after.night, "keys sort as time goes"


@settings(deadline=None)
@given(MOMENTS, st.sampled_from(Cadence), st.integers(-400, 400))
def test_keys_count_windows(moment: datetime, cadence: Cadence, count: int) -> None:
    night = night_of(moment, "UTC", cadence)
    other = shifted(night, count)
    assert (cadence_of(other), distance(night, other), shifted(other, -count)) == (cadence, count, night)
    assert valid_night(other) == other
    between = list(nights_between(night, other))
    assert len(between) == max(count + 1, 0)
    assert all(shifted(one, 1) == following for one, following in pairwise(between))
    assert np.diff(window_numbers([night, other])).tolist() == [count]


@pytest.mark.parametrize(
    ("zone", "night", "hours"),
    [
        (BERLIN, "2025-03-30", 23), (BERLIN, "2025-10-26", 25), (NEW_YORK, "2025-03-09", 23),
        (NEW_YORK, "2025-11-02", 25), (LORD_HOWE, "2025-10-05", 23.5), (LORD_HOWE, "2025-04-06", 24.5),
        (KOLKATA, "2025-03-30", 24),
        (BERLIN, "2025-W13-1", 7 * 24 - 1), (BERLIN, "2025-W43-1", 7 * 24 + 1), (NEW_YORK, "2025-W10-1", 7 * 24 - 1),
        (NEW_YORK, "2025-W44-1", 7 * 24 + 1), (LORD_HOWE, "2025-W40-1", 7 * 24 - 0.5),
        (LORD_HOWE, "2025-W14-1", 7 * 24 + 0.5), (KOLKATA, "2025-W13-1", 7 * 24),
        (BERLIN, "2025-03-30T01Z", 1), (LORD_HOWE, "2025-04-05T15Z", 1),
    ],
)  # fmt: skip
def test_how_long_a_night_is_when_clocks_change(zone: str, night: str, hours: float) -> None:
    window = window_of(night, zone)
    assert window.end - window.start == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("zone", "local", "nights"),
    [
        # twice two in the morning, and three
        (BERLIN, ["2025-10-26T02:30+02:00", "2025-10-26T02:30+01:00", "2025-10-26T03:30+01:00"],
         ["2025-10-26T00Z", "2025-10-26T01Z", "2025-10-26T02Z"]),
        # from one straight to three
        (BERLIN, ["2025-03-30T01:30+01:00", "2025-03-30T03:30+02:00"], ["2025-03-30T00Z", "2025-03-30T01Z"]),
        (NEW_YORK, ["2025-11-02T01:30-04:00", "2025-11-02T01:30-05:00"], ["2025-11-02T05Z", "2025-11-02T06Z"]),
        (NEW_YORK, ["2025-03-09T01:30-05:00", "2025-03-09T03:30-04:00"], ["2025-03-09T06Z", "2025-03-09T07Z"]),
        # half an hour is there twice, in two hours of UTC
        (LORD_HOWE, ["2025-04-06T01:45+11:00", "2025-04-06T01:45+10:30"], ["2025-04-05T14Z", "2025-04-05T15Z"]),
        (LORD_HOWE, ["2025-10-05T01:45+10:30", "2025-10-05T02:45+11:00"], ["2025-10-04T15Z", "2025-10-04T15Z"]),
        (KOLKATA, ["2025-03-30T05:29+05:30", "2025-03-30T05:30+05:30"], ["2025-03-29T23Z", "2025-03-30T00Z"]),
    ],
)  # fmt: skip
def test_hours_that_clocks_show_twice_or_never(zone: str, local: list[str], nights: list[str]) -> None:
    moments = [datetime.fromisoformat(text) for text in local]
    assert [night_of(moment, zone, Cadence.HOUR) for moment in moments] == nights
    times = pd.Series(pd.to_datetime([moment.astimezone(UTC) for moment in moments], utc=True))
    assert nights_of(times, zone, Cadence.HOUR).tolist() == nights


@pytest.mark.parametrize(
    ("zone", "day", "first", "last"),
    [
        (BERLIN, date(2025, 3, 30), "2025-03-29T23Z", "2025-03-30T21Z"),
        (BERLIN, date(2025, 10, 26), "2025-10-25T22Z", "2025-10-26T22Z"),
        # midnight is half past an hour of UTC: the first whole hour after it
        (KOLKATA, date(2025, 3, 30), "2025-03-29T19Z", "2025-03-30T18Z"),
        (LORD_HOWE, date(2025, 10, 5), "2025-10-04T14Z", "2025-10-05T12Z"),
    ],
)
def test_the_hours_of_a_local_day(zone: str, day: date, first: str, last: str) -> None:
    assert on_day(day, zone, Cadence.HOUR) == first
    assert shifted(on_day(day + timedelta(days=1), zone, Cadence.HOUR), -1) == last
    assert {begins_on(night, zone) for night in nights_between(first, last)} == {day}


@pytest.mark.parametrize(
    "text",
    ["", "2025-02-30", "2025-3-1", "2025-03-16T24Z", "2025-03-16T1Z", "2025-03-16T14", "2025-03-16T14:00Z",
     "2025-W54-1", "2025-W53-1", "2025-W00-1", "2025-W12-2", "2025-W12", "2025W121", "20250316", "../2025-03-16",
     "2025-03-16/x", " 2025-03-16", "2025-02-30T14Z", "NIGHT"],
)  # fmt: skip
def test_what_is_no_night(text: str) -> None:
    assert not is_night(text)
    with pytest.raises(ValueError, match="2025-W12-1"):
        valid_night(text)


def test_a_key_tells_its_cadence() -> None:
    assert {cadence_of(night): night for night in EXAMPLES.values()} == EXAMPLES
    for cadence, night in EXAMPLES.items():
        assert window_of(night, "UTC").start.strftime(cadence.key_format) == night
    with pytest.raises(ValueError, match="different cadences: hour and day"):
        distance(EXAMPLES[Cadence.HOUR], EXAMPLES[Cadence.DAY])
    # the year of an ISO week is not always that of its days
    assert (shifted("2025-W52-1", 1), day_of("2026-W01-1")) == ("2026-W01-1", date(2025, 12, 29))
    assert (shifted("2020-W52-1", 1), shifted("2020-W53-1", 1)) == ("2020-W53-1", "2021-W01-1")


def test_looking_back_over_days_and_over_nights() -> None:
    hour, day, week = EXAMPLES.values()
    assert [days_before(night, 60) for night in (hour, day, week)] == ["2025-01-15T14Z", "2025-01-15", "2025-W03-1"]
    assert [look_back(night, 2) for night in (hour, day, week)] == ["2025-03-14T14Z", "2025-03-14", "2025-W10-1"]
    assert [last_day_of(night) for night in (hour, day, week)] == [
        date(2025, 3, 16),
        date(2025, 3, 16),
        date(2025, 3, 23),
    ]


def test_what_people_read_beside_a_key() -> None:
    assert shown_locally("2025-03-16", BERLIN) == ""
    assert shown_locally("2025-10-26T00Z", BERLIN) == "Sun 26 Oct 2025 02:00 CEST"
    assert shown_locally("2025-10-26T01Z", BERLIN) == "Sun 26 Oct 2025 02:00 CET"
    assert shown_locally("2025-10-26T00Z", KOLKATA) == "Sun 26 Oct 2025 05:30 IST"
    assert shown_locally("2025-W12-1", NEW_YORK) == "17 Mar 2025 to 23 Mar 2025"


def test_nights_of_many_rows() -> None:
    times = pd.to_datetime(pd.Series(["2025-03-30T00:30Z", None, "2025-03-30T22:30Z"]), utc=True, format="ISO8601")
    assert nights_of(times, BERLIN, Cadence.DAY).tolist() == ["2025-03-30", None, "2025-03-31"]
    assert nights_of(times, BERLIN, Cadence.WEEK).tolist() == ["2025-W13-1", None, "2025-W14-1"]
    assert nights_of(times, BERLIN, Cadence.HOUR).tolist() == ["2025-03-30T00Z", None, "2025-03-30T22Z"]
    keys = np.array(["2025-03-16T06Z", None, "2025-03-16T18Z"], dtype=object)
    assert days_begun(keys).tolist()[::2] == [20163.25, 20163.75]
    assert np.isnan(days_begun(keys)[1])
    assert days_of(["2025-03-16T23Z", "2025-03-16", "2025-W12-1"]).astype(str).tolist() == [
        "2025-03-16", "2025-03-16", "2025-03-17"
    ]  # fmt: skip


def test_local_midnights_that_clocks_skip() -> None:
    """On the day that Sao Paulo began at one in the morning, and the day that Apia left out altogether."""
    start = window_of("2018-11-04", "America/Sao_Paulo").start
    assert start.astimezone(ZoneInfo("America/Sao_Paulo")).hour == 1
    apia = window_of("2011-W52-1", "Pacific/Apia")
    assert apia.end - apia.start == timedelta(days=6)
