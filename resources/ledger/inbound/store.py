"""`PostgresInbound`: events kept once by the sender's own id, in the ledger's database."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, and_, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from pipeline_project.domain.core.errors import EventRefused, LedgerMissing, SealBroken, SourceUnreadable
from pipeline_project.domain.intake.inbound.events import (
    EventKind,
    EventVerdict,
    InboundEvent,
    InboundTerms,
    PostedEvent,
    Receipt,
)
from pipeline_project.domain.intake.inbound.placing import night_for
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.audit.rows import UNREADABLE, unlike
from resources.ledger.inbound.sealing import RowSealer
from resources.ledger.tables.inbound import inbound_chained, inbound_events, inbound_refusals
from resources.ledger.unit_of_work import unit_of_work

#: What is wrong with an event that is not what was kept.
CHANGED = "this posted event is not what was kept; run `pipeline audit verify`, and have it posted again under a new id"
#: Events that join the audit chain in one batch; more would hold its lock for long.
BATCH = 2000
_FACT = ("workflow", "event_id", "kind", "night", "rows", "sealed_sha256", "body_digest", "occurred_at", "received_at")
_events = inbound_events.c


@dataclass(frozen=True)
class InboundOverview:
    """How much was posted for a workflow, when last, and what was turned away, by reason."""

    events: int
    rows: int
    nights: int
    last_at: datetime | None
    refused: Mapping[str, int]


@dataclass(frozen=True)
class PostgresInbound:
    """Posted events in one database; as `InboundStore` for the door and `PostedEvents` for the sources.

    Attributes:
        engine: whose connections are used; a server gives one with a pool.
        terms: of the workflows that the door is open for, by name.
    """

    engine: Engine
    sealer: RowSealer
    terms: Mapping[str, InboundTerms] = field(default_factory=dict)

    # -- the door ------------------------------------------------------------------------------------------------

    def accept(self, event: InboundEvent) -> Receipt:
        """As `InboundStore.accept`: the row is committed when this returns.

        Raises:
            EventRefused: the workflow has no such night.
            DatabaseUnreachable, LedgerRefused: nothing was kept.
        """
        terms = self.terms.get(event.workflow)
        if terms is None:
            raise EventRefused(f"there is no workflow {event.workflow} to keep events for")
        digest = self.sealer.digest(event.body)
        with unit_of_work(self.engine) as connection:
            before, now = _stored(connection, event)
        if before is None:
            # outside of a transaction: the keyring has rows of its own to write
            night = night_for(event.occurred_at, now, terms)
            sealed = "\n".join(self.sealer.seal(event.rows, terms.subject if event.kind == EventKind.ARRIVAL else None))
            with unit_of_work(self.engine) as connection:
                new = _insert(connection, event, night, now, sealed, digest)
                # where another request kept the same id meanwhile, a statement of its own sees it
                before = None if new else _stored(connection, event)[0]
            if new:
                return Receipt(EventVerdict.NEW, night)
        if before is not None and before[0] == digest:
            return Receipt(EventVerdict.KNOWN, before[1])
        self._conflict(event)
        return Receipt(EventVerdict.CONFLICT, "")

    def _conflict(self, event: InboundEvent) -> None:
        with unit_of_work(self.engine) as connection:
            _count(connection, event.workflow, "other body")
            conflict = {
                "event_id": event.event_id,
                "kind": event.kind.value,
                "refused": "its id stands for another body",
            }
            append(connection, "inbound", event.workflow, [Fact(None, conflict)])

    def refuse(self, workflow: str, reason: str) -> None:
        """As `InboundStore.refuse`."""
        with unit_of_work(self.engine) as connection:
            _count(connection, workflow, reason)

    def chain(self, workflow: str, night: str) -> int:
        """As `InboundStore.chain`. Two that do it at once add each event once: the second waits and finds it there."""
        added = 0
        while True:
            with unit_of_work(self.engine) as connection:
                new = _claim(connection, workflow, night)
                rows = connection.execute(
                    select(*(_events[name] for name in _FACT)).where(_events.id.in_(new)).order_by(_events.id)
                )
                facts = [Fact.of(inbound_events.name, row) for row in rows]
                append(connection, "inbound", workflow, facts)
            added += len(new)
            if len(new) < BATCH:
                return added

    # -- the sources ---------------------------------------------------------------------------------------------

    def events(self, workflow: str, night: str, kind: EventKind) -> list[PostedEvent]:
        """As `PostedEvents.events`. One that was changed since it was kept is given without its rows and with what is
        wrong, so that it stops no other.

        Raises:
            SourceUnreadable: a key is missing.
        """
        if not self.prints(workflow, night):
            return []
        mine = (_events.workflow == workflow, _events.night == night, _events.kind == kind)
        with unit_of_work(self.engine) as connection:
            rows = _read(connection, mine)
        # after the read and before its use: what enters a night stands in the chain
        self.chain(workflow, night)
        with unit_of_work(self.engine) as connection:
            changed = _changed(connection, rows)
        opened = [self._opened(row, bad) for (row, _), bad in zip(rows, changed, strict=True)]
        closed = [event for event in opened if isinstance(event, SourceUnreadable)]
        if closed and len(closed) == len(opened):
            # not one of them opens: a key is missing
            raise closed[0]
        return [
            _without_rows(row, str(event)) if isinstance(event, SourceUnreadable) else event
            for (row, _), event in zip(rows, opened, strict=True)
        ]

    def prints(self, workflow: str, night: str | None = None) -> dict[str, str]:
        """As `PostedEvents.prints`: events are only ever added, so their number and the last one tell them all."""
        query = select(_events.night, func.count(), func.max(_events.id)).where(_events.workflow == workflow)
        if night is not None:
            query = query.where(_events.night == night)
        try:
            with unit_of_work(self.engine) as connection:
                nights = connection.execute(query.group_by(_events.night)).all()
        except LedgerMissing:
            # nobody can have posted to a ledger that was never migrated
            return {}
        return {of: f"{count}:{last}" for of, count, last in nights}

    def _opened(self, row: Any, changed: bool) -> PostedEvent | SourceUnreadable:
        """An event; what is wrong with its keys is given back, for the caller to see whether it is alone with that."""
        if changed or hashlib.sha256(row.sealed.encode()).hexdigest() != row.sealed_sha256:
            return _without_rows(row, CHANGED)
        try:
            rows = self.sealer.open(row.sealed.split("\n"))
        except (SourceUnreadable, SealBroken) as error:
            return error if isinstance(error, SourceUnreadable) else _without_rows(row, CHANGED)
        return PostedEvent(row.id, row.event_id, row.body_digest, row.received_at, tuple(rows))

    # -- people --------------------------------------------------------------------------------------------------

    def overview(self, workflow: str) -> InboundOverview:
        """How much was posted, and what was turned away."""
        posted = select(
            func.count().label("events"),
            func.coalesce(func.sum(_events.rows), 0).label("rows"),
            func.count(_events.night.distinct()).label("nights"),
            func.max(_events.received_at).label("last_at"),
        ).where(_events.workflow == workflow)
        away = inbound_refusals.c
        refused = select(away.reason, func.sum(away.count)).where(away.workflow == workflow).group_by(away.reason)
        with unit_of_work(self.engine) as connection:
            counts = connection.execute(posted).one()._asdict()
            reasons = {reason: int(count) for reason, count in connection.execute(refused.order_by(away.reason))}
        return InboundOverview(**counts, refused=reasons)


def _read(connection: Connection, mine: Sequence[Any]) -> list[tuple[Any, bool]]:
    """A night's events in order, each with whether it can be read; of one that cannot only what names it is there."""
    query = select(inbound_events).where(*mine)
    try:
        return [(row, True) for row in connection.execute(query.order_by(_events.id)).all()]
    except UNREADABLE:
        named = select(_events.id, _events.event_id, _events.body_digest).where(*mine).order_by(_events.id)
        return [_alone(connection, row) for row in connection.execute(named).all()]


