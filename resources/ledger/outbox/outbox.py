"""The outbox as functions on a connection: each runs in its caller's transaction.

An action is `waiting` until the night is released and the earlier actions of its case are through, then `ready`. Keys
are unique for ever, so asking twice is asking once; asking something else under the same key is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Connection, Row, Select, Text, any_, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from pipeline_project.domain.core.errors import KeyTaken
from pipeline_project.domain.delivery.planned_actions import ActionTerms, PlannedAction
from pipeline_project.domain.delivery.planning import OutboxAction, plan_compensations
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.rows import insert_new
from resources.ledger.tables.actions import actions, night_spending, releases

#: States in which an action stands in nobody's way any more.
THROUGH = ("done", "rehearsed", "cancelled")
OVER_CAP = "spend_cap"


@dataclass(frozen=True)
class Enqueued:
    """What became of actions that were asked for: how many are new, and how many of those are held or ready.

    Attributes:
        facts: of the new ones, for the audit chain; whoever ends the transaction appends them with its own.
    """

    new: int = 0
    ready: int = 0
    held: int = 0
    facts: tuple[Fact, ...] = field(default=(), compare=False, repr=False)


def enqueue(connection: Connection, planned: Sequence[PlannedAction], terms: ActionTerms) -> Enqueued:
    """Adds actions that are not there yet; their facts are the caller's to append to the audit chain, last of all.

    What would take the night's spending above its cap is held, the case's whole chain with it.

    Raises:
        KeyTaken: an action with the same key and another content is there.
    """
    if not planned:
        return Enqueued()
    # in one order for everybody, or two that add the same actions could wait for each other for ever
    ordered = sorted(planned, key=lambda action: str(action.key))
    rows = [_row(action, terms.live) for action in ordered]
    new = {UUID(str(key)) for key in insert_new(connection, actions, rows, "key")}
    _refuse_other_content(connection, [action for action in ordered if action.key not in new])
    added = [action for action in ordered if action.key in new]
    if not added:
        return Enqueued()
    capped: list[Fact] = []
    held = _reserve(connection, added, terms, capped) if terms.live else []
    ready = 0
    for night in {action.night for action in added}:
        if is_released(connection, terms.workflow, night):
            cases = of_cases([action.case_id for action in added if action.night == night])
            ready += advance(connection, terms.workflow, cases)
    return Enqueued(len(added), ready, len(held), (*(_fact(action) for action in added), *capped))


def _row(planned: PlannedAction, live: bool) -> Mapping[str, Any]:
    return {
        "workflow": planned.workflow,
        "night": planned.night,
        "case_id": planned.case_id,
        "epoch": planned.epoch,
        "kind": planned.kind,
        "destination": planned.destination,
        "step": planned.step,
        "key": str(planned.key),
        "fingerprint": planned.fingerprint,
        "payload": dict(planned.payload),
        "money": planned.money,
        "final": planned.final,
        "live": live,
        "undo": planned.undo,
        "undoes": str(planned.undoes) if planned.undoes else None,
        "state": "waiting",
    }


def _fact(planned: PlannedAction) -> Fact:
    columns = {
        "workflow": planned.workflow,
        "key": planned.key,
        "night": planned.night,
        "case_id": planned.case_id,
        "epoch": planned.epoch,
        "kind": planned.kind,
        "money": planned.money,
        "fingerprint": planned.fingerprint,
        "undoes": planned.undoes,
    }
    return Fact("actions", columns)


def _refuse_other_content(connection: Connection, enqueued: Sequence[PlannedAction]) -> None:
    if not enqueued:
        return
    query = select(actions.c.key, actions.c.fingerprint).where(actions.c.key.in_([action.key for action in enqueued]))
    fingerprints = {row.key: row.fingerprint for row in connection.execute(query)}
    for action in enqueued:
        if fingerprints.get(action.key) != action.fingerprint:
            raise KeyTaken(
                f"action {action.kind} of {action.workflow} is in the outbox under key {action.key} with another "
                "content; nothing was written: an action's content follows from its decision, so look at what changed "
                "between the two (the workflow's file, or the case's row)"
            )


def _reserve(
    connection: Connection, added: Sequence[PlannedAction], terms: ActionTerms, facts: list[Fact]
) -> list[PlannedAction]:
    """Takes the money out of each night's cap; returns the first actions of the cases that no longer fit.

    Args:
        facts: gets those of the caps that are new, for the audit chain.
    """
    held = []
    for night in sorted({action.night for action in added}):
        left = _left(connection, terms, night, facts)
        cases: dict[tuple[str, int], list[PlannedAction]] = {}
        for action in added:
            if action.night == night:
                cases.setdefault((action.case_id, action.epoch), []).append(action)
        reserved = Decimal(0)
        for case in sorted(cases):
            asked = sum((Decimal(str(action.money)) for action in cases[case]), Decimal(0))
            if left is not None and reserved + asked > left:
                held.append(min(cases[case], key=lambda action: action.step))
            else:
                reserved += asked
        _take(connection, terms.workflow, night, reserved)
    if held:
        hold = update(actions).where(actions.c.key.in_([action.key for action in held]))
        connection.execute(hold.values(state="held", held_reason=OVER_CAP))
    return held


def _left(connection: Connection, terms: ActionTerms, night: str, facts: list[Fact]) -> Decimal | None:
    """What the night may still pay out, its row locked; None without a cap."""
    cap = None if terms.spend_cap is None else Decimal(str(terms.spend_cap))
    here = {"workflow": terms.workflow, "night": night}
    spending = night_spending.c
    new = insert(night_spending).values(**here, cap=cap).on_conflict_do_nothing().returning(spending.night)
    if connection.execute(new).first() is not None:
        facts.append(Fact("night_spending", here))
    query = select(spending.cap, spending.reserved).where(spending.workflow == terms.workflow, spending.night == night)
    row = connection.execute(query.with_for_update()).one()
    return None if row.cap is None else row.cap - row.reserved


def _take(connection: Connection, workflow: str, night: str, amount: Decimal) -> None:
    spending = night_spending.c
    here = update(night_spending).where(spending.workflow == workflow, spending.night == night)
    connection.execute(here.values(reserved=spending.reserved + amount))


def advance(connection: Connection, workflow: str, which: ColumnElement[bool]) -> int:
    """Readies the next action of each case, where the earlier ones are through; returns how many.

    Args:
        which: the actions looked at, as a condition on the table `actions`.
    """
    earlier = actions.alias()
    unfinished = select(func.min(earlier.c.step)).where(
        earlier.c.workflow == actions.c.workflow,
        earlier.c.case_id == actions.c.case_id,
        earlier.c.epoch == actions.c.epoch,
        earlier.c.state.not_in(THROUGH),
    )
    following = update(actions).where(
        actions.c.workflow == workflow,
        which,
        actions.c.state == "waiting",
        actions.c.step == unfinished.scalar_subquery(),
    )
    return connection.execute(following.values(state="ready", next_at=func.now())).rowcount


def of_cases(cases: Sequence[str]) -> ColumnElement[bool]:
    """The actions of these cases."""
    return actions.c.case_id == any_(literal(list(cases), ARRAY(Text)))


def release_night(
    connection: Connection,
    workflow: str,
    night: str,
    attempt: int,
    run_id: str,
    cleared: Sequence[Fact] = (),
) -> int:
    """Lets a night's actions out; returns how many became ready. Released twice is released once.

    Args:
        cleared: the facts on which it may be released, for the audit chain. Without a clearance of this run and
            attempt the database refuses.
    """
    row = {"workflow": workflow, "night": night, "attempt": attempt, "run_id": run_id}
    new = connection.execute(insert(releases).values(**row).on_conflict_do_nothing().returning(releases.c.night)).all()
    ready = advance(connection, workflow, actions.c.night == night) if new else 0
    released = [Fact("releases", row)] if new else []
    append(connection, "release" if new else "clearances", workflow, [*cleared, *released])
    return ready


def is_released(connection: Connection, workflow: str, night: str) -> bool:
    """Whether a night's actions may leave."""
    release_columns = releases.c
    return (
        connection.scalar(
            select(release_columns.night).where(release_columns.workflow == workflow, release_columns.night == night)
        )
        is not None
    )


