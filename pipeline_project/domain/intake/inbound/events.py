"""An event that another system posted, what became of it, and the store that keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from pipeline_project.domain.core.nights import Cadence
from pipeline_project.domain.core.schema import CaseSchema, Role

#: What `file` begins with in arrivals and outcomes that were posted; the event's number and its id follow.
POSTED_PREFIX = "webhook:"
#: `source` of outcomes that were posted.
POSTED_SOURCE = "webhook"


class EventKind(StrEnum):
    """What an event tells; the word it carries as `type`."""

    ARRIVAL = "arrival"
    OUTCOME = "outcome"


class EventVerdict(StrEnum):
    """What became of an event: kept, kept before, or refused because its id stands for another body."""

    NEW = "new"
    KNOWN = "known"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class InboundEvent:
    """One event, read but not yet in a night.

    Attributes:
        event_id: the sender's own name for it, the same whenever it is sent again.
        occurred_at: when it happened, as the sender says, aware; None where it does not say.
        rows: one JSON object each, ASCII: what a line of a JSON-lines file would hold.
        body: as it came, byte for byte.
    """

    workflow: str
    kind: EventKind
    event_id: str
    occurred_at: datetime | None
    rows: tuple[str, ...]
    body: bytes


@dataclass(frozen=True)
class InboundTerms:
    """What the door has to know of a workflow.

    Attributes:
        first, last: the days on which the first and the last of the workflow's nights begin; no `last` means that
            they go on.
        subject: the column that names whom a row is about, None where the workflow has none.
        every: the cadence of its nights.
    """

    workflow: str
    time_zone: str
    first: date
    last: date | None
    subject: str | None
    every: Cadence = Cadence.DAY

    @classmethod
    def of(
        cls, workflow: str, schema: CaseSchema, first: date, last: date | None, every: Cadence = Cadence.DAY
    ) -> InboundTerms:
        subject = schema.by_role(Role.SUBJECT)
        return cls(workflow, schema.time_zone, first, last, subject.column if subject else None, every)


@dataclass(frozen=True)
class Receipt:
    """What the sender is told; `night` is the one the event is part of, empty for a conflict."""

    verdict: EventVerdict
    night: str


@dataclass(frozen=True)
class PostedEvent:
    """An event as it was kept.

    Attributes:
        number: counts the events of a ledger, in the order in which they were kept.
        digest: of the body, with a key: it says whether two bodies are one, and nothing else.
        rows: as in `InboundEvent`, None where the subject was forgotten.
        wrong: why nothing of it can be used, in words; its rows are unknown then.
    """

    number: int
    event_id: str
    digest: str
    received_at: datetime
    rows: tuple[str | None, ...]
    wrong: str | None = None

    @property
    def file(self) -> str:
        """What stands in `file` of its rows; in the order of these names events were kept."""
        return f"{POSTED_PREFIX}{self.number:012}:{self.event_id}"


class InboundStore(Protocol):
    """Keeps events; what `accept` returned from survives whatever dies next."""

    def accept(self, event: InboundEvent) -> Receipt:
        """Keeps an event once, with a durable row, and says in which night.

        Raises:
            EventRefused: its time lies in no night of the workflow.
            DatabaseUnreachable: nothing was kept; the sender must try again.
        """
        ...

    def refuse(self, workflow: str, reason: str) -> None:
        """Counts an event that was not kept; nothing of it stays. `workflow` is empty for one that is not known."""
        ...

    def chain(self, workflow: str, night: str) -> int:
        """Adds a night's events that the audit chain does not hold yet, as one batch; returns how many."""
        ...


class PostedEvents(Protocol):
    """Reads what was kept."""

    def events(self, workflow: str, night: str, kind: EventKind) -> Sequence[PostedEvent]:
        """A night's events in the order in which they were kept; each stands in the audit chain by then."""
        ...

    def prints(self, workflow: str, night: str | None = None) -> dict[str, str]:
        """By night a text that changes with every event kept for it; of one night or of all that have events."""
        ...
