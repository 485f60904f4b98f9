"""What people see of the outbox, and how they steer it: stop a workflow, let something held or dead go again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pipeline_project.domain.errors import ActionRefused
from resources.audit.chain import append
from resources.ledger.action_tables import (
    action_events,
    actions,
    breakers,
    night_spending,
    releases,
    replays,
    switches,
)
from resources.postgres import connected, engine_of

#: Rows of one page at most.
MOST_ROWS = 200


@dataclass(frozen=True)
class Outbox:
    """The outbox of one ledger.

    Attributes:
        engine: how connections are made; a server of many threads gives a pooled one.
    """

    url: str = field(repr=False)
    engine: Callable[[str], Engine] = engine_of

    def _connected(self) -> AbstractContextManager[Connection]:
        return connected(self.engine(self.url))

    # -- looking --------------------------------------------------------------------------------------------------

    def listed(
        self,
        workflow: str | None = None,
        state: str | None = None,
        night: str | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> list[dict[str, Any]]:
        """Actions by column, in the order in which they were asked for.

        Args:
            after: the id behind which the page begins.
        """
        query = select(actions).where(actions.c.id > after).order_by(actions.c.id).limit(min(limit, MOST_ROWS))
        for column, wanted in (("workflow", workflow), ("state", state), ("night", night)):
            if wanted is not None:
                query = query.where(actions.c[column] == wanted)
        with self._connected() as connection:
            return [_row(row) for row in connection.execute(query)]

    def counts(self, workflow: str | None = None, night: str | None = None) -> dict[str, dict[str, Any]]:
        """Actions and their money by state: {state: {"actions": n, "money": sum}}."""
        query = select(actions.c.state, func.count().label("n"), func.sum(actions.c.money).label("money"))
        for column, wanted in (("workflow", workflow), ("night", night)):
            if wanted is not None:
                query = query.where(actions.c[column] == wanted)
        with self._connected() as connection:
            rows = connection.execute(query.group_by(actions.c.state)).all()
        return {row.state: {"actions": row.n, "money": float(row.money or 0)} for row in rows}

    def of_case(self, workflow: str, case_id: str) -> list[dict[str, Any]]:
        """Every action of a case with its events, in order."""
        query = select(actions).where(actions.c.workflow == workflow, actions.c.case_id == case_id)
        with self._connected() as connection:
            found = [_row(row) for row in connection.execute(query.order_by(actions.c.epoch, actions.c.step))]
            events = select(action_events).where(action_events.c.action_id.in_([each["id"] for each in found]))
            by_action: dict[int, list[dict[str, Any]]] = {}
            for event in connection.execute(events.order_by(action_events.c.id)):
                by_action.setdefault(event.action_id, []).append(dict(event._mapping))
        return [{**each, "events": by_action.get(each["id"], [])} for each in found]

    def night(self, workflow: str, night: str) -> dict[str, Any]:
        """Whether a night is released, and what it pays out against its cap: released_at, cap, reserved."""
        with self._connected() as connection:
            released = connection.scalar(
                select(releases.c.released_at).where(releases.c.workflow == workflow, releases.c.night == night)
            )
            spent = connection.execute(
                select(night_spending.c.cap, night_spending.c.reserved).where(
                    night_spending.c.workflow == workflow, night_spending.c.night == night
                )
            ).first()
        cap, reserved = (None, 0) if spent is None else (spent.cap, spent.reserved)
        return {"released_at": released, "cap": None if cap is None else float(cap), "reserved": float(reserved)}

    def destinations(self) -> list[dict[str, Any]]:
        """Every destination's breaker and tries, by column."""
        with self._connected() as connection:
            return [dict(row._mapping) for row in connection.execute(select(breakers).order_by(*breakers.primary_key))]

    def switch(self, workflow: str) -> dict[str, Any]:
        """The kill switch: stopped, reason, changed_by, changed_at."""
        with self._connected() as connection:
            row = connection.execute(select(switches).where(switches.c.workflow == workflow)).first()
        return (
            {"stopped": False, "reason": None, "changed_by": None, "changed_at": None}
            if row is None
            else dict(row._mapping)
        )

    # -- steering -------------------------------------------------------------------------------------------------

    def stop(self, workflow: str, reason: str, person: str) -> None:
        """Throws the kill switch: what is being sent ends, nothing more is sent."""
        self._flip(workflow, True, reason, person)

    def resume(self, workflow: str, reason: str, person: str) -> None:
        """Lifts the kill switch."""
        self._flip(workflow, False, reason, person)

    def _flip(self, workflow: str, stopped: bool, reason: str, person: str) -> None:
        if not reason.strip():
            raise ActionRefused("stopping and resuming a workflow needs a reason; say why")
        row = {"stopped": stopped, "reason": reason, "changed_by": person}
        flip = insert(switches).values(workflow=workflow, **row)
        flip = flip.on_conflict_do_update(index_elements=["workflow"], set_={**row, "changed_at": func.now()})
        with self._connected() as connection, connection.begin():
            connection.execute(flip)
            append(connection, "switches", workflow, [row])

    def replay(
        self, key: UUID, person: str, reason: str, approver: str | None = None, dry_run: bool = False
    ) -> dict[str, Any]:
        """Sends a dead letter again, under its own key; where money leaves, two people are needed.

        Returns:
            The action as it stood before.

        Raises:
            ActionRefused: no such dead letter, no reason, or not two people.
        """
        return self._let_go(key, ("dead",), person, reason, approver, dry_run)

    def let_go(
        self, key: UUID, person: str, reason: str, approver: str | None = None, dry_run: bool = False
    ) -> dict[str, Any]:
        """Lets a held action go although the night's cap is reached; the cap is raised by its case's money."""
        return self._let_go(key, ("held",), person, reason, approver, dry_run)

    def _let_go(
        self, key: UUID, states: tuple[str, ...], person: str, reason: str, approver: str | None, dry_run: bool
    ) -> dict[str, Any]:
        with self._connected() as connection, connection.begin():
            row = connection.execute(select(actions).where(actions.c.key == key).with_for_update()).first()
            if row is None or row.state not in states:
                stands = "there is none with this key" if row is None else f"it is {row.state}"
                raise ActionRefused(f"only an action that is {' or '.join(states)} can be let go; {stands}")
            money = _money_behind(connection, row)
            if not reason.strip():
                raise ActionRefused("letting an action go needs a reason; say why")
            if money and (approver is None or approver == person):
                raise ActionRefused(f"{money:.2f} would leave: a second person must agree, and not the same one")
            if not dry_run:
                self._go(connection, row, money, person, reason, approver)
        return {**_row(row), "money_behind": money}

    def _go(
        self, connection: Connection, row: Row[Any], money: float, person: str, reason: str, approver: str | None
    ) -> None:
        asked = {
            "action_id": row.id,
            "fingerprint": row.fingerprint,
            "money": money,
            "asked_by": person,
            "approved_by": approver,
            "reason": reason,
        }
        connection.execute(insert(replays).values(**asked))
        if row.state == "held":
            spent = night_spending.c
            room = update(night_spending).where(spent.workflow == row.workflow, spent.night == row.night)
            connection.execute(room.values(cap=spent.cap + money, reserved=spent.reserved + money))
        back = update(actions).where(actions.c.id == row.id)
        state = "unknown" if row.uncertain else "ready"
        connection.execute(
            back.values(state=state, held_reason=None, attempts=0, settled_at=None, owner=None, next_at=func.now())
        )
        event = {"action_id": row.id, "event": "let_go", "attempt": row.attempts, "worker": person}
        connection.execute(insert(action_events).values(**event))
        append(connection, "replays", row.workflow, [{"key": row.key, "case_id": row.case_id, **asked}])


def _money_behind(connection: Connection, row: Row[Any]) -> float:
    """What leaves if this action goes: a held one lets the rest of its case follow."""
    if row.state != "held":
        return float(row.money)
    query = select(func.coalesce(func.sum(actions.c.money), 0)).where(
        actions.c.workflow == row.workflow, actions.c.case_id == row.case_id, actions.c.epoch == row.epoch
    )
    return float(connection.scalar(query) or 0)


def _row(row: Row[Any]) -> dict[str, Any]:
    return {**row._asdict(), "money": float(row.money)}
