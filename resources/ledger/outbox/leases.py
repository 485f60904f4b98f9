"""Taking actions to send: under a token, with a lease on the database's clock."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    cast,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import INTERVAL, insert

from pipeline_project.domain.audit.canonical import spelled
from pipeline_project.domain.delivery import backoff as pace
from pipeline_project.domain.delivery.backoff import retries_left
from pipeline_project.domain.delivery.claimed_action import ClaimedAction
from pipeline_project.domain.delivery.keys import tampering
from resources.ledger.audit.coverage import MOVING
from resources.ledger.audit.facts import row_values
from resources.ledger.audit.rows import recorded
from resources.ledger.tables.actions import action_events, actions, breakers, releases, switches

#: Tries are counted this far, and no further.
_MOST_ATTEMPTS = 1_000_000

#: A workflow and one of its destinations.
Place = tuple[str, str]


@dataclass(frozen=True)
class Terms:
    """What a dispatcher claims.

    Attributes:
        most: actions at once.
        lease_seconds: after which somebody else may take them.
        left_alone: destinations that this dispatcher cannot reach, because a secret is missing here.
    """

    most: int
    lease_seconds: float
    left_alone: Collection[Place] = ()


def claim(connection: Connection, token: UUID, terms: Terms, worker: str) -> list[ClaimedAction]:
    """Takes due actions that nobody else has, of released nights, running workflows and reachable destinations.

    First tries come first; retries fill what is left, within each destination's budget. Of a destination that has
    failed too often one action is taken when its rest is over.
    """
    chosen = list(connection.scalars(_may_leave(terms).where(*_FIRST).limit(terms.most)))
    chosen += _retries(connection, terms, terms.most - len(chosen))
    chosen += _probes(connection, terms)
    if not chosen:
        return []
    claiming = (
        update(actions)
        .where(actions.c.id.in_(chosen))
        .values(
            state="sending",
            claim_token=token,
            lease_until=func.clock_timestamp() + seconds(literal(terms.lease_seconds)),
            # a count that somebody set to the end of its column must not stop the whole batch
            attempts=func.least(actions.c.attempts, _MOST_ATTEMPTS) + 1,
            first_sent_at=func.coalesce(actions.c.first_sent_at, func.clock_timestamp()),
        )
        .returning(*_READ)
    )
    rows = connection.execute(claiming).all()
    note(connection, [(row.id, "claimed", row.attempts, None) for row in rows], worker)
    recorded_values = recorded(connection, actions, [spelled([str(row.key)]) for row in rows])
    return [_sent(row, recorded_values.get(spelled([str(row.key)]))) for row in sorted(rows, key=lambda row: row.id)]


#: What is read of a claimed row: nothing that a driver could choke on, so that one row never stops the others.
_READ = (
    *(actions.c[name] for name in ("id", "workflow", "destination", "kind", "key", "fingerprint", "case_id")),
    *(actions.c[name] for name in ("live", "attempts", "uncertain", "epoch", "step", "final", "undoes")),
    *(cast(actions.c[name], Text).label(name) for name in ("money", "night")),
    cast(actions.c.payload, Text).label("payload"),
    func.extract("epoch", func.clock_timestamp() - actions.c.first_sent_at).label("seconds"),
)
_PLACE = tuple_(actions.c.workflow, actions.c.destination)
_DUE = (actions.c.state.in_(("ready", "unknown")), actions.c.next_at <= func.clock_timestamp())
_FIRST = (*_DUE, actions.c.attempts == 0)
_AGAIN = (*_DUE, actions.c.attempts > 0)


def _may_leave(terms: Terms, resting: bool = True) -> Select[Any]:
    """Actions that may leave as far as their night, their workflow and their destination are concerned, locked."""
    query = select(actions.c.id).where(*_allowed(terms))
    if resting:
        closed = select(breakers.c.workflow, breakers.c.destination).where(breakers.c.state != "closed")
        query = query.where(or_(not_(actions.c.live), _PLACE.not_in(closed)))
    return query.order_by(actions.c.next_at, actions.c.id).with_for_update(of=actions, skip_locked=True)


def _allowed(terms: Terms) -> tuple[ColumnElement[bool], ...]:
    night = (releases.c.workflow == actions.c.workflow, releases.c.night == actions.c.night)
    return (
        exists(select(releases.c.night).where(*night)),
        actions.c.workflow.not_in(select(switches.c.workflow).where(switches.c.stopped)),
        *([or_(not_(actions.c.live), _PLACE.not_in(list(terms.left_alone)))] if terms.left_alone else []),
    )


def anything_left(connection: Connection, terms: Terms) -> bool:
    """Whether there is anything that may leave now or later, or is on its way."""
    open_states = actions.c.state.in_(("ready", "sending", "unknown"))
    return connection.scalar(select(actions.c.id).where(open_states, *_allowed(terms)).limit(1)) is not None


def _retries(connection: Connection, terms: Terms, room: int) -> list[int]:
    if room <= 0:
        return []
    waiting = connection.execute(select(actions.c.workflow, actions.c.destination).where(*_AGAIN).distinct()).all()
    chosen: list[int] = []
    for workflow, destination in sorted((row.workflow, row.destination) for row in waiting):
        left = min(room - len(chosen), _left(connection, (workflow, destination)))
        if left <= 0:
            continue
        here = (actions.c.workflow == workflow, actions.c.destination == destination)
        due = list(connection.scalars(_may_leave(terms).where(*_AGAIN, *here).limit(left)))
        if due and _spend(connection, (workflow, destination), len(due)):
            chosen += due
    return chosen


def _left(connection: Connection, place: Place) -> int:
    """How many retries a destination may have now; looked at without a lock, so that nobody waits who gets none."""
    row = connection.execute(_saved(place)).first()
    return 0 if row is None else int(retries_left(row.saved, float(row.seconds)))


def _spend(connection: Connection, place: Place, count: int) -> bool:
    """Takes retries out of a destination's budget, unless somebody else has taken them meanwhile."""
    row = connection.execute(_saved(place).with_for_update(skip_locked=True)).first()
    if row is None or (left := retries_left(row.saved, float(row.seconds))) < count:
        return False
    spent = update(breakers).where(_at(place)).values(saved=left - count, saved_at=func.clock_timestamp())
    connection.execute(spent)
    return True


