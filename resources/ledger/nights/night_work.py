"""What is committed together with a night's decisions, and what lets it out: each in its caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from pipeline_project.domain.core.errors import NightUndecided
from pipeline_project.domain.deciding.clearance import Basis
from pipeline_project.domain.review.night_work import NightWork
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.decisions import DecisionRow
from resources.ledger.nights.clearing import Clearance, clear
from resources.ledger.outbox.outbox import enqueue, release_night
from resources.ledger.review.tasks import open_tasks
from resources.ledger.tables import nights as tables


def commit_work(
    connection: Connection,
    workflow: str,
    night: str,
    new: Sequence[DecisionRow],
    work: NightWork | None,
    cleared: Sequence[Fact],
) -> None:
    """Tasks, actions and the audit row of decisions that were just added; the chain comes last, because it is locked.

    Args:
        new: rows of `decisions`, ordered by case.
        work: what all decisions of the night ask for.
        cleared: the facts on which the night may be decided, and that it was.
    """
    cases = [row.case_id for row in new]
    facts = [*cleared, *(Fact("decisions", vars(row)) for row in new)]
    if new and work is not None:
        facts += enqueue(connection, work.actions_of(cases), work.acting).facts
        facts += open_tasks(connection, workflow, night, work.tasks_of(cases), work.review)
    append(connection, "decisions" if new else "clearances", workflow, facts)


def release(connection: Connection, workflow: str, night: str, run_id: str, basis: Basis) -> int:
    """Lets the actions of a decided night out.

    Raises:
        NightUndecided: the night was never decided whole.
    """
    attempts = tables.attempts.c
    query = select(attempts.attempt).where(
        attempts.workflow == workflow, attempts.night == night, attempts.decided_at.is_not(None)
    )
    attempt = connection.scalar(query.with_for_update())
    if attempt is None:
        raise NightUndecided(
            f"night {night} of {workflow} was never decided whole, so nothing of it may leave; run "
            f"pipeline nights {workflow} --from {night} --to {night}"
        )
    cleared = clear(connection, Clearance(workflow, night, "release", attempt, run_id, basis))
    return release_night(connection, workflow, night, attempt, run_id, cleared)
