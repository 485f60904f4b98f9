"""Which nights are to be run: what has landed, against what was done with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline_project.domain.core.alerts import OpenAlert
from pipeline_project.domain.intake.landing import LATE_ALERT

#: Runs that may fail for the same content before a person has to look.
ATTEMPTS = 3
#: Metadata of `arrivals`, and of `embeddings` for photos: the fingerprint of what was taken in; whether something had
#: landed since the intake before; when that was last so.
LANDED, LATE, LATE_AT = "landed", "late", "late_at"
#: Nights looked at each time where looking costs something for each, and of the others in one turn.
RECENT, OTHERS = 7, 20


@dataclass(frozen=True)
class NightProgress:
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
class WantedNight:
    """A night to run for what has `landed`; `key` changes with the content and with the attempt, because Dagster never
    launches a key again, however its run ended."""

    night: str
    key: str
    landed: str


def is_done(state: NightProgress) -> bool:
    """Nothing new has landed since the night went through to the end."""
    return state.finished and state.taken == state.landed


def is_stale(state: NightProgress) -> bool:
    """Something landed for the night after it was taken in."""
    return state.taken is not None and state.taken != state.landed


@dataclass(frozen=True)
class Taken:
    """When a night was taken in, in seconds since 1970.

    Attributes:
        at: the last time.
        late_at: the last time that something had landed for it since the time before; None if nothing ever had.
    """

    at: float
    late_at: float | None = None


def looked_back_too_early(intakes: Mapping[str, Taken]) -> list[str]:
    """The nights that ran before something late was taken in for a night before them, in order: what they looked back
    on is no longer what it was."""
    marked, latest = [], float("-inf")
    for night in sorted(intakes):
        if intakes[night].at < latest:
            marked.append(night)
        latest = max(latest, intakes[night].late_at or latest)
    return marked


def in_turns(nights: Iterable[str], turn: int, recent: int = RECENT, others: int = OTHERS) -> list[str]:
    """The nights to look at where looking costs a query each: the latest ones always, the others in turns.

    Args:
        turn: counts up from 0; after as many turns as there are portions every night has been looked at.
    """
    ordered = sorted(nights)
    older, latest = ordered[:-recent], ordered[-recent:]
    portions = max(1, -(-len(older) // others))
    start = turn % portions * others
    return older[start : start + others] + latest


def looked_at(nights: Iterable[str], alerts: Iterable[OpenAlert]) -> list[str]:
    """The nights to look at where each costs something and there are no turns: the latest, and those that an open alert
    calls stale already."""
    ordered = sorted(nights)
    stale = {alert.key.rpartition("/")[2] for alert in alerts if alert.kind == LATE_ALERT}
    return sorted({*ordered[-(RECENT + OTHERS) :], *(stale & set(ordered))})


def nights_to_run(
    workflow: str, states: Mapping[str, NightProgress], last_ended: str, attempts: int = ATTEMPTS
) -> list[WantedNight]:
    """The nights that have ended, have something new, are not running and have not failed too often, oldest first.

    Late files of a night that was done, and repeated files, change the fingerprint and so bring the night back.
    """
    return [
        WantedNight(night, f"{workflow}/{night}/{state.landed[:20]}/{state.attempts + 1}", state.landed)
        for night, state in sorted(states.items())
        if night <= last_ended and not is_done(state) and not state.running and state.failures < attempts
    ]
