"""Decisions that need a second person: what is proposed, who may agree, and how a customer's amounts add up."""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import Connection, Row, Select, case, exists, func, select

from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.review.new_tasks import ReviewTerms
from pipeline_project.domain.review.tasks import Proposal
from resources.ledger.audit.rows import UNREADABLE
from resources.ledger.tables.review import review_answers, review_approvals, review_proposals, review_tasks
from resources.postgres.locks import SUBJECT

log = logging.getLogger("pipeline.review")

_tasks, _made, _given, _answers = review_tasks.c, review_proposals.c, review_approvals.c, review_answers.c


def lock_subject(connection: Connection, workflow: str, subject: str) -> None:
    """Makes everybody else who decides about this customer wait; what they decided is seen by the next statement."""
    SUBJECT.of(workflow=workflow, subject=subject).take(connection)


def earlier_amounts(connection: Connection, task: Row[Any], terms: ReviewTerms) -> float:
    """What people decided or proposed for the customer of a task in other tasks within `second_nights`, in money.

    Cases decided together with their cluster count too; what neither acts nor denies does not. Call it after
    `lock_subject`, in a statement of its own.
    """
    if task.subject is None:
        return 0.0
    around = terms.second_nights - 1
    weighty = [*terms.acts, *terms.denies]
    # an answer was taken, or a proposal of the task still waits, or its cluster was decided
    amount = case(
        (_answers.option.in_(weighty), func.coalesce(_answers.amount, 0.0)),
        (_answers.option.is_not(None), 0.0),
        (_made.amount.is_not(None), _made.amount),
        (_tasks.state == "complete", func.coalesce(_tasks.amount, 0.0)),
        else_=0.0,
    )
    query = (
        select(func.coalesce(func.sum(amount), 0.0))
        .select_from(review_tasks)
        .outerjoin(review_answers, _answers.task_id == _tasks.id)
        .outerjoin(review_proposals, _made.id == _tasks.proposal_id)
        .where(_tasks.workflow == task.workflow, _tasks.subject == task.subject, _tasks.id != task.id)
        .where(_tasks.kind != "repeat", _tasks.case_id != task.case_id)
        .where(_tasks.night.between(shifted(task.night, -around), shifted(task.night, around)))
    )
    return float(connection.scalar(query) or 0.0)


def proposals_query() -> Select[Any]:
    """Proposals with the word of the second person, where there is one."""
    return select(
        _made.id,
        _made.task_id.label("task"),
        *[
            _made[name]
            for name in (
                "workflow", "case_id", "proposer", "option", "label", "reason", "note", "amount", "total", "subject",
                "hash", "proposed_at",
            )
        ],
        _given.verdict,
        _given.approver,
        _given.approved_at,
    ).outerjoin_from(review_proposals, review_approvals, _given.proposal_id == _made.id)  # fmt: skip


def proposal_of(row: Row[Any]) -> Proposal:
    return Proposal(**row._mapping)


def waiting(connection: Connection, workflow: str | None = None, proposer: str | None = None) -> list[Proposal]:
    """Proposals that wait for a second person, the oldest first."""
    query = _waiting(proposals_query())
    if workflow is not None:
        query = query.where(_made.workflow == workflow)
    if proposer is not None:
        query = query.where(_made.proposer == proposer)
    try:
        return [proposal_of(row) for row in connection.execute(query.order_by(_made.id))]
    except UNREADABLE:
        numbers = connection.scalars(query.with_only_columns(_made.id).order_by(_made.id)).all()
        return [proposal for number in numbers for proposal in _readable(connection, number)]


def _readable(connection: Connection, number: int) -> list[Proposal]:
    """A proposal; nothing where its row cannot be read, which must not hide the others."""
    try:
        return [proposal_of(row) for row in connection.execute(proposals_query().where(_made.id == number))]
    except UNREADABLE:
        # its task waits on, and is told as past its due time when nobody speaks
        log.warning("proposal %s cannot be read: run `pipeline audit verify`", number)
        return []


def waits_for(connection: Connection, proposal: int | None, person: str) -> bool:
    """Whether a proposal waits for a second person and this may be the one."""
    if proposal is None:
        return False
    query = select(_made.id).where(_made.id == proposal, func.lower(_made.proposer) != person.lower())
    return connection.scalar(query.where(~_answered())) is not None


def _waiting(query: Select[Any]) -> Select[Any]:
    # from the few tasks that wait, not from every proposal there ever was
    return query.where(
        _made.id.in_(select(_tasks.proposal_id).where(_tasks.state == "in_progress", _tasks.proposal_id.is_not(None)))
    )


def _answered() -> Any:
    return exists().where(_given.proposal_id == _made.id)
