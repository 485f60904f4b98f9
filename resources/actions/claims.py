"""Taking actions to send and writing down what became of them: under a token, with a lease on the database's clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Double,
    Row,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import INTERVAL, JSONB, insert

from pipeline_project.domain.acting.pace import Answer, Breaker, Fate, may_retry, wait_before
from resources.actions.outbox import advance, of_cases
from resources.actions.sent import Sent
from resources.audit.chain import append
from resources.ledger.action_tables import action_events, actions, breakers, releases, switches
from resources.ledger.rows import jsonable

NOBODY_KNOWS = "nobody_knows"


@dataclass(frozen=True)
class Settled:
    """What becomes of one claimed action.

    Attributes:
        wait: seconds until it is due again, where it goes back.
        uncertain: it may have had its effect, and nobody has said otherwise since.
        owner: who looks after a dead one.
    """

    action: Sent
    state: str
    answer: Answer
    wait: float = 0.0
    uncertain: bool = False
    owner: str | None = None


def claim(connection: Connection, token: UUID, most: int, lease_seconds: float, worker: str) -> list[Sent]:
    """Takes due actions that nobody else has, of released nights, running workflows and reachable destinations.

    Args:
        most: how many at once; of a destination that is being tried again, one.
    """
    waiting = _due(connection, most)
    if not waiting:
        return []
    taken = (
        update(actions)
        .where(actions.c.id.in_(waiting))
        .values(
            state="sending",
            claim_token=token,
            lease_until=func.clock_timestamp() + _seconds(literal(lease_seconds)),
            attempts=actions.c.attempts + 1,
            first_sent_at=func.coalesce(actions.c.first_sent_at, func.clock_timestamp()),
        )
        .returning(actions, func.extract("epoch", func.clock_timestamp() - actions.c.first_sent_at).label("seconds"))
    )
    rows = connection.execute(taken).all()
    _note(connection, [(row.id, "claimed", row.attempts, None) for row in rows], worker)
    return [_sent(row) for row in rows]


def _due(connection: Connection, most: int) -> list[int]:
    stopped = select(switches.c.workflow).where(switches.c.stopped)
    resting = select(breakers.c.workflow, breakers.c.destination).where(breakers.c.state != "closed")
    released = select(releases.c.night).where(
        releases.c.workflow == actions.c.workflow, releases.c.night == actions.c.night
    )
    query = (
        select(actions.c.id)
        .where(
            actions.c.state.in_(("ready", "unknown")),
            actions.c.next_at <= func.clock_timestamp(),
            actions.c.workflow.not_in(stopped),
            tuple_(actions.c.workflow, actions.c.destination).not_in(resting),
            released.exists(),
        )
        .order_by(actions.c.next_at, actions.c.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    return [*connection.scalars(query), *_probes(connection)]


def _probes(connection: Connection) -> list[int]:
    """One action for each destination whose rest is over, to see whether it answers."""
    rested = (breakers.c.state == "open", breakers.c.retry_at <= func.clock_timestamp())
    found = connection.execute(
        select(breakers.c.workflow, breakers.c.destination).where(*rested).with_for_update(skip_locked=True)
    ).all()
    probes = []
    for row in found:
        query = (
            select(actions.c.id)
            .where(
                actions.c.workflow == row.workflow,
                actions.c.destination == row.destination,
                actions.c.state.in_(("ready", "unknown")),
                actions.c.workflow.not_in(select(switches.c.workflow).where(switches.c.stopped)),
            )
            .order_by(actions.c.next_at, actions.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        probes += list(connection.scalars(query))
        # whoever takes the probe may die with it: the rest then ends again by itself
        rest = _seconds(literal(Breaker("open", 0, 1).open_seconds))
        connection.execute(
            update(breakers)
            .where(breakers.c.workflow == row.workflow, breakers.c.destination == row.destination)
            .values(retry_at=func.clock_timestamp() + rest, changed_at=func.now())
        )
    return probes


def give_up_leases(connection: Connection, worker: str) -> int:
    """Actions whose dispatcher did not come back: nobody knows what became of them."""
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
            next_at=func.now(),
        )
        .returning(actions.c.id, actions.c.attempts)
    ).all()
    _note(connection, [(row.id, "lease_expired", row.attempts, "lease_expired") for row in rows], worker)
    return len(rows)


def settle(connection: Connection, token: UUID, settled: Sequence[Settled], worker: str) -> int:
    """Writes what became of a batch, of those actions still held under the token; returns how many that were.

    One that is through readies the next of its case. The audit row comes last, because it locks the chain.
    """
    if not settled:
        return 0
    kept = _written(connection, token, settled)
    ours = [each for each in settled if each.action.id in kept]
    _note(
        connection,
        [(each.action.id, each.state, each.action.attempt, each.answer.error_class) for each in ours],
        worker,
    )
    through: dict[str, list[str]] = {}
    for each in ours:
        if each.state in ("done", "rehearsed"):
            through.setdefault(each.action.workflow, []).append(str(each.action.payload["case"]))
    for workflow in sorted(through):
        advance(connection, workflow, of_cases(through[workflow]))
    _breakers(connection, ours)
    for workflow in sorted({each.action.workflow for each in ours}):
        ended = [each for each in ours if each.action.workflow == workflow and each.state in ("done", "dead")]
        append(connection, "deliveries", workflow, [_fact(each) for each in ended])
    return len(ours)


def _written(connection: Connection, token: UUID, settled: Sequence[Settled]) -> set[int]:
    columns: Mapping[str, tuple[Any, list[Any]]] = {
        "id": (BigInteger, [each.action.id for each in settled]),
        "state": (Text, [each.state for each in settled]),
        "wait": (Double, [each.wait for each in settled]),
        "error_class": (Text, [each.answer.error_class for each in settled]),
        "error": (Text, [each.answer.error for each in settled]),
        "uncertain": (Boolean, [each.uncertain for each in settled]),
        "owner": (Text, [each.owner for each in settled]),
        "receipt": (JSONB, [jsonable(each.answer.receipt) for each in settled]),
    }
    given = (
        func.unnest(*(bindparam(name, values, type_=ARRAY(kind)) for name, (kind, values) in columns.items()))
        .table_valued(*columns)
        .render_derived(name="given")
    )
    ended = given.c.state.in_(("done", "rehearsed", "dead"))
    written = (
        update(actions)
        .where(actions.c.id == given.c.id, actions.c.claim_token == token)
        .values(
            state=given.c.state,
            next_at=func.clock_timestamp() + _seconds(given.c.wait),
            error_class=given.c.error_class,
            error=given.c.error,
            uncertain=given.c.uncertain,
            owner=given.c.owner,
            receipt=cast(given.c.receipt, JSONB),
            claim_token=None,
            lease_until=None,
            settled_at=case((ended, func.clock_timestamp())),
        )
        .returning(actions.c.id)
    )
    return set(connection.scalars(written))


def _breakers(connection: Connection, settled: Sequence[Settled]) -> None:
    """Counts answers per destination; only what says something of the destination itself counts as its failure."""
    of: dict[tuple[str, str], list[Settled]] = {}
    for each in settled:
        if each.action.live:
            of.setdefault((each.action.workflow, each.action.destination), []).append(each)
    for workflow, destination in sorted(of):
        answers = of[(workflow, destination)]
        answered = sum(each.answer.fate in (Fate.DONE, Fate.REFUSED) for each in answers)
        tries = sum(each.action.attempt == 1 for each in answers)
        here = (breakers.c.workflow == workflow, breakers.c.destination == destination)
        connection.execute(insert(breakers).values(workflow=workflow, destination=destination).on_conflict_do_nothing())
        row = connection.execute(select(breakers).where(*here).with_for_update()).one()
        state = "half_open" if row.state == "open" else row.state
        after = Breaker(state, row.failures, row.opened).after(answered, len(answers) - answered)
        connection.execute(
            update(breakers)
            .where(*here)
            .values(
                state=after.state,
                failures=after.failures,
                opened=after.opened,
                retry_at=None
                if after.state == "closed"
                else func.clock_timestamp() + _seconds(literal(after.open_seconds)),
                first_tries=row.first_tries + tries,
                retries=row.retries + len(answers) - tries,
                changed_at=func.now(),
            )
        )


def next_state(
    action: Sent, answer: Answer, attempts: int, uncertain: bool, budget: tuple[int, int], draw: float
) -> tuple[str, float]:
    """What becomes of an action after an answer: its state, and seconds until it is due again.

    Args:
        attempts: tries before it is dead.
        uncertain: it may have had its effect.
        budget: first tries and retries of the destination so far.
        draw: uniform in [0, 1), the jitter.
    """
    if answer.fate is Fate.DONE:
        return "done", 0.0
    if answer.fate is Fate.REFUSED or action.attempt >= attempts:
        return "dead", 0.0
    wait = wait_before(action.attempt, draw, answer.wait)
    # beyond its budget a destination gets its retries later, not never
    return ("unknown" if uncertain else "ready"), wait if may_retry(*budget) else 2 * wait


def retry_budget(connection: Connection, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, int]]:
    """First tries and retries so far, by workflow and destination."""
    query = select(breakers).where(tuple_(breakers.c.workflow, breakers.c.destination).in_(wanted))
    found = {(row.workflow, row.destination): (row.first_tries, row.retries) for row in connection.execute(query)}
    return {each: found.get(each, (0, 0)) for each in wanted}


def _note(connection: Connection, happened: Sequence[tuple[int, str, int, str | None]], worker: str) -> None:
    if happened:
        rows = [
            {"action_id": action, "event": event, "attempt": attempt, "error_class": error, "worker": worker}
            for action, event, attempt, error in happened
        ]
        connection.execute(insert(action_events), rows)


def _fact(each: Settled) -> dict[str, Any]:
    return {
        "key": each.action.key,
        "kind": each.action.kind,
        "case_id": each.action.payload["case"],
        "destination": each.action.destination,
        "state": each.state,
        "money": each.action.money,
        "attempt": each.action.attempt,
        "error_class": each.answer.error_class,
    }


def _sent(row: Row[Any]) -> Sent:
    return Sent(
        id=row.id,
        workflow=row.workflow,
        destination=row.destination,
        kind=row.kind,
        key=row.key,
        fingerprint=row.fingerprint,
        payload=row.payload,
        money=float(row.money),
        live=row.live,
        attempt=row.attempts,
        seconds=float(row.seconds),
        uncertain=row.uncertain,
        first_sent_at=row.first_sent_at,
    )


def _seconds(value: ColumnElement[Any]) -> ColumnElement[Any]:
    return value * cast(literal("1 second"), INTERVAL)
