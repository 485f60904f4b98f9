"""How patiently an action is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_project.domain.delivery.backoff import (
    LONGEST_OPEN,
    LONGEST_WAIT,
    MOST_RETRIES,
    OPEN_SECONDS,
    TRIPS,
    Breaker,
    DeliveryStatus,
    delivery_status,
    retries_left,
    wait_before,
)

draws = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ((200, 201, 202, 204), DeliveryStatus.DONE),
        ((408, 425, 429, 500, 502, 503, 504, 599), DeliveryStatus.AGAIN),
        ((300, 301, 302, 400, 401, 403, 404, 405, 410, 413, 422, 451), DeliveryStatus.REFUSED),
    ],
)
def test_what_a_status_means(statuses: tuple[int, ...], status: DeliveryStatus) -> None:
    assert {delivery_status(status) for status in statuses} == {status}


@given(st.integers(1, 10_000), draws)
def test_waits_grow_and_have_an_end(attempt: int, draw: float) -> None:
    wait = wait_before(attempt, draw)
    assert 0 < wait <= LONGEST_WAIT
    assert wait_before(attempt + 1, draw) >= wait


@given(st.integers(1, 30), draws, draws)
def test_jitter_spreads_what_failed_together(attempt: int, one: float, other: float) -> None:
    low, high = sorted((wait_before(attempt, one), wait_before(attempt, other)))
    assert (low < high) or abs(one - other) < 1e-9
    assert wait_before(attempt, one) >= wait_before(attempt, 0.0)


@given(st.integers(1, 20), draws, st.floats(0, 1e5))
def test_what_the_destination_asks_for_is_the_least(attempt: int, draw: float, asked: float) -> None:
    assert wait_before(attempt, draw, asked) >= asked


def test_a_breaker_opens_after_failures_in_a_row_and_closes_at_the_first_success() -> None:
    breaker = Breaker()
    for _ in range(TRIPS - 1):
        breaker = breaker.after(0, 1)
        assert breaker.state == "closed"
    assert breaker.after(1, 0) == Breaker()
    breaker = breaker.after(0, 1)
    assert (breaker.state, breaker.opened, breaker.open_seconds) == ("open", 1, OPEN_SECONDS)


def test_a_probe_that_fails_opens_it_for_longer_and_one_that_succeeds_closes_it() -> None:
    breaker = Breaker("half_open", TRIPS, 1)
    failed = breaker.after(0, 1)
    assert (failed.state, failed.opened, failed.open_seconds) == ("open", 2, 2 * OPEN_SECONDS)
    assert breaker.after(1, 0) == Breaker()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=60))
def test_a_breaker_is_open_only_for_a_reason_and_never_for_ever(answers: list[tuple[int, int]]) -> None:
    breaker = Breaker()
    for succeeded, failed in answers:
        breaker = breaker.after(succeeded, failed)
        if succeeded:
            assert breaker == Breaker()
        if breaker.state == "open":
            assert breaker.failures >= TRIPS
            assert 0 < breaker.open_seconds <= LONGEST_OPEN
        else:
            assert breaker.failures < TRIPS or breaker.opened


@given(st.floats(0, MOST_RETRIES), st.floats(-10, 1e6), st.integers(0, 10_000))
def test_retries_are_a_tenth_of_first_tries_and_a_trickle(saved: float, seconds: float, first: int) -> None:
    left = retries_left(saved, seconds, first)
    assert left <= MOST_RETRIES
    assert left <= saved + 0.1 * first + max(0.0, seconds) + 1e-9
    assert left >= saved
    assert retries_left(0, 0, 10) == 1
