"""States of the policy, and turning back by hand: functions on a connection, each in its caller's transaction."""

from __future__ import annotations

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from pipeline_project.domain.core.errors import RollbackRefused
from pipeline_project.domain.core.nights import shifted
from resources.ledger.audit.facts import Fact
from resources.ledger.nights.statements import champion_history
from resources.ledger.tables import nights as tables
from resources.ledger.tables.rollout import policy_states


def closed_on(connection: Connection, workflow: str, night: str) -> str | None:
    """Why people decide everything on a night, or None while the policy decides."""
    states = policy_states.c
    query = select(states.state, states.reason).where(states.workflow == workflow, states.from_night <= night)
    # of those from a night until then the latest, of one night the last one said
    row = connection.execute(query.order_by(states.from_night.desc(), states.id.desc()).limit(1)).first()
    return row.reason if row is not None and row.state == "review_all" else None


def insert_state(connection: Connection, workflow: str, night: str, state: str, reason: str, by: str) -> list[Fact]:
    """From `night` on the policy is in this state; returns the fact for the audit chain."""
    row = {"workflow": workflow, "from_night": night, "state": state, "reason": reason, "by": by}
    number = connection.scalar(insert(policy_states).values(row).returning(policy_states.c.id))
    return [Fact("policy_states", {"id": number, **row})]


def champion_before(connection: Connection, workflow: str, version: str, night: str) -> str | None:
    """The version that decided before `version` came, as it stands for `night`; None where there was none.

    Versions that were turned back from are not gone back to: whoever returns takes the place it had.
    """
    history = connection.execute(champion_history(workflow).where(tables.champions.c.from_night <= night)).all()
    line: list[str] = []
    for row in reversed(history):
        line = line[: line.index(row.version)] if row.version in line else line
        line.append(str(row.version))
    return line[line.index(version) - 1] if version in line[1:] else None


def next_night(connection: Connection, workflow: str) -> str:
    """The night after the last one that was decided: what is changed by hand is changed from there on.

    Raises:
        RollbackRefused: none was decided yet.
    """
    attempts = tables.attempts.c
    query = select(func.max(attempts.night)).where(attempts.workflow == workflow, attempts.decided_at.is_not(None))
    last = connection.scalar(query)
    if last is None:
        raise RollbackRefused(f"no night of {workflow} was decided yet, so there is nothing to turn back")
    return shifted(str(last), 1)