def _saved(place: Place) -> Select[Any]:
    passed = func.extract("epoch", func.clock_timestamp() - breakers.c.saved_at).label("seconds")
    return select(breakers.c.saved, passed).where(_at(place))


def _at(place: Place) -> ColumnElement[bool]:
    return (breakers.c.workflow == place[0]) & (breakers.c.destination == place[1])


def _probes(connection: Connection, terms: Terms) -> list[int]:
    """One action for each destination whose rest is over, to see whether it answers."""
    rested = (breakers.c.state != "closed", breakers.c.retry_at <= func.clock_timestamp())
    query = select(breakers.c.workflow, breakers.c.destination).where(*rested)
    probes: list[int] = []
    for workflow, destination in connection.execute(query.with_for_update(skip_locked=True)).all():
        here = (actions.c.workflow == workflow, actions.c.destination == destination, actions.c.live)
        due = list(connection.scalars(_may_leave(terms, resting=False).where(*here, *_DUE).limit(1)))
        if due:
            # whoever takes the probe may die with it: then another one may be taken after a while
            until = func.clock_timestamp() + seconds(literal(max(pace.OPEN_SECONDS, terms.lease_seconds)))
            probing = update(breakers).where(_at((workflow, destination)))
            connection.execute(probing.values(state="half_open", retry_at=until, changed_at=func.now()))
            probes += due
    return probes


