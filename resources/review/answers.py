"""A person's answer, and a second person's word on it: each in one transaction with everything it leads to.

An answer closes its task, and with the same commit the case gets its next decision, its outcome and its actions, and
the audit chain a batch. Where a second person is needed it becomes a proposal instead; the approval then does the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection, Row, and_, insert, select

from pipeline_project.domain.acting.model import ActionTerms, PlannedAction
from pipeline_project.domain.errors import AnswerRefused, SecondPersonNeeded, StaleClaim
from pipeline_project.domain.reviewing import answers as rules
from pipeline_project.domain.reviewing.answers import Answer, Answered
from pipeline_project.domain.reviewing.model import ReviewTerms
from pipeline_project.domain.reviewing.tasks import Proposal, TaskState
from resources.actions.outbox import enqueue
from resources.audit.chain import append
from resources.ledger.review_tables import review_answers, review_approvals, review_proposals, review_tasks
from resources.postgres import pooled_engine
from resources.review import proposals, repeats, spreading
from resources.review.deciding import Superseded, decide, learn, payout, planned
from resources.review.statements import NOBODY, back_in_queue, ended, held, known, moved, one, stale
from resources.review.transactions import Work, in_transaction

Result = TypeVar("Result")
Fact = Mapping[str, Any]

_made = review_proposals.c


@dataclass(frozen=True)
class ReviewAnswers:
    """What people say of cases; every method is one transaction.

    Every method raises DatabaseUnreachable when the database does not answer.
    """

    url: str = field(repr=False)
    connections: int = 8

    def _run(self, work: Work[Result]) -> Result:
        return in_transaction(pooled_engine(self.url, self.connections), work)

    def answer(
        self,
        task_id: int,
        version: int,
        token: UUID,
        person: str,
        answer: Answer,
        terms: ReviewTerms,
        actions: ActionTerms,
        others: Collection[str] = (),
    ) -> Answered:
        """Takes the answer of whoever holds a task: it decides, or waits for a second person (`Answered.proposal`).

        Args:
            version, token: of the claim.
            others: names of the people who may answer tasks of this workflow, for choosing who is asked again.

        Raises:
            AnswerRefused: the workflow does not know it, or it cannot be carried out; the task stays in hand.
            StaleClaim: the lease has ended, the task moved on, or the case was decided elsewhere.
        """
        rules.check(answer, terms)
        claim = _Claim(task_id, version, token, person)
        try:
            return self._run(lambda connection: _answered(connection, claim, answer, terms, actions, others))
        except Superseded as error:
            why = str(error)
            self._run(lambda connection: _fail(connection, task_id, why))
            raise StaleClaim(why) from None

    def approve(
        self,
        proposal: int,
        proposal_hash: str,
        person: str,
        terms: ReviewTerms,
        actions: ActionTerms,
        note: str | None = None,
        others: Collection[str] = (),
    ) -> Answered:
        """Agrees to what was proposed; the decision is then the proposer's, with this person's approval.

        Args:
            proposal_hash: of what this person was shown.

        Raises:
            SecondPersonNeeded: the person proposed it, or the hash is another one's.
            StaleClaim: the proposal does not wait any more, or the case was decided elsewhere.
        """
        try:
            return self._run(
                lambda connection: _approved(connection, proposal, proposal_hash, person, note, terms, actions, others)
            )
        except Superseded as error:
            why = str(error)
            self._run(lambda connection: _fail_proposed(connection, proposal, why))
            raise StaleClaim(why) from None

    def send_back(self, proposal: int, proposal_hash: str, person: str, note: str | None = None) -> None:
        """Refuses what was proposed: the task goes back into the queue, for anybody.

        Raises:
            SecondPersonNeeded: the person proposed it, or the hash is another one's.
            StaleClaim: the proposal does not wait any more.
        """
        self._run(lambda connection: _sent_back(connection, proposal, proposal_hash, person, note))

    def waiting(self, workflow: str | None = None) -> list[Proposal]:
        """Proposals that wait for a second person, the oldest first."""
        return self._run(lambda connection: proposals.waiting(connection, workflow))

    def proposal(self, proposal: int) -> Proposal | None:
        """One proposal with the second person's word, or None."""
        query = proposals.proposals_query().where(_made.id == proposal)

        def work(connection: Connection) -> Proposal | None:
            row = connection.execute(query).first()
            return None if row is None else proposals.proposal_of(row)

        return self._run(work)

    def proposals_of(self, task_id: int) -> list[Proposal]:
        """Everything that was proposed for a task, the first first."""
        query = proposals.proposals_query().where(_made.task_id == task_id).order_by(_made.id)
        return self._run(lambda connection: [proposals.proposal_of(row) for row in connection.execute(query)])


