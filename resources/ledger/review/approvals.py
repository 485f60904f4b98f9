"""A second person's word: an answer that waits for it, the yes that decides, the no that opens the task again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, insert, select

from pipeline_project.domain.core.errors import AnswerRefused, SecondPersonNeeded, StaleClaim
from pipeline_project.domain.review.answers import Answer, Answered, check, proposal_hash
from pipeline_project.domain.review.new_tasks import DeskRules
from pipeline_project.domain.review.tasks import TaskState
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.audit.rows import UNREADABLE, unlike
from resources.ledger.review.deciding import planned
from resources.ledger.review.settling import Approval, WeighedAnswer, fact, lock_cluster, settled
from resources.ledger.review.statements import NOBODY, back_in_queue, ended, moved, one, task_columns
from resources.ledger.tables.review import review_approvals, review_proposals

_made = review_proposals.c


def proposed(connection: Connection, task: Row[Any], token: UUID, given: WeighedAnswer) -> Answered:
    """The task waits, out of everybody's hand, until a second person has spoken."""
    row = {
        "task_id": task.id,
        "workflow": task.workflow,
        "case_id": task.case_id,
        "proposer": given.person,
        **vars(given.answer),
        "amount": given.amount,
        "total": (given.amount or 0.0) + given.earlier,
        "subject": task.subject,
        "claim": token,
        "hash": proposal_hash(task._asdict(), given.answer, given.person, given.amount, token),
    }
    made = connection.execute(insert(review_proposals).values(row).returning(review_proposals)).one()
    waits = {**NOBODY, "version": task_columns.version + 1, "proposal_id": made.id}
    moved(connection, task_columns.id == task.id, waits, "propose", given.person)
    append(connection, "proposals", task.workflow, [fact("review_proposals", made)])
    return Answered(task.id, None, made.id, made.hash)


def approved(
    connection: Connection, proposal: int, shown_hash: str, person: str, rules: DeskRules, note: str | None
) -> Answered:
    """The proposal is decided: the answer is its proposer's."""
    made, task = _waiting(connection, proposal)
    if made.workflow != rules.terms.workflow:
        raise AnswerRefused(
            f"proposal {proposal} is one of {made.workflow}, not of {rules.terms.workflow}; open it again"
        )
    answer = Answer(made.option, made.label, made.reason, made.note)
    check(answer, rules.terms)
    # the row of a task may change: what is approved is what was seen, or nothing
    if proposal_hash(task._asdict(), answer, made.proposer, made.amount, made.claim) != made.hash:
        raise SecondPersonNeeded("the case is not what it was when this was proposed; send it back")
    (other,) = unlike(connection, review_proposals, [made._asdict()])
    if other is None or other:
        raise SecondPersonNeeded(
            "this is not what was proposed, as the audit chain has it; send it back and run `pipeline audit verify`"
        )
    given = WeighedAnswer(made.proposer, answer, planned(task, answer.option, rules.actions), made.amount)
    approval = Approval(made.id, _verdict(connection, made, person, "approve", shown_hash, note))
    moved(connection, task_columns.id == task.id, ended(TaskState.COMPLETE), "approve", person)
    return settled(connection, task, given, rules, approval)


def sent_back(connection: Connection, proposal: int, shown_hash: str, person: str, note: str | None) -> None:
    """The task is anybody's again."""
    made, task = _waiting(connection, proposal)
    refusal = _verdict(connection, made, person, "send_back", shown_hash, note)
    values = {**back_in_queue(), "assigned_to": None}
    moved(connection, task_columns.id == task.id, values, "send_back", person)
    append(connection, "approvals", made.workflow, [refusal])


def _waiting(connection: Connection, proposal: int) -> tuple[Row[Any], Row[Any]]:
    """A proposal that waits, and its task, locked. Who may speak, and about what, are rules of the database."""
    try:
        made = connection.execute(select(review_proposals).where(_made.id == proposal)).first()
    except UNREADABLE:
        raise StaleClaim(f"proposal {proposal} cannot be read; have `pipeline audit verify` run") from None
    if made is None:
        raise StaleClaim(f"there is no proposal {proposal}; open the queue")
    lock_cluster(connection, made.task_id)
    task = one(connection, made.task_id, lock=True)
    if task is None or task.proposal_id != proposal:
        raise StaleClaim(f"proposal {proposal} has its answer already; open the queue")
    return made, task


def _verdict(
    connection: Connection, made: Row[Any], person: str, verdict: str, shown_hash: str, note: str | None
) -> Fact:
    row = {
        "proposal_id": made.id,
        "proposal_hash": shown_hash,
        "proposer": made.proposer,
        "approver": person,
        "verdict": verdict,
        "note": note,
    }
    given = connection.execute(insert(review_approvals).values(row).returning(review_approvals)).one()
    return fact("review_approvals", given)
