"""What an answer is worth, and what it leads to: the end of its transaction, the same with and without a proposal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from pipeline_project.domain.delivery.planned_actions import PlannedAction
from pipeline_project.domain.review.answers import Answer, Answered, answer_hash, at_stake
from pipeline_project.domain.review.new_tasks import DeskRules
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.outbox.outbox import enqueue
from resources.ledger.review import proposals, repeats, spreading
from resources.ledger.review.deciding import decide, learn, payout, planned
from resources.ledger.review.statements import task_columns
from resources.ledger.tables.review import review_answers


@dataclass(frozen=True)
class WeighedAnswer:
    """A person's answer, and what it would lead to.

    Attributes:
        amount: money that it decides about, or None. earlier: that of the customer's other cases.
    """

    person: str
    answer: Answer
    actions: Sequence[PlannedAction] = ()
    amount: float | None = None
    earlier: float = 0.0


@dataclass(frozen=True)
class Approval:
    """A second person's yes to a proposal, as it was just written."""

    proposal: int
    fact: Fact


def lock_cluster(connection: Connection, task_id: int) -> None:
    """First of all, so that two answers to one blind sample never wait for what the other holds."""
    if connection.scalar(select(task_columns.kind).where(task_columns.id == task_id)) == "sample":
        spreading.lock_cluster(connection, task_id)


def weigh(connection: Connection, task: Row[Any], person: str, answer: Answer, rules: DeskRules) -> WeighedAnswer:
    """Counts the money, the customer locked from then on, so that two answers at once cannot both slip below.

    Raises:
        AnswerRefused: the option cannot be carried out for this case.
    """
    plan = planned(task, answer.option, rules.actions)
    amount = at_stake(task.amount, payout(plan))
    if rules.terms.second_above is None or task.subject is None:
        return WeighedAnswer(person, answer, plan, amount)
    proposals.lock_subject(connection, task.workflow, task.subject)
    return WeighedAnswer(person, answer, plan, amount, proposals.earlier_amounts(connection, task, rules.terms))


def settled(
    connection: Connection, task: Row[Any], given: WeighedAnswer, rules: DeskRules, approval: Approval | None = None
) -> Answered:
    """The decision, the outcome, the actions, what they mean for the task's cluster, and last the audit chain."""
    answer, person = given.answer, given.person
    explanation = rules.terms.reasons[answer.reason]
    decided = decide(connection, task, answer.option, answer.reason, f"person:{person}", explanation)
    outcome = learn(connection, task, answer.label)
    proposal = None if approval is None else approval.proposal
    written = write_answer(connection, task, given, decided.epoch, proposal)
    facts = [*([] if approval is None else [approval.fact]), written, decided.fact, outcome]
    if task.kind == "sample":
        facts += spreading.after_answer(connection, task.id, person, answer, rules)
    facts += repeats.ask_again(connection, task.id, person, answer, rules)
    added = enqueue(connection, given.actions, rules.actions)
    facts += added.facts
    # last: it locks the audit chain, for which everybody waits
    append(connection, "answers" if approval is None else "approvals", task.workflow, facts)
    return Answered(task.id, decided.epoch, actions=added.new)


def write_answer(
    connection: Connection, task: Row[Any], given: WeighedAnswer, epoch: int | None = None, proposal: int | None = None
) -> Fact:
    """Keeps an answer, with the epoch of the decision that it made; returns it for the audit chain."""
    row = {
        "task_id": task.id,
        "workflow": task.workflow,
        "case_id": task.case_id,
        "decided_epoch": epoch,
        "person": given.person,
        **vars(given.answer),
        "amount": given.amount,
        "subject": task.subject,
        "proposal_id": proposal,
        "proposal_verdict": None if proposal is None else "approve",
        "hash": answer_hash(task._asdict(), given.answer, given.person, given.amount),
    }
    return fact(
        "review_answers", connection.execute(insert(review_answers).values(row).returning(review_answers)).one()
    )


def fact(table: str, row: Row[Any]) -> Fact:
    """A row for the audit chain, without its note: free text may name people, and the row's hash covers it."""
    return Fact(table, {name: value for name, value in row._asdict().items() if name != "note"})
