"""How patiently an action is sent: when again, when not, and when a destination is left alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

#: Seconds: the first wait, what it grows to, and how much longer each next one is.
FIRST_WAIT, LONGEST_WAIT, GROWTH = 2.0, 3600.0, 2.0
#: A destination's retries are at most this share of its first tries, and a trickle a second, so that what is left over
#: in a quiet hour gets its turn as well. It saves up no more than most; what it begins with is the column's default.
RETRY_SHARE, RETRIES_A_SECOND, MOST_RETRIES = 0.1, 1.0, 100.0
#: Failures in a row that open a breaker; seconds it stays open the first time, and at most.
TRIPS, OPEN_SECONDS, LONGEST_OPEN = 5, 15.0, 900.0
#: Seconds: how long a destination may be given for one whole exchange, and how long a dispatcher holds what it took.
LONGEST_DEADLINE, LEASE_SECONDS = 120.0, 60.0
#: Whole tries that a lease outlasts: one may begin while another one's time is not yet over.
TRIES_A_LEASE = 2.0
#: Seconds that a destination may ask to be left alone; what asks for more is heard as this.
LONGEST_ASKED = 604_800.0
#: Answers of a service after which the same request may do better: too early, too many, or its own trouble.
PASSING = frozenset({408, 409, 425, 429})


class DeliveryStatus(StrEnum):
    """What became of one try.

    UNKNOWN is neither: the request left and no answer came, so the effect may have happened.
    """

    DONE = "done"
    AGAIN = "again"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class DeliveryResult:
    """What a destination said.

    Attributes:
        error_class: a slug that people can search for; None when it is done.
        error: in words, without anything personal.
        wait: seconds the destination asked for, or None.
        receipt: what it gave in return.
        maybe: whether this try may have had its effect although it is not done: no answer came, or a server failed,
            which it may have done after the effect.
    """

    status: DeliveryStatus
    error_class: str | None = None
    error: str | None = None
    wait: float | None = None
    receipt: dict[str, object] | None = None
    maybe: bool = False


def delivery_status(status: int) -> DeliveryStatus:
    """What an HTTP status means for an action."""
    if 200 <= status < 300:
        return DeliveryStatus.DONE
    return DeliveryStatus.AGAIN if status >= 500 or status in PASSING else DeliveryStatus.REFUSED


def wait_before(attempt: int, draw: float, asked: float | None = None) -> float:
    """Seconds before the next try, with full jitter, so that those that failed together do not come back together.

    Args:
        attempt: tries so far, from 1.
        draw: uniform in [0, 1).
        asked: seconds that the destination asked for; never less than these.
    """
    most = min(LONGEST_WAIT, FIRST_WAIT * GROWTH ** min(attempt - 1, 30))
    requested = asked if asked is not None and asked > 0 else 0.0
    return max(min(requested, LONGEST_ASKED), most / 2 + draw * most / 2)


def lease_seconds(longest_try: float, wanted: float = LEASE_SECONDS) -> float:
    """How long an action is held for the dispatcher that took it: always longer than a try may last.

    The one place where a lease is made, so that no destination's deadline can outlast it.

    Args:
        longest_try: seconds of the slowest destination's whole try.
        wanted: what it should be at least.
    """
    return max(wanted, TRIES_A_LEASE * longest_try)


def retries_left(saved: float, seconds: float, first_tries: int = 0) -> float:
    """How many retries a destination may have now; what is beyond them waits, it is not given up.

    Args:
        saved: what was left when it was last looked at.
        seconds: since then.
        first_tries: made since then.
    """
    return min(MOST_RETRIES, saved + RETRY_SHARE * first_tries + RETRIES_A_SECOND * max(0.0, seconds))


@dataclass(frozen=True)
class Breaker:
    """One destination's breaker.

    Attributes:
        state: closed, open, or half_open: one action at a time, to see.
        failures: in a row.
        opened: times in a row that it opened without a success in between.
    """

    state: str = "closed"
    failures: int = 0
    opened: int = 0

    def after(self, succeeded: int, failed: int) -> Breaker:
        """The breaker after a batch of answers; a success closes it, because the destination is there."""
        if succeeded:
            return Breaker()
        failures = self.failures + failed
        if failed and (self.state == "half_open" or (self.state == "closed" and failures >= TRIPS)):
            return Breaker("open", failures, self.opened + 1)
        return replace(self, failures=failures)

    @property
    def open_seconds(self) -> float:
        """How long it stays open, longer each time in a row."""
        return min(LONGEST_OPEN, OPEN_SECONDS * 2.0 ** min(self.opened - 1, 20)) if self.opened else 0.0
