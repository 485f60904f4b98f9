"""Which nights are to be run: what has landed, against what was done with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class NightState:
    """What is known of one night's runs.

    Attributes:
        landed: fingerprint of what lies at the source now.
        taken: fingerprint of what the last run took in, None if it was never run.
        finished: whether that run went through to the end.
        failures: runs that failed since they saw `landed`.
    """

    landed: str
    taken: str | None
    finished: bool
    failures: int = 0


@dataclass(frozen=True)
class Wanted:
    """A night to run; `key` changes with the content and with the attempt, so that a failed run can be repeated."""

    night: str
    key: str


def is_done(state: NightState) -> bool:
    """Nothing new has landed since the night went through to the end."""
    return state.finished and state.taken == state.landed


def nights_to_run(workflow: str, states: Mapping[str, NightState], last_ended: str, attempts: int = 3) -> list[Wanted]:
    """The nights that have ended, have something new and have not failed too often, oldest first.

    Late files of a night that was done, and repeated files, change the fingerprint and so bring the night back.
    """
    return [
        Wanted(night, f"{workflow}/{night}/{state.landed[:20]}/{state.failures + 1}")
        for night, state in sorted(states.items())
        if night <= last_ended and not is_done(state) and state.failures < attempts
    ]


def gaps(nights: Iterable[str], done: Iterable[str]) -> list[str]:
    """The nights that are not done, in order."""
    return sorted(set(nights) - set(done))