def take_back(connection: Connection, workflow: str, case_id: str, epoch: int, terms: ActionTerms) -> dict[str, int]:
    """Undoes the actions of one decision: what has not left is cancelled, what has is compensated, once.

    Returns:
        How many were `cancelled`, how many `compensations` were added, and how many have left `for_good`.
    """
    query = _of_case(workflow, case_id).where(actions.c.epoch == epoch, actions.c.undoes.is_(None))
    rows = connection.execute(query.order_by(actions.c.step).with_for_update()).all()
    plan = plan_compensations(terms, [OutboxAction(_planned(row), _stands(row)) for row in rows])
    if plan.cancelled:
        stop = update(actions).where(actions.c.key.in_(plan.cancelled))
        connection.execute(stop.values(state="cancelled", held_reason=None, owner=None, settled_at=func.now()))
    added = enqueue(connection, plan.compensations, terms)
    cancelled = [Fact("actions", {"key": key, "state": "cancelled"}) for key in plan.cancelled]
    append(connection, "actions", workflow, [*cancelled, *added.facts])
    return {"cancelled": len(plan.cancelled), "compensations": added.new, "for_good": len(plan.for_good)}


def _stands(row: Row[Any]) -> str:
    # whatever may have had its effect has left, as far as taking it back goes
    return "unknown" if row.uncertain and row.state in ("ready", "dead") else str(row.state)


def _of_case(workflow: str, case_id: str) -> Select[Any]:
    return select(actions).where(actions.c.workflow == workflow, actions.c.case_id == case_id)


def _planned(row: Row[Any]) -> PlannedAction:
    return PlannedAction(
        workflow=row.workflow,
        night=row.night,
        case_id=row.case_id,
        epoch=row.epoch,
        kind=row.kind,
        destination=row.destination,
        step=row.step,
        key=row.key,
        payload=row.payload,
        fingerprint=row.fingerprint,
        money=float(row.money),
        final=row.final,
        undo=row.undo,
        undoes=row.undoes,
    )
