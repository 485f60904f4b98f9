"""What people see of the outbox; `PostgresOutbox` also steers it, see `Steering`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select

from resources.ledger.outbox.redelivery import Steering
from resources.ledger.tables.actions import (
    action_events,
    actions,
    breakers,
    night_spending,
    releases,
    replay_approvals,
    replays,
    switches,
)

#: Rows of one page at most.
MOST_ROWS = 200


@dataclass(frozen=True)
class PostgresOutbox(Steering):
    """The outbox of one ledger, to look at and to steer."""

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
        with self._transaction() as connection:
            return [_row(row) for row in connection.execute(query)]

    def counts(self, workflow: str | None = None, night: str | None = None) -> dict[str, dict[str, Any]]:
        """Actions and their money by state: {state: {"actions": n, "money": sum}}."""
        query = select(actions.c.state, func.count().label("n"), func.sum(actions.c.money).label("money"))
        for column, wanted in (("workflow", workflow), ("night", night)):
            if wanted is not None:
                query = query.where(actions.c[column] == wanted)
        with self._transaction() as connection:
            rows = connection.execute(query.group_by(actions.c.state)).all()
        return {row.state: {"actions": row.n, "money": float(row.money or 0)} for row in rows}

    def of_case(self, workflow: str, case_id: str) -> list[dict[str, Any]]:
        """Every action of a case with its events, in order."""
        query = select(actions).where(actions.c.workflow == workflow, actions.c.case_id == case_id)
        with self._transaction() as connection:
            found = [_row(row) for row in connection.execute(query.order_by(actions.c.epoch, actions.c.step))]
            events = select(action_events).where(action_events.c.action_id.in_([each["id"] for each in found]))
            by_action: dict[int, list[dict[str, Any]]] = {}
            for event in connection.execute(events.order_by(action_events.c.id)):
                by_action.setdefault(event.action_id, []).append(dict(event._mapping))
        return [{**each, "events": by_action.get(each["id"], [])} for each in found]

    def night(self, workflow: str, night: str) -> dict[str, Any]:
        """Whether a night is released, and what it pays out against its cap: released_at, cap, reserved."""
        with self._transaction() as connection:
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
        with self._transaction() as connection:
            return [dict(row._mapping) for row in connection.execute(select(breakers).order_by(*breakers.primary_key))]

    def switch(self, workflow: str) -> dict[str, Any]:
        """The kill switch: stopped, reason, changed_by, changed_at."""
        with self._transaction() as connection:
            row = connection.execute(select(switches).where(switches.c.workflow == workflow)).first()
        return (
            {"stopped": False, "reason": None, "changed_by": None, "changed_at": None}
            if row is None
            else dict(row._mapping)
        )

    def asked(self, workflow: str | None = None) -> list[dict[str, Any]]:
        """What waits for a second person: id, asked_by, asked_at, reason, money, and key, kind, case_id, workflow."""
        known = (actions.c.key, actions.c.kind, actions.c.case_id, actions.c.workflow, actions.c.state)
        query = (
            select(replays, *known)
            .join(actions, actions.c.id == replays.c.action_id)
            .outerjoin(replay_approvals, replay_approvals.c.replay_id == replays.c.id)
            .where(replay_approvals.c.replay_id.is_(None), replays.c.money > 0, actions.c.state.in_(("dead", "held")))
            .order_by(replays.c.id)
        )
        if workflow is not None:
            query = query.where(actions.c.workflow == workflow)
        with self._transaction() as connection:
            return [_row(row) for row in connection.execute(query)]


def _row(row: Row[Any]) -> dict[str, Any]:
    return {**row._asdict(), "money": float(row.money)}