@dataclass(frozen=True)
class _Claim:
    task: int
    version: int
    token: UUID
    person: str


@dataclass(frozen=True)
class _Weighed:
    """What an answer would lead to: its actions, the money it decides about, and that of the customer's other cases."""

    actions: list[PlannedAction]
    amount: float | None
    earlier: float


# -- answering ---------------------------------------------------------------------------------------------------


def _answered(
    connection: Connection,
    claim: _Claim,
    answer: Answer,
    terms: ReviewTerms,
    actions: ActionTerms,
    others: Collection[str],
) -> Answered:
    mine = held(claim.task, claim.version, claim.token, claim.person)
    _lock_cluster(connection, claim.task)
    task = connection.execute(select(review_tasks).where(mine).with_for_update()).first()
    if task is None:
        raise stale(connection, claim.task, claim.person)
    if task.workflow != terms.workflow:
        raise AnswerRefused(f"task {task.id} is one of {task.workflow}, not of {terms.workflow}; open it again")
    if task.kind == "repeat":
        return _answered_again(connection, mine, task, claim.person, answer)
    weighed = _weighed(connection, task, answer, terms, actions)
    if rules.needs_second(answer.option, weighed.amount, weighed.earlier, terms):
        return _proposed(connection, claim, task, answer, weighed)
    moved(connection, mine, ended(TaskState.COMPLETE), "answer", claim.person)
    return _settled(connection, task, answer, claim.person, weighed, None, [], terms, actions, others)


def _lock_cluster(connection: Connection, task_id: int) -> None:
    """First of all, so that two answers to one blind sample never wait for what the other holds."""
    if connection.scalar(select(known.kind).where(known.id == task_id)) == "sample":
        spreading.lock_cluster(connection, task_id)


def _weighed(
    connection: Connection, task: Row[Any], answer: Answer, terms: ReviewTerms, actions: ActionTerms
) -> _Weighed:
    plan = planned(task, answer.option, actions)
    amount = rules.at_stake(task.amount, payout(plan))
    if terms.second_above is None or task.subject is None:
        return _Weighed(plan, amount, 0.0)
    proposals.lock_subject(connection, task.workflow, task.subject)
    return _Weighed(plan, amount, proposals.earlier_amounts(connection, task, terms))


