"""Which nights are to be run: what has landed, against what was done with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: Runs that may fail for the same content before a person has to look.
ATTEMPTS = 3


@dataclass(frozen=True)
class NightState:
    """What is known of one night's runs.

    Attributes:
        landed: fingerprint of what lies at the source now.
        taken: fingerprint of what the last run took in, None if it was never run.
        finished: whether that run went through to the end.
        failures: runs that were started for `landed` and failed or were cancelled.
        attempts: runs that were started for `landed` and have ended, however they did.
        running: whether a run that the daemon started for this night has not ended.
    """

    landed: str
    taken: str | None
    finished: bool
    failures: int = 0
    attempts: int = 0
    running: bool = False


@dataclass(frozen=True)
class Wanted:
    """A night to run for what has `landed`; `key` changes with the content and with the attempt, because Dagster never
    launches a key again, however its run ended."""

    night: str
    key: str
    landed: str


def is_done(state: NightState) -> bool:
    """Nothing new has landed since the night went through to the end."""
    return state.finished and state.taken == state.landed


def nights_to_run(
    workflow: str, states: Mapping[str, NightState], last_ended: str, attempts: int = ATTEMPTS
) -> list[Wanted]:
    """The nights that have ended, have something new, are not running and have not failed too often, oldest first.

    Late files of a night that was done, and repeated files, change the fingerprint and so bring the night back.
    """
    return [
        Wanted(night, f"{workflow}/{night}/{state.landed[:20]}/{state.attempts + 1}", state.landed)
        for night, state in sorted(states.items())
        if night <= last_ended and not is_done(state) and not state.running and state.failures < attempts
    ]


def gaps(nights: Iterable[str], done: Iterable[str]) -> list[str]:
    """The nights that are not done, in order."""
    return sorted(set(nights) - set(done))
