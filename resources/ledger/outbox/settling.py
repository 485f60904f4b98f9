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
    kept = _written(connection, token, settled)
    ours = [each for each in settled if each.action.id in kept]
    note(connection, [_event(each) for each in ours], worker)
    through: dict[str, list[str]] = {}
    for each in ours:
        if each.state in ("done", "rehearsed"):
            through.setdefault(each.action.workflow, []).append(each.action.case_id)
    for workflow in sorted(through):
        advance(connection, workflow, of_cases(through[workflow]))
    _breakers(connection, [each for each in ours if each.action.live and each.tried and each.heard])
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
        "untried": (Integer, [0 if each.tried else 1 for each in settled]),
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


def _event(each: Settled) -> tuple[int, str, int, str | None]:
    return each.action.id, each.state if each.tried else "put_back", each.action.attempt, each.answer.error_class


def _breakers(connection: Connection, settled: Sequence[Settled]) -> None:
    """Counts answers per destination; a refusal is an answer, so it says that the destination is there."""
    of: dict[Place, list[Settled]] = {}
    for each in settled:
        of.setdefault(each.place, []).append(each)
    remember(connection, sorted(of))
    for workflow, destination in sorted(of):
        answers = of[(workflow, destination)]
        answered = sum(each.answer.status in (DeliveryStatus.DONE, DeliveryStatus.REFUSED) for each in answers)
        first = sum(each.action.attempt == 1 for each in answers)
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


def _fact(each: Settled) -> Fact:
    columns = {
        "key": each.action.key,
        "kind": each.action.kind,
        "case_id": each.action.case_id,
        "destination": each.action.destination,
        "state": each.state,
        "money": each.action.money,
        "attempt": each.action.attempt,
        "error_class": each.answer.error_class,
    }
    return Fact("actions", columns)
