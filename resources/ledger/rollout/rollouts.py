"""Rollouts as functions on a connection: each runs in its caller's transaction, and appends its facts last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pipeline_project.domain.core.errors import RolloutRefused
from pipeline_project.domain.core.model_terms import RolloutTerms
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.nights.statements import champion_history, insert_champion
from resources.ledger.rows import value, values
from resources.ledger.tables import nights as tables
from resources.ledger.tables.rollout import rollout_ends, rollouts
from resources.postgres.locks import ROLLOUT

AT_ONCE = "signed; the spec declares no shadow nights and no steps"


@dataclass(frozen=True)
class SignedChallenger:
    """A version that a person signed.

    Attributes:
        seen_error: share of its decisions without people that were wrong in the replay; None promises nothing.
        proposal: number of what was signed.
    """

    workflow: str
    version: str
    seen_error: float | None
    proposal: int | None
    signed_by: str


@dataclass(frozen=True)
class Rollout:
    """A challenger's way, with how it ended: `kind` of the end and `at_night`; None before."""

    id: int
    workflow: str
    version: str
    from_night: str
    promised_error: float | None
    terms: Mapping[str, Any]
    kind: str | None
    at_night: str | None


def begin_rollout(connection: Connection, challenger: SignedChallenger, from_night: str, terms: RolloutTerms) -> int:
    """A signed challenger sets out on the schedule of `terms`; without shadow nights and steps it is champion at once.

    Call it inside the transaction of the signature. The same rollout twice is one row.

    Args:
        terms: `error` is what is promised; without it the error seen and `slack`.

    Returns:
        The rollout's number.

    Raises:
        RolloutRefused: another challenger of the workflow is on its way.
    """
    workflow, version = challenger.workflow, challenger.version
    lock_rollouts(connection, workflow)
    running = open_rollout(connection, workflow)
    if running is not None and (running.version, running.from_night) != (version, from_night):
        raise RolloutRefused(
            f"version {running.version} of {workflow} is being rolled out since {running.from_night}; wait for "
            f"its end, or withdraw it with pipeline rollback {workflow} --reason WORDS"
        )
    base = connection.execute(champion_history(workflow).where(tables.champions.c.from_night <= from_night)).first()
    row = {
        "workflow": workflow,
        "version": version,
        "from_night": from_night,
        "base_version": None if base is None else base.version,
        "promised_error": _promised(challenger.seen_error, terms),
        "proposal": challenger.proposal,
        "terms": asdict(terms),
        "begun_by": challenger.signed_by,
    }
    rollout_columns = rollouts.c
    new = connection.scalar(insert(rollouts).values(**row).on_conflict_do_nothing().returning(rollout_columns.id))
    here = (
        rollout_columns.workflow == workflow,
        rollout_columns.version == version,
        rollout_columns.from_night == from_night,
    )
    if new is None:
        return int(connection.execute(select(rollout_columns.id).where(*here)).scalar_one())
    facts: list[Fact] = [Fact("rollouts", row)]
    if not terms.shadow_nights and not terms.steps:
        (begun,) = values(connection, Rollout, _with_end(workflow).where(rollout_columns.id == new))
        facts += insert_champion(connection, workflow, version, from_night, AT_ONCE)
        facts += insert_end(connection, begun, "completed", from_night, AT_ONCE, challenger.signed_by)
    # what became of the challenger before is no news once the next one sets out
    alerts = tables.alerts.c
    closing = update(tables.alerts).where(
        alerts.workflow == workflow, alerts.kind == "challenger_withdrawn", alerts.closed_at.is_(None)
    )
    connection.execute(closing.values(closed_at=func.now()))
    append(connection, "rollouts", workflow, facts)
    return int(new)


def _promised(seen: float | None, terms: RolloutTerms) -> float | None:
    if terms.error is not None:
        return terms.error
    return None if seen is None else min(1.0, seen + terms.slack)


def open_rollout(connection: Connection, workflow: str) -> Rollout | None:
    """The rollout of a workflow that has not ended, or None."""
    return value(connection, Rollout, _with_end(workflow).where(rollout_ends.c.rollout.is_(None)))


def rollout_on(connection: Connection, workflow: str, night: str) -> Rollout | None:
    """The rollout that was on its way on a night; None if there was none.

    One that ended before or on the night is not on its way; one that ended later was.
    """
    ended = rollout_ends.c
    under_way: ColumnElement[bool] = ended.at_night.is_(None) | (ended.at_night > night)
    return value(connection, Rollout, _with_end(workflow).where(rollouts.c.from_night <= night, under_way))


def promise_of(connection: Connection, workflow: str, version: str, night: str) -> Rollout | None:
    """The last rollout of a version that began by a night: what was promised of it; None for one that was never
    signed."""
    query = _with_end(workflow).where(rollouts.c.version == version, rollouts.c.from_night <= night)
    return value(connection, Rollout, query)


def _with_end(workflow: str) -> Select[Any]:
    """A workflow's rollouts, the latest first, with how they ended."""
    begun, ended = rollouts.c, rollout_ends.c
    named = (begun.id, begun.workflow, begun.version, begun.from_night, begun.promised_error, begun.terms)
    return (
        select(*named, ended.kind, ended.at_night)
        .join_from(rollouts, rollout_ends, ended.rollout == rollouts.c.id, isouter=True)
        .where(rollouts.c.workflow == workflow)
        .order_by(rollouts.c.from_night.desc(), rollouts.c.id.desc())
    )


def insert_end(connection: Connection, rollout: Rollout, kind: str, at_night: str, reason: str, by: str) -> list[Fact]:
    """Ends a rollout, once; returns the fact for the audit chain, none where it had ended."""
    row = {
        "rollout": rollout.id,
        "workflow": rollout.workflow,
        "version": rollout.version,
        "kind": kind,
        "at_night": at_night,
        "reason": reason,
        "by": by,
    }
    new = insert(rollout_ends).values(**row).on_conflict_do_nothing().returning(rollout_ends.c.rollout)
    return [] if connection.scalar(new) is None else [Fact("rollout_ends", row)]


def decided_nights(connection: Connection, workflow: str, first: str, before: str) -> list[str]:
    """Nights first <= night < before that were decided whole."""
    attempts = tables.attempts.c
    here = (
        attempts.workflow == workflow,
        attempts.night >= first,
        attempts.night < before,
        attempts.decided_at.is_not(None),
    )
    return list(connection.scalars(select(attempts.night).where(*here)))


def lock_rollouts(connection: Connection, workflow: str) -> None:
    """Whoever begins or ends a rollout of a workflow, or changes who decides, does so alone."""
    ROLLOUT.of(workflow=workflow).take(connection)
