"""`Turning`: the way back by hand, by a person who says why."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from pipeline_project.domain.core.errors import RollbackRefused
from pipeline_project.domain.core.model_terms import RolloutTerms
from resources.ledger.audit.chain import append
from resources.ledger.nights.statements import champion_history, insert_champion
from resources.ledger.outbox.redelivery import hold_unsent
from resources.ledger.rollout import rollouts, states
from resources.ledger.rollout.store import PostgresRolloutMonitoring
from resources.ledger.tables import nights as tables


@dataclass(frozen=True)
class Turned:
    """What a person changed.

    Attributes:
        from_night: from which night on.
        champion: who decides then.
        withdrawn: the version whose rollout ended, or None.
        closed: whether people decide everything from then on.
        held: actions that were held.
    """

    from_night: str
    champion: str | None
    withdrawn: str | None = None
    closed: bool = False
    held: int = 0


@dataclass(frozen=True)
class Turning(PostgresRolloutMonitoring):
    """`PostgresRolloutMonitoring`, and what people do by hand; each of it is kept in the audit chain."""

    def roll_back(self, workflow: str, to: str | None, reason: str, by: str, terms: RolloutTerms) -> Turned:
        """Ends the rollout on its way; without one, or with `to`, an earlier version decides from the next night on.

        Args:
            to: a version that was champion before; without it the one before this one.
            terms: actions with more money than `hold_above` that were not sent yet are held.

        Raises:
            RollbackRefused: no reason is given, there is nobody to go back to, or it was done already.
        """
        _explained(reason)
        with self._transaction() as connection:
            rollouts.lock_rollouts(connection, workflow)
            night = states.next_night(connection, workflow)
            running = rollouts.open_rollout(connection, workflow)
            facts = (
                [] if running is None else rollouts.insert_end(connection, running, "rolled_back", night, reason, by)
            )
            champion = _deciding(connection, workflow, night)
            if to is not None or running is None:
                champion = _back_to(connection, workflow, night, to, champion)
                facts += insert_champion(connection, workflow, champion, night, f"rolled back by {by}: {reason}")
            held = hold_unsent(connection, workflow, terms.hold_above, reason, by)
            append(connection, "rollouts", workflow, [*facts, *held])
        return Turned(night, champion, None if running is None else running.version, held=len(held))

    def review_all(self, workflow: str, reason: str, by: str, terms: RolloutTerms) -> Turned:
        """From the next night on people decide everything; large actions that were not sent yet are held.

        Raises:
            RollbackRefused: no reason is given, or it is closed already.
        """
        return self._state(workflow, "review_all", reason, by, terms)

    def reopen(self, workflow: str, reason: str, by: str) -> Turned:
        """From the next night on the policy decides again.

        Raises:
            RollbackRefused: no reason is given, or it is open already.
        """
        return self._state(workflow, "open", reason, by, None)

    def _state(self, workflow: str, state: str, reason: str, by: str, terms: RolloutTerms | None) -> Turned:
        _explained(reason)
        with self._transaction() as connection:
            rollouts.lock_rollouts(connection, workflow)
            night = states.next_night(connection, workflow)
            closed = states.closed_on(connection, workflow, night)
            if (closed is not None) == (state == "review_all"):
                stands = f"closed ({closed})" if closed else "open"
                raise RollbackRefused(f"the policy of {workflow} is {stands} on {night} already; nothing was changed")
            facts = states.insert_state(connection, workflow, night, state, reason, by)
            held = [] if terms is None else hold_unsent(connection, workflow, terms.hold_above, reason, by)
            append(connection, "policy_states", workflow, [*facts, *held])
            champion = _deciding(connection, workflow, night)
        return Turned(night, champion, closed=state == "review_all", held=len(held))

    def next_night(self, workflow: str) -> str:
        """The night from which on what is changed by hand counts."""
        with self._transaction() as connection:
            return states.next_night(connection, workflow)


def _deciding(connection: Connection, workflow: str, night: str) -> str | None:
    query = champion_history(workflow).where(tables.champions.c.from_night <= night).limit(1)
    row = connection.execute(query).first()
    return None if row is None else str(row.version)


def _back_to(connection: Connection, workflow: str, night: str, to: str | None, champion: str | None) -> str:
    history = connection.execute(champion_history(workflow).where(tables.champions.c.from_night <= night)).all()
    if champion is None:
        raise RollbackRefused(
            f"{workflow} has no champion to go back from; --review-all sends every case to people instead"
        )
    if to is None:
        if history[0].from_night == night and history[0].reason.startswith("rolled back"):
            raise RollbackRefused(
                f"version {champion} was gone back to already and decides from {night}; go further back with --to"
            )
        earlier = states.champion_before(connection, workflow, champion, night)
        if earlier is None:
            raise RollbackRefused(f"nobody decided before version {champion}; --review-all sends every case to people")
        return earlier
    versions = sorted({str(row.version) for row in history})
    if to not in versions:
        raise RollbackRefused(f"version {to} of {workflow} never decided; these did: {', '.join(versions)}")
    if to == champion:
        raise RollbackRefused(f"version {to} decides from {history[0].from_night} already; nothing was changed")
    return to


def _explained(reason: str) -> None:
    if not reason.strip():
        raise RollbackRefused("say why with --reason: it stands in the audit chain, and whoever comes next reads it")
