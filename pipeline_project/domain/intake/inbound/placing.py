"""To which night an event belongs."""

from __future__ import annotations

from datetime import datetime, timedelta

from pipeline_project.domain.core.errors import EventRefused
from pipeline_project.domain.core.nights import begins_on, night_of
from pipeline_project.domain.intake.inbound.events import InboundTerms

#: A sender's clock may be this far ahead of ours, as far as a signature's may.
AHEAD = timedelta(minutes=5)


def night_for(occurred_at: datetime | None, received_at: datetime, terms: InboundTerms) -> str:
    """The night of the workflow in which an event occurred, or was received where the sender does not say.

    A night that was decided before takes the event in as it takes in a late file: it is run again, and only cases that
    were never decided are decided.

    Raises:
        EventRefused: it is said to lie in the future, or in none of the workflow's nights.
    """
    if occurred_at is not None and occurred_at > received_at + AHEAD:
        raise EventRefused("`timestamp` lies in the future; mend the clock, or leave it out")
    try:
        night = night_of(occurred_at or received_at, terms.time_zone, terms.every)
    except OverflowError:
        raise EventRefused("`timestamp` lies beyond the calendar") from None
    day = begins_on(night, terms.time_zone)
    if day < terms.first or (terms.last is not None and day > terms.last):
        until = f" to {terms.last}" if terms.last else ""
        raise EventRefused(
            f"it belongs to no night of the workflow, whose nights go from {terms.first}{until or ' on'}; give a "
            "`timestamp` within them"
        )
    return night
