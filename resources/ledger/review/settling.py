"""What an answer is worth, and what it leads to: the end of its transaction, the same with and without a proposal."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from pipeline_project.domain.delivery.planned_actions import ActionTerms, PlannedAction
from pipeline_project.domain.review import answers as rules
from pipeline_project.domain.review.answers import Answer, Answered
from pipeline_project.domain.review.new_tasks import ReviewTerms
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.outbox.outbox import enqueue
from resources.ledger.review import proposals, repeats, spreading
from resources.ledger.review.deciding import decide, learn, payout, planned
from resources.ledger.review.statements import known
from resources.ledger.tables.review import review_answers


@dataclass(frozen=True)
class WeighedAnswer:
    """What an answer would lead to: its actions, the money it decides about, and that of the customer's other cases."""

    actions: list[PlannedAction]
    amount: float | None
    earlier: float


def lock_cluster(connection: Connection, task_id: int) -> None:
    """First of all, so that two answers to one blind sample never wait for what the other holds."""
    if connection.scalar(select(known.kind).where(known.id == task_id)) == "sample":
        spreading.lock_cluster(connection, task_id)


def weigh(
    connection: Connection, task: Row[Any], answer: Answer, terms: ReviewTerms, actions: ActionTerms
) -> WeighedAnswer:
    """Counts the money, the customer locked from then on, so that two answers at once cannot both slip below.

    Raises:
        AnswerRefused: the option cannot be carried out for this case.
    """
    plan = planned(task, answer.option, actions)
    amount = rules.at_stake(task.amount, payout(plan))
    if terms.second_above is None or task.subject is None:
        return WeighedAnswer(plan, amount, 0.0)
    proposals.lock_subject(connection, task.workflow, task.subject)
    return WeighedAnswer(plan, amount, proposals.earlier_amounts(connection, task, terms))


def settled(
    connection: Connection,
    task: Row[Any],
    answer: Answer,
    person: str,
    weighed: WeighedAnswer,
    proposal: int | None,
    before: list[Fact],
    terms: ReviewTerms,
    actions: ActionTerms,
    others: Collection[str],
) -> Answered:
    """The decision, the outcome, the actions, what they mean for the task's cluster, and last the audit chain."""
    said = terms.reasons[answer.reason]
    decided = decide(connection, task, answer.option, answer.reason, f"person:{person}", said)
    outcome = learn(connection, task, answer.label)
    said_row = write_answer(connection, task, answer, person, weighed.amount, decided.epoch, proposal)
    facts = [*before, said_row, decided.fact, outcome]
    if task.kind == "sample":
        facts += spreading.after_answer(connection, task.id, person, answer.option, answer.label, terms, actions)
    facts += repeats.ask_again(connection, task.id, person, answer.option, answer.label, terms, others)
    added = enqueue(connection, weighed.actions, actions)
    facts += added.facts
    # last: it locks the audit chain, for which everybody waits
    append(connection, "answers" if proposal is None else "approvals", task.workflow, facts)
    return Answered(task.id, decided.epoch, actions=added.new)


def write_answer(
    connection: Connection,
    task: Row[Any],
    answer: Answer,
    person: str,
    amount: float | None,
    epoch: int | None,
    proposal: int | None,
) -> Fact:
    """Keeps an answer; returns it for the audit chain."""
    row = {
        "task_id": task.id,
        "workflow": task.workflow,
        "case_id": task.case_id,
        "decided_epoch": epoch,
        "person": person,
        **vars(answer),
        "amount": amount,
        "subject": task.subject,
        "proposal_id": proposal,
        "proposal_verdict": None if proposal is None else "approve",
        "hash": rules.answer_hash(dict(task._mapping), answer, person, amount),
    }
    return fact(
        "review_answers", connection.execute(insert(review_answers).values(row).returning(review_answers)).one()
    )


def fact(table: str, row: Row[Any]) -> Fact:
    """A row for the audit chain, without its note: free text may name people, and the row's hash covers it."""
    return Fact(table, {name: value for name, value in row._asdict().items() if name != "note"})
