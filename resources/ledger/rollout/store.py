"""`PostgresRolloutMonitoring`: who scores a night, what the watch saw, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects.postgresql import insert

from pipeline_project.domain.core.model_terms import RolloutTerms
from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.lifecycle.rollout.checking import BreachResponse, RolloutCheck
from pipeline_project.domain.lifecycle.rollout.stages import NightModels, Stage, StageKind, Watched, stage_on
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.nights.statements import champion_history, insert_champion, model_of
from resources.ledger.outbox.redelivery import hold_unsent
from resources.ledger.rollout import rollouts, states
from resources.ledger.tables import nights as tables
from resources.ledger.tables.rollout import live_breaches, live_checks
from resources.ledger.unit_of_work import LedgerStore

WATCH = "live_check"


@dataclass(frozen=True)
class PostgresRolloutMonitoring(LedgerStore):
    """Every method raises DatabaseUnreachable when the database does not answer."""

    # -- who scores a night ------------------------------------------------------------------------------------

    def night_models(self, workflow: str, night: str) -> NightModels:
        """Who scores a night, and whether the policy is closed; the same for every run of the night."""
        with self._transaction() as connection:
            rollout = rollouts.rollout_on(connection, workflow, night)
            stage = Stage(StageKind.NONE) if rollout is None else _stage(connection, rollout, night)
            champion = _champion(connection, workflow, night)
            over = rollout is not None and stage.kind == StageKind.CHAMPION
            if rollout is not None and over:
                champion = _model(connection, workflow, rollout.version)
                rollout, stage = None, Stage(StageKind.NONE)
            challenger = None if rollout is None else _model(connection, workflow, rollout.version)
            return NightModels(
                champion=None if champion is None else model_of(champion),
                challenger=None if challenger is None else model_of(challenger),
                stage=stage,
                closed=states.closed_on(connection, workflow, night),
                since=None if rollout is None else rollout.from_night,
                to_complete=over,
            )

    def complete_rollout(self, workflow: str, night: str) -> None:
        """Ends a rollout whose last step was over before a night: its version is champion from then on; once."""
        with self._transaction() as connection:
            rollout = rollouts.rollout_on(connection, workflow, night)
            if rollout is not None and _stage(connection, rollout, night).kind == StageKind.CHAMPION:
                _complete(connection, rollout, night)

    # -- the watch ---------------------------------------------------------------------------------------------

    def watched(self, workflow: str, night: str) -> tuple[Watched, ...]:
        """The versions that decide on a night, the champion first, with what was promised of each."""
        with self._transaction() as connection:
            champion = _champion(connection, workflow, night)
            versions = [] if champion is None else [_as_champion(connection, champion, night)]
            rollout = rollouts.rollout_on(connection, workflow, night)
            if rollout is not None and champion is not None and rollout.version != champion.version:
                versions.append(
                    Watched(rollout.version, rollout.from_night, rollout.promised_error, True, champion.version)
                )
        return tuple(versions)

    def record_checks(self, workflow: str, night: str, checks: Sequence[RolloutCheck]) -> None:
        """Keeps what was seen by a night; the same once more is one row."""
        columns = list(live_checks.columns.keys())
        with self._transaction() as connection:
            facts = []
            for check in checks:
                row = {"workflow": workflow, "night": night, **vars(check)}
                new = insert(live_checks).values(row).on_conflict_do_nothing().returning(live_checks.c.id)
                if connection.scalar(new) is not None:
                    facts.append(Fact("live_checks", {name: row[name] for name in row if name in columns}))
            append(connection, "live_checks", workflow, facts)

    def withdraw(self, workflow: str, version: str, at_night: str, reason: str, by: str = WATCH) -> bool:
        """Ends the rollout of a version, which from `at_night` on does nothing; False where it had ended."""
        with self._transaction() as connection:
            rollouts.lock_rollouts(connection, workflow)
            running = rollouts.open_rollout(connection, workflow)
            if running is None or running.version != version:
                return False
            facts = rollouts.insert_end(connection, running, "withdrawn", at_night, reason, by)
            append(connection, "rollouts", workflow, facts)
            return bool(facts)

    def close(self, workflow: str, night: str, reason: str, by: str) -> None:
        """From the night after on every case goes to people, until a person opens the policy again; once."""
        first = shifted(night, 1)
        with self._transaction() as connection:
            rollouts.lock_rollouts(connection, workflow)
            if states.closed_on(connection, workflow, first) != reason:
                facts = states.insert_state(connection, workflow, first, "review_all", reason, by)
                append(connection, "policy_states", workflow, facts)

    def breach_answered(self, workflow: str, watched: Watched) -> bool:
        """Whether a breach of a version, in this time as champion, was answered."""
        with self._transaction() as connection:
            return _answered(connection, workflow, watched)

    def answer_breach(
        self, workflow: str, watched: Watched, night: str, terms: RolloutTerms, reason: str
    ) -> BreachResponse | None:
        """After a breach seen on `night`: from the next one on people decide, or the champion before; actions with more
        money than `terms.hold_above` that were not sent are held. Once: None where it was answered before.

        Without a champion before, people decide.
        """
        first = shifted(night, 1)
        with self._transaction() as connection:
            rollouts.lock_rollouts(connection, workflow)
            if _answered(connection, workflow, watched):
                return None
            earlier = states.champion_before(connection, workflow, watched.version, first)
            back = terms.on_breach == "last_champion" and earlier is not None
            facts = (
                insert_champion(connection, workflow, str(earlier), first, reason)
                if back
                else states.insert_state(connection, workflow, first, "review_all", reason, WATCH)
            )
            held = hold_unsent(connection, workflow, terms.hold_above, reason, WATCH)
            row = {
                "workflow": workflow,
                "version": watched.version,
                "since_night": watched.since,
                "night": night,
                "answer": "last_champion" if back else "review_all",
                "held": len(held),
            }
            connection.execute(insert(live_breaches).values(row))
            append(connection, "breaches", workflow, [Fact("live_breaches", row), *facts, *held])
        return BreachResponse(str(row["answer"]), first, earlier if back else None, len(held))


def _stage(connection: Connection, rollout: rollouts.Rollout, night: str) -> Stage:
    """Where a rollout stood on a night; one that ended later did not become champion before."""
    terms = RolloutTerms(**{**rollout.terms, "steps": tuple(rollout.terms["steps"])})
    first = rollout.from_night
    decided = rollouts.decided_nights(connection, rollout.workflow, first, night)
    stage = stage_on(night, first, decided, terms)
    if stage.kind == StageKind.CHAMPION and rollout.kind is not None:
        return Stage(StageKind.CANARY, terms.steps[-1]) if terms.steps else Stage(StageKind.SHADOW)
    return stage


def _complete(connection: Connection, rollout: rollouts.Rollout, night: str) -> None:
    """The version of a rollout becomes champion from `night` on, once."""
    workflow, version = rollout.workflow, rollout.version
    rollouts.lock_rollouts(connection, workflow)
    reason = f"rolled out since {rollout.from_night}; every step of the canary held"
    ended = rollouts.insert_end(connection, rollout, "completed", night, reason, "rollout")
    if ended:
        facts = insert_champion(connection, workflow, version, night, reason)
        append(connection, "rollouts", workflow, [*ended, *facts])


def _champion(connection: Connection, workflow: str, night: str) -> Row[Any] | None:
    query = champion_history(workflow).where(tables.champions.c.from_night <= night).limit(1)
    return connection.execute(query).first()


def _model(connection: Connection, workflow: str, version: str) -> Row[Any] | None:
    versions = tables.model_versions
    return connection.execute(
        select(versions).where(versions.c.workflow == workflow, versions.c.version == version)
    ).first()


def _as_champion(connection: Connection, champion: Row[Any], night: str) -> Watched:
    """The champion, held to the promise of its own rollout; its time begins with that, or when it came back."""
    rollout = rollouts.promise_of(connection, champion.workflow, champion.version, night)
    promised = None if rollout is None else rollout.promised_error
    came_by_it = rollout is not None and rollout.kind == "completed" and rollout.at_night == champion.from_night
    since = rollout.from_night if rollout is not None and came_by_it else champion.from_night
    return Watched(champion.version, since, promised)


def _answered(connection: Connection, workflow: str, watched: Watched) -> bool:
    breaches = live_breaches.c
    here = (breaches.workflow == workflow, breaches.version == watched.version, breaches.since_night == watched.since)
    return connection.scalar(select(breaches.night).where(*here)) is not None