def _alone(connection: Connection, named: Any) -> tuple[Any, bool]:
    try:
        return connection.execute(select(inbound_events).where(_events.id == named.id)).one(), True
    except UNREADABLE:
        return named, False


def _changed(connection: Connection, rows: Sequence[tuple[Any, bool]]) -> list[bool]:
    """Which events cannot be read, or are not what the audit chain recorded."""
    readable = [dict(row._mapping) for row, fine in rows if fine]
    other = iter(unlike(connection, inbound_events, readable))
    return [bool(next(other)) if fine else True for _, fine in rows]


def _without_rows(row: Any, wrong: str) -> PostedEvent:
    # when it came is not known for sure either
    return PostedEvent(row.id, row.event_id, row.body_digest, datetime.fromtimestamp(0, UTC), (), wrong)


def _stored(connection: Connection, event: InboundEvent) -> tuple[tuple[str, str] | None, datetime]:
    """Digest and night of the event of that id, and the database's time."""
    mine = and_(_events.workflow == event.workflow, _events.event_id == event.event_id)
    # one answer whether or not the event is there
    always = select(literal(1).label("one")).subquery()
    query = select(func.clock_timestamp(), _events.body_digest, _events.night)
    now, digest, night = connection.execute(query.select_from(always.outerjoin(inbound_events, mine))).one()
    return (None if digest is None else (digest, night)), now


def _insert(
    connection: Connection, event: InboundEvent, night: str, received: datetime, sealed: str, digest: str
) -> bool:
    row = {
        "workflow": event.workflow,
        "event_id": event.event_id,
        "kind": event.kind.value,
        "night": night,
        "rows": len(event.rows),
        "sealed": sealed,
        "sealed_sha256": hashlib.sha256(sealed.encode()).hexdigest(),
        "body_digest": digest,
        "occurred_at": event.occurred_at,
        "received_at": received,
    }
    statement = insert(inbound_events).values(**row).on_conflict_do_nothing(index_elements=["workflow", "event_id"])
    return connection.execute(statement.returning(_events.id)).first() is not None


def _count(connection: Connection, workflow: str, reason: str) -> None:
    now = func.now()
    row = {"workflow": workflow, "reason": reason, "day": func.current_date(), "count": 1, "last_at": now}
    away = inbound_refusals.c
    connection.execute(
        insert(inbound_refusals)
        .values(**row)
        .on_conflict_do_update(
            index_elements=["workflow", "reason", "day"], set_={"count": away.count + 1, "last_at": now}
        )
    )


def _claim(connection: Connection, workflow: str, night: str) -> Sequence[int]:
    """Numbers of the night's events that this transaction adds to the chain."""
    there = select(literal(1)).where(inbound_chained.c.event == _events.id).exists()
    waiting = select(_events.id).where(_events.workflow == workflow, _events.night == night, ~there)
    statement = (
        insert(inbound_chained)
        .from_select(["event"], waiting.order_by(_events.id).limit(BATCH))
        .on_conflict_do_nothing()
        .returning(inbound_chained.c.event)
    )
    return connection.scalars(statement).all()
