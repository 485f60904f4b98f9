"""Steering the outbox: stop a workflow, hold what is large, let what is held or dead go; money, by two people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from pipeline_project.domain.core.errors import ActionRefused, SecondPersonNeeded
from pipeline_project.domain.delivery.keys import fingerprint
from pipeline_project.domain.delivery.outbox_rows import OutboxRow, RedeliveryRequest
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.outbox.leases import seconds
from resources.ledger.outbox.outbox import OVER_CAP, advance, is_released, of_cases
from resources.ledger.tables.actions import action_events, actions, night_spending, replay_approvals, replays, switches
from resources.ledger.unit_of_work import LedgerStore

#: Actions of a workflow that may be let go within a minute.
REPLAYS_A_MINUTE = 60
LARGE = "amount"


def hold_unsent(connection: Connection, workflow: str, above: float, reason: str, by: str) -> list[Fact]:
    """Holds what has not left and pays out more than an amount, until people let it go.

    Returns:
        One fact for each, which the caller appends to the audit chain last of all.
    """
    large = (actions.c.workflow == workflow, actions.c.money > above, actions.c.attempts == 0)
    hold = update(actions).where(*large, actions.c.state.in_(("waiting", "ready")))
    rows = connection.execute(
        hold.values(state="held", held_reason=LARGE).returning(actions.c.id, actions.c.key, actions.c.case_id)
    ).all()
    for row in rows:
        _note(connection, row.id, "held", 0, by)
    details = {"held": LARGE, "above": above, "reason": reason, "by": by}
    return [Fact("actions", {"key": row.key, "case_id": row.case_id, "state": "held", **details}) for row in rows]


@dataclass(frozen=True)
class Steering(LedgerStore):
    """What people may do to the outbox of one ledger; each of it is kept in the audit chain."""

    def stop(self, workflow: str, reason: str, person: str) -> None:
        """Throws the kill switch: what is on its way ends, nothing more is sent.

        Raises:
            ActionRefused: no reason is given.
        """
        self._flip(workflow, True, reason, person)

    def resume(self, workflow: str, reason: str, person: str) -> None:
        """Lifts the kill switch.

        Raises:
            ActionRefused: no reason is given.
        """
        self._flip(workflow, False, reason, person)

    def _flip(self, workflow: str, stopped: bool, reason: str, person: str) -> None:
        _explained(reason)
        row = {"stopped": stopped, "reason": reason, "changed_by": person}
        flip = insert(switches).values(workflow=workflow, **row)
        flip = flip.on_conflict_do_update(index_elements=["workflow"], set_={**row, "changed_at": func.now()})
        with self._transaction() as connection:
            connection.execute(flip)
            append(
                connection,
                "switches",
                workflow,
                [Fact("switches", {"workflow": workflow, **row, "changed_at": None})],
            )

    def hold_above(self, workflow: str, amount: float, reason: str, person: str) -> int:
        """Holds what has not left and pays out more than an amount, until people let it go; returns how many."""
        _explained(reason)
        with self._transaction() as connection:
            rows = hold_unsent(connection, workflow, amount, reason, person)
            append(connection, "actions", workflow, rows)
        return len(rows)

    def redeliver(self, key: UUID, person: str, reason: str, dry_run: bool = False) -> RedeliveryRequest:
        """Asks that a dead letter is sent again under its own key; at once where no money leaves.

        Raises:
            ActionRefused: no such dead letter, no reason, or too many within a minute.
        """
        return self._ask(key, ("dead",), person, reason, dry_run)

    def let_go(self, key: UUID, person: str, reason: str, dry_run: bool = False) -> RedeliveryRequest:
        """Asks that a held action goes; what was held for the night's cap raises the cap by its case's money.

        Raises:
            ActionRefused: no such held action, no reason, or too many within a minute.
        """
        return self._ask(key, ("held",), person, reason, dry_run)

    def ask(self, key: UUID, person: str, reason: str, dry_run: bool = False) -> RedeliveryRequest:
        """Asks that a dead or held action goes.

        Raises:
            ActionRefused: it is neither, no reason is given, or too many went within a minute.
        """
        return self._ask(key, ("dead", "held"), person, reason, dry_run)

    def _ask(self, key: UUID, states: Sequence[str], person: str, reason: str, dry_run: bool) -> RedeliveryRequest:
        _explained(reason)
        with self._transaction() as connection:
            row = connection.execute(select(actions).where(actions.c.key == key).with_for_update()).first()
            if row is None or row.state not in states:
                stands = "there is none with this key" if row is None else f"it is {row.state}"
                raise ActionRefused(f"only an action that is {' or '.join(states)} can be let go in this way; {stands}")
            money = _money_behind(connection, row)
            action = outbox_row(row)
            if dry_run:
                return RedeliveryRequest(action, money)
            _within_the_rate(connection, row.workflow)
            asked = {
                "action_id": row.id,
                "content": _content(row, money),
                "money": money,
                "asked_by": person,
                "reason": reason,
            }
            number = int(connection.execute(insert(replays).values(**asked).returning(replays.c.id)).scalar_one())
            facts = [Fact("replays", {"id": number, **asked}), _of(row, number)]
            if not money:
                facts += _go(connection, row, money, person)
            append(connection, "replays", row.workflow, facts)
        return RedeliveryRequest(action, money, number, gone=not money)

    def approve(self, redelivery: int, person: str) -> RedeliveryRequest:
        """A second person agrees to what was asked; the action goes.

        Raises:
            ActionRefused: nothing was asked under this number, or too many within a minute.
            SecondPersonNeeded: it was the same person, somebody has agreed before, or the action is no longer as it
                was when it was asked for.
        """
        with self._transaction() as connection:
            asked = connection.execute(select(replays).where(replays.c.id == redelivery)).first()
            if asked is None:
                raise ActionRefused(f"nothing was asked under number {redelivery}; see `pipeline actions WORKFLOW`")
            here = select(actions).where(actions.c.id == asked.action_id)
            row = connection.execute(here.with_for_update()).one()
            money = _money_behind(connection, row)
            _within_the_rate(connection, row.workflow)
            content = _content(row, money)
            approval = {"replay_id": redelivery, "asked_by": asked.asked_by, "content": content, "approved_by": person}
            try:
                connection.execute(insert(replay_approvals).values(**approval))
            except IntegrityError as error:
                raise SecondPersonNeeded(_why_not(error)) from None
            gone = _go(connection, row, money, person)
            facts = [Fact("replay_approvals", approval), _of(row, redelivery), *gone]
            append(connection, "replays", row.workflow, facts)
        return RedeliveryRequest(outbox_row(row), money, redelivery, gone=True)

    def resolve(self, key: UUID, happened: bool, person: str, reason: str) -> None:
        """Somebody has looked what became of an action of which nobody could know.

        One that happened is done, and its case goes on. One that did not is a plain dead letter, to be sent again.

        Raises:
            ActionRefused: it is no dead letter in doubt, or no reason is given.
        """
        _explained(reason)
        with self._transaction() as connection:
            row = connection.execute(select(actions).where(actions.c.key == key).with_for_update()).first()
            if row is None or row.state != "dead" or not row.uncertain:
                raise ActionRefused("only a dead letter that may have happened needs a person's word")
            receipt = {"happened": happened, "reason": reason, "by": person}
            here = update(actions).where(actions.c.id == row.id)
            if happened:
                connection.execute(here.values(state="done", uncertain=False, owner=None, receipt=receipt))
                advance(connection, row.workflow, of_cases([row.case_id]))
            else:
                connection.execute(here.values(uncertain=False, first_sent_at=None))
            _note(connection, row.id, "happened" if happened else "never_happened", row.attempts, person)
            stands = {"key": row.key, "case_id": row.case_id, "state": None}
            append(connection, "replays", row.workflow, [Fact("actions", {**stands, **receipt})])


def outbox_row(row: Row[*tuple[Any, ...]]) -> OutboxRow:
    """A row of `actions`."""
    return OutboxRow(
        **{**{field.name: row._mapping[field.name] for field in fields(OutboxRow)}, "money": float(row.money)}
    )


def _go(connection: Connection, row: Row[Any], money: float, person: str) -> list[Fact]:
    """Lets an action go; only once it has been settled who may. Returns what the audit chain must learn."""
    facts: list[Fact] = [Fact("actions", {"key": row.key, "case_id": row.case_id, "state": "let go"})]
    back = update(actions).where(actions.c.id == row.id)
    fresh = {"held_reason": None, "attempts": 0, "settled_at": None, "owner": None, "next_at": func.clock_timestamp()}
    if row.state == "held":
        if row.held_reason == OVER_CAP:
            spent = night_spending.c
            room = update(night_spending).where(spent.workflow == row.workflow, spent.night == row.night)
            connection.execute(room.values(cap=spent.cap + money, reserved=spent.reserved + money))
            facts.append(Fact("night_spending", {"workflow": row.workflow, "night": row.night, "cap": "raised"}))
        connection.execute(back.values(state="waiting", **fresh))
        if is_released(connection, row.workflow, row.night):
            advance(connection, row.workflow, of_cases([row.case_id]))
    else:
        connection.execute(back.values(state="unknown" if row.uncertain else "ready", **fresh))
    _note(connection, row.id, "let_go", row.attempts, person)
    return facts


def _money_behind(connection: Connection, row: Row[Any]) -> float:
    """What leaves if this action goes: one held for the cap holds the rest of its case back as well."""
    if row.held_reason != OVER_CAP:
        return float(row.money)
    query = select(func.coalesce(func.sum(actions.c.money), 0)).where(
        actions.c.workflow == row.workflow, actions.c.case_id == row.case_id, actions.c.epoch == row.epoch
    )
    return float(connection.scalar(query) or 0)


def _content(row: Row[Any], money: float) -> str:
    """The hash of what a person saw who asked."""
    seen = {"key": row.key, "fingerprint": row.fingerprint, "state": row.state, "attempts": row.attempts}
    return fingerprint({**seen, "uncertain": row.uncertain, "settled_at": row.settled_at, "money": round(money, 2)})


def _within_the_rate(connection: Connection, workflow: str) -> None:
    recent = select(func.count()).select_from(action_events).join(actions, actions.c.id == action_events.c.action_id)
    minute = func.clock_timestamp() - seconds(literal(60.0))
    query = recent.where(actions.c.workflow == workflow, action_events.c.event == "let_go", action_events.c.at > minute)
    if int(connection.scalar(query) or 0) >= REPLAYS_A_MINUTE:
        raise ActionRefused(
            f"{REPLAYS_A_MINUTE} actions of {workflow} were let go within a minute; see first what becomes of them"
        )


def _why_not(error: IntegrityError) -> str:
    name = str(getattr(getattr(error.orig, "diag", None), "constraint_name", ""))
    if "two_people" in name:
        return "whoever asked may not agree; a second person is needed, because money leaves"
    if name.startswith("pk_"):
        return "somebody has agreed to this before; ask again if it is dead once more"
    return "the action is no longer as it was when this was asked for; ask again"


def _of(row: Row[Any], redelivery: int) -> Fact:
    """The fact by which a case's story finds its redelivery."""
    return Fact(None, {"replay": redelivery, "key": row.key, "case_id": row.case_id, "kind": row.kind})


def _explained(reason: str) -> None:
    if not reason.strip():
        raise ActionRefused("this needs a reason; say why")


def _note(connection: Connection, action: int, event: str, attempt: int, person: str) -> None:
    row = {"action_id": action, "event": event, "attempt": attempt, "worker": person}
    connection.execute(insert(action_events).values(**row))
