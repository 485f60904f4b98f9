"""What people see of the outbox; `PostgresOutbox` also steers it, see `Steering`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import func, select

from pipeline_project.domain.delivery.outbox_rows import (
    DestinationState,
    KillSwitch,
    NightSpending,
    OutboxRow,
    RedeliveryWish,
    StateCount,
)
from resources.ledger.outbox.redelivery import Steering, outbox_row
from resources.ledger.rows import columns, value, values
from resources.ledger.tables.actions import (
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
    ) -> list[OutboxRow]:
        """Actions, in the order in which they were asked for.

        Args:
            after: the id behind which the page begins.
        """
        query = select(actions).where(actions.c.id > after).order_by(actions.c.id).limit(min(limit, MOST_ROWS))
        for column, wanted in (("workflow", workflow), ("state", state), ("night", night)):
            if wanted is not None:
                query = query.where(actions.c[column] == wanted)
        with self._transaction() as connection:
            return [outbox_row(row) for row in connection.execute(query)]

    def counts(self, workflow: str | None = None, night: str | None = None) -> dict[str, StateCount]:
        """Actions and their money by state."""
        query = select(actions.c.state, func.count().label("n"), func.sum(actions.c.money).label("money"))
        for column, wanted in (("workflow", workflow), ("night", night)):
            if wanted is not None:
                query = query.where(actions.c[column] == wanted)
        with self._transaction() as connection:
            rows = connection.execute(query.group_by(actions.c.state)).all()
        return {row.state: StateCount(row.n, float(row.money or 0)) for row in rows}

    def night(self, workflow: str, night: str) -> NightSpending:
        """Whether a night is released, and what it pays out against its cap."""
        with self._transaction() as connection:
            released = connection.scalar(
                select(releases.c.released_at).where(releases.c.workflow == workflow, releases.c.night == night)
            )
            spending = night_spending.c
            here = (spending.workflow == workflow, spending.night == night)
            spent = connection.execute(select(spending.cap, spending.reserved).where(*here)).first()
        cap, reserved = (None, 0) if spent is None else (spent.cap, spent.reserved)
        return NightSpending(released, None if cap is None else float(cap), float(reserved))

    def destinations(self) -> list[DestinationState]:
        """Every destination's breaker and tries."""
        with self._transaction() as connection:
            return values(connection, DestinationState, select(breakers).order_by(*breakers.primary_key))

    def switch(self, workflow: str) -> KillSwitch:
        """The kill switch."""
        query = select(*columns(KillSwitch, switches)).where(switches.c.workflow == workflow)
        with self._transaction() as connection:
            return value(connection, KillSwitch, query) or KillSwitch()

    def asked(self, workflow: str | None = None) -> list[RedeliveryWish]:
        """What waits for a second person, in the order in which it was asked."""
        action_columns = (actions.c.key, actions.c.kind, actions.c.case_id, actions.c.workflow, actions.c.state)
        query = (
            select(replays, *action_columns)
            .join(actions, actions.c.id == replays.c.action_id)
            .outerjoin(replay_approvals, replay_approvals.c.replay_id == replays.c.id)
            .where(replay_approvals.c.replay_id.is_(None), replays.c.money > 0, actions.c.state.in_(("dead", "held")))
            .order_by(replays.c.id)
        )
        if workflow is not None:
            query = query.where(actions.c.workflow == workflow)
        with self._transaction() as connection:
            wishes = values(connection, RedeliveryWish, query)
        return [replace(wish, money=float(wish.money)) for wish in wishes]
