"""Writing down what became of actions, under the token that claimed them."""

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
    Integer,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from pipeline_project.domain.delivery.backoff import Breaker, DeliveryResult, DeliveryStatus, retries_left, wait_before
from pipeline_project.domain.delivery.claimed_action import ClaimedAction
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.outbox.leases import Place, note, remember, seconds
from resources.ledger.outbox.outbox import advance, of_cases
from resources.ledger.rows import jsonable
from resources.ledger.tables.actions import actions, breakers


@dataclass(frozen=True)
class Settled:
    """What becomes of one claimed action.

    Attributes:
        wait: seconds until it is due again, where it goes back.
        uncertain: it may have had its effect, and nobody has said otherwise since.
        owner: who looks after a dead one.
        tried: False where it goes back unsent, and this try does not count.
        heard: False where the destination had no part in it, and it says nothing of the destination.
    """

    action: ClaimedAction
    state: str
    answer: DeliveryResult
    wait: float = 0.0
    uncertain: bool = False
    owner: str | None = None
    tried: bool = True
    heard: bool = True

    @property
    def place(self) -> Place:
        return self.action.workflow, self.action.destination


def next_state(
    action: ClaimedAction, answer: DeliveryResult, attempts: int, uncertain: bool, draw: float
) -> tuple[str, float]:
    """What becomes of an action after an answer: its state, and seconds until it is due again.

    Args:
        attempts: tries before it is dead.
        uncertain: it may have had its effect.
        draw: uniform in [0, 1), the jitter.
    """
    if answer.status is DeliveryStatus.DONE:
        return "done", 0.0
    if answer.status is DeliveryStatus.REFUSED or action.attempt >= attempts:
        return "dead", 0.0
    return ("unknown" if uncertain else "ready"), wait_before(action.attempt, draw, answer.wait)


def settle(connection: Connection, token: UUID, settled: Sequence[Settled], worker: str) -> int:
    """Writes what became of a batch, of those actions still held under the token; returns how many that were.

    One that is through readies the next of its case. The audit row comes last, because it locks the chain.
    """
    if not settled:
        return 0
    written = _written(connection, token, settled)
    ours = [delivery for delivery in settled if delivery.action.id in written]
    note(connection, [_event(delivery) for delivery in ours], worker)
    through: dict[str, list[str]] = {}
    for delivery in ours:
        if delivery.state in ("done", "rehearsed"):
            through.setdefault(delivery.action.workflow, []).append(delivery.action.case_id)
    for workflow in sorted(through):
        advance(connection, workflow, of_cases(through[workflow]))
    _breakers(connection, [delivery for delivery in ours if delivery.action.live and delivery.tried and delivery.heard])
    for workflow in sorted({delivery.action.workflow for delivery in ours}):
        ended = [
            delivery for delivery in ours if delivery.action.workflow == workflow and delivery.state in ("done", "dead")
        ]
        append(connection, "deliveries", workflow, [_fact(delivery) for delivery in ended])
    return len(ours)


def _written(connection: Connection, token: UUID, settled: Sequence[Settled]) -> set[int]:
    columns: Mapping[str, tuple[Any, list[Any]]] = {
        "id": (BigInteger, [delivery.action.id for delivery in settled]),
        "state": (Text, [delivery.state for delivery in settled]),
        "wait": (Double, [delivery.wait for delivery in settled]),
        "error_class": (Text, [delivery.answer.error_class for delivery in settled]),
        "error": (Text, [delivery.answer.error for delivery in settled]),
        "uncertain": (Boolean, [delivery.uncertain for delivery in settled]),
        "untried": (Integer, [0 if delivery.tried else 1 for delivery in settled]),
        "owner": (Text, [delivery.owner for delivery in settled]),
        "receipt": (JSONB, [jsonable(delivery.answer.receipt) for delivery in settled]),
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
            next_at=func.clock_timestamp() + seconds(given.c.wait),
            error_class=given.c.error_class,
            error=given.c.error,
            uncertain=given.c.uncertain,
            attempts=actions.c.attempts - given.c.untried,
            owner=given.c.owner,
            receipt=cast(given.c.receipt, JSONB),
            claim_token=None,
            lease_until=None,
            settled_at=case((ended, func.clock_timestamp())),
        )
        .returning(actions.c.id)
    )
    return set(connection.scalars(written))


def _event(delivery: Settled) -> tuple[int, str, int, str | None]:
    return (
        delivery.action.id,
        delivery.state if delivery.tried else "put_back",
        delivery.action.attempt,
        delivery.answer.error_class,
    )


def _breakers(connection: Connection, settled: Sequence[Settled]) -> None:
    """Counts answers per destination; a refusal is an answer, so it says that the destination is there."""
    of: dict[Place, list[Settled]] = {}
    for delivery in settled:
        of.setdefault(delivery.place, []).append(delivery)
    remember(connection, sorted(of))
    for workflow, destination in sorted(of):
        answers = of[(workflow, destination)]
        answered = sum(delivery.answer.status in (DeliveryStatus.DONE, DeliveryStatus.REFUSED) for delivery in answers)
        first = sum(delivery.action.attempt == 1 for delivery in answers)
        here = (breakers.c.workflow == workflow, breakers.c.destination == destination)
        passed = func.extract("epoch", func.clock_timestamp() - breakers.c.saved_at).label("seconds")
        row = connection.execute(select(breakers, passed).where(*here).with_for_update()).one()
        before = Breaker(row.state, row.failures, row.opened)
        after = before.after(answered, len(answers) - answered)
        retry: ColumnElement[Any] = null() if after.state == "closed" else breakers.c.retry_at
        if after.state != "closed" and after.opened != before.opened:
            retry = func.clock_timestamp() + seconds(literal(after.open_seconds))
        connection.execute(
            update(breakers)
            .where(*here)
            .values(
                state=after.state,
                failures=after.failures,
                opened=after.opened,
                first_tries=row.first_tries + first,
                retries=row.retries + len(answers) - first,
                saved=retries_left(row.saved, float(row.seconds), first),
                saved_at=func.clock_timestamp(),
                changed_at=func.now(),
                retry_at=retry,
            )
        )


def _fact(delivery: Settled) -> Fact:
    columns = {
        "key": delivery.action.key,
        "kind": delivery.action.kind,
        "case_id": delivery.action.case_id,
        "destination": delivery.action.destination,
        "state": delivery.state,
        "money": delivery.action.money,
        "attempt": delivery.action.attempt,
        "error_class": delivery.answer.error_class,
    }
    return Fact("actions", columns)