def _settled(
    connection: Connection,
    task: Row[Any],
    answer: Answer,
    person: str,
    weighed: _Weighed,
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
    written = _written(connection, task, answer, person, weighed.amount, decided.epoch, proposal)
    facts = [*before, written, decided.fact, outcome]
    if task.kind == "sample":
        facts += spreading.after_answer(connection, task.id, person, answer.option, answer.label, terms, actions)
    facts += repeats.ask_again(connection, task.id, person, answer.option, answer.label, terms, others)
    # these two lock the audit chain, for which everybody waits
    added = enqueue(connection, weighed.actions, actions)
    append(connection, "answers" if proposal is None else "approvals", task.workflow, facts)
    return Answered(task.id, decided.epoch, actions=added.new)


def _answered_again(connection: Connection, mine: Any, task: Row[Any], person: str, answer: Answer) -> Answered:
    """A case shown a second time: the answer is kept, and decides nothing."""
    moved(connection, mine, ended(TaskState.COMPLETE), "answer", person)
    written = _written(connection, task, answer, person, None, None, None)
    again = repeats.answered_again(connection, task.id, person, answer.option, answer.label)
    append(connection, "answers", task.workflow, [written, *again])
    return Answered(task.id, None)


def _written(
    connection: Connection,
    task: Row[Any],
    answer: Answer,
    person: str,
    amount: float | None,
    epoch: int | None,
    proposal: int | None,
) -> Fact:
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
    return _fact(
        "review_answers", connection.execute(insert(review_answers).values(row).returning(review_answers)).one()
    )


def _fact(table: str, row: Row[Any]) -> Fact:
    """A row for the audit chain, without its note: free text may name people, and the row's hash covers it."""
    return {"table": table, **{name: value for name, value in row._mapping.items() if name != "note"}}


# -- four eyes ---------------------------------------------------------------------------------------------------


def _proposed(connection: Connection, claim: _Claim, task: Row[Any], answer: Answer, weighed: _Weighed) -> Answered:
    row = {
        "task_id": task.id,
        "workflow": task.workflow,
        "case_id": task.case_id,
        "proposer": claim.person,
        **vars(answer),
        "amount": weighed.amount,
        "total": (weighed.amount or 0.0) + weighed.earlier,
        "subject": task.subject,
        "claim": claim.token,
        "hash": rules.proposal_hash(dict(task._mapping), answer, claim.person, weighed.amount, claim.token),
    }
    made = connection.execute(insert(review_proposals).values(row).returning(review_proposals)).one()
    waits = {**NOBODY, "version": known.version + 1, "proposal_id": made.id}
    moved(connection, known.id == task.id, waits, "propose", claim.person)
    append(connection, "proposals", task.workflow, [_fact("review_proposals", made)])
    return Answered(task.id, None, made.id, made.hash)


def _approved(
    connection: Connection,
    proposal: int,
    proposal_hash: str,
    person: str,
    note: str | None,
    terms: ReviewTerms,
    actions: ActionTerms,
    others: Collection[str],
) -> Answered:
    made, task = _waiting(connection, proposal, proposal_hash, person)
    answer = Answer(made.option, made.label, made.reason, made.note)
    rules.check(answer, terms)
    # the row of a task may change: what is approved is what was seen, or nothing
    if rules.proposal_hash(dict(task._mapping), answer, made.proposer, made.amount, made.claim) != made.hash:
        raise SecondPersonNeeded("the case is not what it was when this was proposed; send it back")
    weighed = _Weighed(planned(task, answer.option, actions), made.amount, 0.0)
    approval = _verdict(connection, made, person, "approve", proposal_hash, note)
    moved(connection, known.id == task.id, ended(TaskState.COMPLETE), "approve", person)
    return _settled(connection, task, answer, made.proposer, weighed, made.id, [approval], terms, actions, others)


def _sent_back(connection: Connection, proposal: int, proposal_hash: str, person: str, note: str | None) -> None:
    made, task = _waiting(connection, proposal, proposal_hash, person)
    refusal = _verdict(connection, made, person, "send_back", proposal_hash, note)
    values = {**back_in_queue(), "assigned_to": None}
    moved(connection, known.id == task.id, values, "send_back", person)
    append(connection, "approvals", made.workflow, [refusal])


def _waiting(connection: Connection, proposal: int, proposal_hash: str, person: str) -> tuple[Row[Any], Row[Any]]:
    """A proposal that waits for this person's word, and its task, locked."""
    made = connection.execute(select(review_proposals).where(_made.id == proposal)).first()
    if made is None:
        raise StaleClaim(f"there is no proposal {proposal}; open the queue")
    _lock_cluster(connection, made.task_id)
    task = one(connection, made.task_id, lock=True)
    if task is None or task.proposal_id != proposal:
        raise StaleClaim(f"proposal {proposal} has its answer already; open the queue")
    if made.hash != proposal_hash:
        raise SecondPersonNeeded("this is not what was proposed; open the proposal again and read it")
    if made.proposer.lower() == person.lower():
        raise SecondPersonNeeded("whoever proposed a decision cannot approve it; ask another approver")
    return made, task


def _verdict(
    connection: Connection, made: Row[Any], person: str, verdict: str, proposal_hash: str, note: str | None
) -> Fact:
    row = {
        "proposal_id": made.id,
        "proposal_hash": proposal_hash,
        "proposer": made.proposer,
        "approver": person,
        "verdict": verdict,
        "note": note,
    }
    given = connection.execute(insert(review_approvals).values(row).returning(review_approvals)).one()
    return _fact("review_approvals", given)


# -- cases decided elsewhere -------------------------------------------------------------------------------------


def _fail(connection: Connection, task_id: int, why: str) -> None:
    """Closes a task whose case does not wait for it any more."""
    open_one = and_(known.id == task_id, known.closed_at.is_(None))
    moved(connection, open_one, {**ended(TaskState.FAILED), "note": why}, "fail", None)


def _fail_proposed(connection: Connection, proposal: int, why: str) -> None:
    task = connection.scalar(select(_made.task_id).where(_made.id == proposal))
    if task is not None:
        _fail(connection, task, why)
