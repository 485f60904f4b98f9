"""Which nights are to be run, from what has landed and what became of the runs."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline_project.domain.intake.due_nights import (
    ATTEMPTS,
    NightProgress,
    Taken,
    WantedNight,
    in_turns,
    is_done,
    is_stale,
    looked_back_too_early,
    nights_to_run,
)

DONE = NightProgress("a" * 64, "a" * 64, finished=True, attempts=1)
LAST = "2025-03-03"


def wanted(last_ended: str = LAST, **states: NightProgress) -> list[WantedNight]:
    """Nights are called n01 and so on, of March 2025."""
    return nights_to_run("claims", {f"2025-03-{n[1:]}": state for n, state in states.items()}, last_ended)


@pytest.mark.parametrize(
    ("state", "runs"),
    [
        (DONE, False),
        (NightProgress("a", None, finished=False), True),
        (dataclasses.replace(DONE, landed="late"), True),
        (dataclasses.replace(DONE, finished=False), True),
        (dataclasses.replace(DONE, landed="late", running=True), False),
        (dataclasses.replace(DONE, landed="late", failures=ATTEMPTS - 1), True),
        (dataclasses.replace(DONE, landed="late", failures=ATTEMPTS), False),
        (dataclasses.replace(DONE, landed="late", attempts=7), True),
    ],
    ids=["done", "never run", "late file", "killed", "running", "failed twice", "failed too often", "tried often"],
)
def test_which_state_calls_for_a_run(state: NightProgress, runs: bool) -> None:
    assert bool(wanted(n01=state)) is runs
    assert is_done(state) is (state == DONE)


def test_oldest_first_and_none_that_has_not_ended() -> None:
    new = NightProgress("a", None, finished=False)
    assert [w.night for w in wanted(n03=new, n01=new, n04=new, n02=new)] == ["2025-03-01", "2025-03-02", "2025-03-03"]


def key(state: NightProgress) -> str:
    return wanted(n01=state)[0].key


def test_a_key_is_new_for_every_attempt_and_every_content() -> None:
    first = NightProgress("a", None, finished=False)
    failed = dataclasses.replace(first, failures=1, attempts=1)
    # a run went through, but somebody materialized the arrivals alone since
    half = NightProgress("a", "a", finished=False, attempts=2)
    # another file came, was taken in, and was taken away again
    back = NightProgress("a", "b", finished=True, attempts=3)
    late = NightProgress("c", "a", finished=True)
    keys = [key(state) for state in (first, failed, half, back, late)]
    assert len(set(keys)) == len(keys)
    assert key(first) == key(dataclasses.replace(first)), (
        "the same question has the same key, or a tick starts it twice"
    )


def test_a_wanted_night_says_what_it_is_wanted_for() -> None:
    landed = "f" * 64
    assert wanted(n01=NightProgress(landed, None, finished=False))[0].landed == landed


def test_a_night_is_stale_when_something_landed_after_it_was_taken_in() -> None:
    assert is_stale(NightProgress("b", "a", finished=True)) and is_stale(NightProgress("b", "a", finished=False))
    assert not is_stale(NightProgress("a", "a", finished=True)) and not is_stale(
        NightProgress("a", None, finished=False)
    )


def test_nights_that_ran_before_something_late_came_are_marked_until_they_run_again() -> None:
    taken = {"2025-03-01": Taken(50.0, late_at=50.0), "2025-03-02": Taken(20.0), "2025-03-03": Taken(60.0)}
    assert looked_back_too_early(taken) == ["2025-03-02"]
    assert looked_back_too_early({**taken, "2025-03-02": Taken(55.0)}) == []
    assert looked_back_too_early({**taken, "2025-02-28": Taken(10.0)}) == ["2025-03-02"]
    assert looked_back_too_early({night: Taken(each.at) for night, each in taken.items()}) == []


def test_nights_that_cost_a_query_are_looked_at_in_turns() -> None:
    nights = [f"2025-01-{day:02}" for day in range(1, 31)] + [f"2025-02-{day:02}" for day in range(1, 29)]
    turns = [in_turns(nights, turn) for turn in range(3)]
    assert all(len(turn) <= 27 and turn[-7:] == nights[-7:] for turn in turns)
    assert set().union(*turns) == set(nights)
    assert in_turns(nights, 3) == turns[0]
    assert in_turns([], 5) == [] and in_turns(nights[:3], 5) == nights[:3]