def give_up_leases(connection: Connection, worker: str) -> int:
    """Actions whose dispatcher did not come back: nobody knows what became of them. Returns how many."""
    lapsed = (
        select(actions.c.id)
        .where(actions.c.state == "sending", actions.c.lease_until < func.clock_timestamp())
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(
        update(actions)
        .where(actions.c.id.in_(lapsed))
        .values(
            state="unknown",
            claim_token=None,
            lease_until=None,
            error_class="lease_expired",
            error="the dispatcher that sent it did not come back",
            uncertain=True,
            next_at=func.clock_timestamp(),
        )
        .returning(actions.c.id, actions.c.attempts, actions.c.workflow, actions.c.destination)
    ).all()
    note(connection, [(row.id, "lease_expired", row.attempts, "lease_expired") for row in rows], worker)
    # a destination that nobody has heard of yet needs a budget, or its retries would wait for ever
    remember(connection, sorted({(row.workflow, row.destination) for row in rows}))
    return len(rows)


def stopped(connection: Connection) -> frozenset[str]:
    """The workflows whose kill switch is on."""
    return frozenset(connection.scalars(select(switches.c.workflow).where(switches.c.stopped)))


def remember(connection: Connection, places: Sequence[Place]) -> None:
    """Gives destinations that are met for the first time their row."""
    for workflow, destination in places:
        row = {"workflow": workflow, "destination": destination}
        connection.execute(insert(breakers).values(**row).on_conflict_do_nothing())


def note(connection: Connection, happened: Sequence[tuple[int, str, int, str | None]], worker: str) -> None:
    """One row of `action_events` for each: action, event, attempt, error class."""
    if happened:
        rows = [
            {"action_id": action, "event": event, "attempt": attempt, "error_class": error, "worker": worker}
            for action, event, attempt, error in happened
        ]
        connection.execute(insert(action_events), rows)


def seconds(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """A number of seconds as an interval."""
    return value * cast(literal("1 second"), INTERVAL)


def _sent(row: Row[Any], chained: Mapping[str, Any] | None) -> ClaimedAction:
    """A claimed row as it will be sent; one that cannot be understood says so, and is nobody else's trouble.

    Args:
        chained: what the audit chain says of it; None where it says nothing.
    """
    payload, wrong = _payload(row.payload)
    money = float(row.money)
    if wrong is None:
        wrong = _unlike(row, chained)
    if wrong is None:
        wrong = tampering(payload, row.fingerprint, (row.workflow, row.kind, row.case_id), money)
    return ClaimedAction(
        id=row.id,
        workflow=row.workflow,
        destination=row.destination,
        kind=row.kind,
        key=row.key,
        fingerprint=row.fingerprint,
        payload=payload,
        money=money,
        live=row.live,
        attempt=row.attempts,
        seconds=float(row.seconds),
        uncertain=row.uncertain,
        case_id=row.case_id,
        wrong=wrong,
    )


#: What an action is, when it may leave, and what would be sent in its name.
_RECORDED = (
    "workflow", "case_id", "kind", "destination", "fingerprint", "live", "epoch", "step", "final", "night", "undoes",
    "money",
)  # fmt: skip


def _unlike(row: Row[Any], chained: Mapping[str, Any] | None) -> str | None:
    """What a row is not as the audit chain recorded it, in words: one may have been written by anybody who can."""
    if chained is None:
        return "the audit chain knows of no such action"
    there = row_values(actions, {name: row._mapping[name] for name in _RECORDED})
    other = [name for name in _RECORDED if name in chained and chained[name] != there[name]]
    if chained.get("state", MOVING) != MOVING:
        return f"the audit chain says that it is {chained['state']}, and of nobody who let it go again"
    return f"{', '.join(other)} of its row: not what the audit chain recorded" if other else None


def _payload(text: str) -> tuple[Mapping[str, Any], str | None]:
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError):
        return {}, "its payload cannot be read"
    return (payload, None) if isinstance(payload, dict) else ({}, "its payload is no object of names and values")
