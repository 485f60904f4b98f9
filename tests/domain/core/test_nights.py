"""A night is a local day, however many hours it has."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_project.domain.core.nights import Cadence, night_of, nights_between, shifted, window_of

ZONES = ["Europe/Berlin", "Europe/London", "UTC", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe"]


@pytest.mark.parametrize(
    ("night", "zone", "hours"),
    [
        ("2025-03-29", "Europe/Berlin", 24),
        ("2025-03-30", "Europe/Berlin", 23),
        ("2025-10-26", "Europe/Berlin", 25),
        ("2025-03-30", "UTC", 24),
        ("2025-10-05", "Australia/Lord_Howe", 23.5),
        # midnight itself does not exist
        ("2018-11-04", "America/Sao_Paulo", 23),
    ],
)
def test_hours_of_a_night(night: str, zone: str, hours: float) -> None:
    window = window_of(night, zone)
    assert window.end - window.start == timedelta(hours=hours)
    assert window.start.tzinfo == window.end.tzinfo == UTC


def test_a_night_begins_at_local_midnight() -> None:
    window = window_of(date(2025, 7, 1), "Europe/Berlin")
    assert (window.night, window.start) == ("2025-07-01", datetime(2025, 6, 30, 22, tzinfo=UTC))


@given(st.dates(date(1990, 1, 1), date(2037, 1, 1)), st.sampled_from(ZONES))
def test_nights_follow_each_other_and_know_their_moments(day: date, zone: str) -> None:
    window = window_of(day, zone)
    assert window_of(shifted(window.night, 1), zone).start == window.end
    assert night_of(window.start, zone, Cadence.DAY) == window.night
    assert night_of(window.end - timedelta(microseconds=1), zone, Cadence.DAY) == window.night
    assert night_of(window.end, zone, Cadence.DAY) == shifted(window.night, 1)


def test_the_hour_that_occurs_twice_belongs_to_one_night() -> None:
    for utc_hour in (0, 1):
        assert night_of(datetime(2025, 10, 26, utc_hour, 30, tzinfo=UTC), "Europe/Berlin", Cadence.DAY) == "2025-10-26"


def test_spans() -> None:
    assert list(nights_between("2024-02-28", "2024-03-01")) == ["2024-02-28", "2024-02-29", "2024-03-01"]
    assert list(nights_between("2024-03-02", "2024-03-01")) == []
    assert shifted("2024-03-01", -1) == "2024-02-29"
