"""Verdicts and clearances: each in its caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, select
from sqlalchemy.dialects.postgresql import JSONB, distinct_on, insert
from sqlalchemy.sql import bindparam

from pipeline_project.domain.deciding.clearance import Basis, CheckVerdict, Step
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.rows import jsonable
from resources.ledger.tables.clearing import night_clearances, night_verdicts


def add_verdict(connection: Connection, workflow: str, night: str, verdict: CheckVerdict, run_id: str) -> None:
    """Adds what a check found. One that stops a night joins the chain at once, the others with what they let through:
    an ordinary night waits for the chain no more often than before."""
    row = {
        "workflow": workflow,
        "night": night,
        "check_name": verdict.check,
        "passed": verdict.passed,
        "words": jsonable(verdict.words),
        "judged": dict(verdict.judged),
        "run_id": run_id,
    }
    made = connection.execute(insert(night_verdicts).values(row).returning(night_verdicts)).one()
    if not verdict.passed:
        append(connection, "verdicts", workflow, [Fact.of("night_verdicts", made)])


def verdicts_of(workflow: str, night: str) -> Select[Any]:
    """A night's verdicts in the order in which they were recorded; of a check over the same tables the last."""
    verdicts = night_verdicts.c
    last = (
        select(night_verdicts)
        .ext(distinct_on(verdicts.check_name, verdicts.judged))
        .where(verdicts.workflow == workflow, verdicts.night == night)
        .order_by(verdicts.check_name, verdicts.judged, verdicts.id.desc())
        .subquery()
    )
    return select(last).order_by(last.c.id)


@dataclass(frozen=True)
class Clearance:
    """What lets an attempt at a night decide it, or release it."""

    workflow: str
    night: str
    step: Step
    attempt: int
    run_id: str
    basis: Basis


def clear(connection: Connection, clearance: Clearance) -> list[Fact]:
    """Lets a night be decided or released on a basis; the database refuses one on which a check has not passed.

    Returns:
        The facts for the audit chain, which the caller appends last: the clearance and the verdicts behind it.
    """
    workflow, night, basis = clearance.workflow, clearance.night, clearance.basis
    row = {
        "workflow": workflow,
        "night": night,
        "step": clearance.step,
        "attempt": clearance.attempt,
        "run_id": clearance.run_id,
        "judged": dict(basis.judged),
        "checks": list(basis.checks),
    }
    statement = insert(night_clearances).values(row).on_conflict_do_nothing().returning(night_clearances)
    made = connection.execute(statement).first()
    if made is None:
        return []
    verdicts = night_verdicts.c
    about = bindparam("used", dict(basis.judged), type_=JSONB).op("@>")(verdicts.judged)
    behind = (
        select(night_verdicts)
        .ext(distinct_on(verdicts.check_name))
        .where(verdicts.workflow == workflow, verdicts.night == night, about)
        .order_by(verdicts.check_name, verdicts.id.desc())
    )
    facts = [Fact.of("night_verdicts", verdict) for verdict in connection.execute(behind)]
    return [*facts, Fact.of("night_clearances", made)]
