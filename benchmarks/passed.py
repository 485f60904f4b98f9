"""Nights whose checks have passed, made up: the ledger decides and releases nothing without their verdicts."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, select

from pipeline_project.domain.deciding.clearance import ALWAYS, CODE, SPEC, Basis, CheckVerdict, Step
from pipeline_project.running_code import running_code
from resources.ledger.audit.facts import Fact
from resources.ledger.nights.clearing import Clearance, add_verdict, clear
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.tables.clearing import night_verdicts
from resources.postgres.databases import engine_of

_TABLES = {SPEC: "spec", CODE: running_code(), "cases": "first"}
#: What a made-up night rests on.
BASES: Mapping[Step, Basis] = {
    "decisions": Basis(_TABLES, ALWAYS["decisions"]),
    "release": Basis({**_TABLES, "decisions": "first"}, ALWAYS["release"]),
}


def leave_passed(connection: Connection, workflow: str, night: str) -> None:
    """Every blocking check of a night has passed; left once, however often a scene is played."""
    known = night_verdicts.c
    here = select(known.id).where(known.workflow == workflow, known.night == night)
    if connection.scalar(here.limit(1)) is not None:
        return
    for check in ALWAYS["release"]:
        step: Step = "release" if check == "decisions_contract" else "decisions"
        add_verdict(connection, workflow, night, CheckVerdict(check, True, "it holds", BASES[step].judged), "run")


def passed(ledger: PostgresLedger, workflow: str, night: str, step: Step = "decisions") -> Basis:
    """The basis of a night whose checks have passed, as `record_decisions` and `release` ask for it."""
    with engine_of(ledger.url).begin() as connection:
        leave_passed(connection, workflow, night)
    return BASES[step]


def let_through(
    connection: Connection, workflow: str, night: str, step: Step, attempt: int = 1, run_id: str = "run"
) -> list[Fact]:
    """A night whose checks have passed may be decided, or released; the facts of it for the audit chain.

    A release needs that the night was decided: it is let through to that as well.
    """
    leave_passed(connection, workflow, night)
    steps: tuple[Step, ...] = ("decisions",) if step == "decisions" else ("decisions", "release")
    return [
        fact
        for one in steps
        for fact in clear(connection, Clearance(workflow, night, one, attempt, run_id, BASES[one]))
    ]
