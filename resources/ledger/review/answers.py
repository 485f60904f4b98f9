"""A person's answer, and a second person's word on it: each in one transaction with everything it leads to.

An answer closes its task, and with the same commit the case gets its next decision, its outcome and its actions, and
the audit chain a batch. Where a second person is needed it becomes a proposal instead; the approval then does the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, and_, select

from pipeline_project.domain.core.errors import AnswerRefused, StaleClaim
from pipeline_project.domain.review.answers import Answer, Answered, check, needs_second
from pipeline_project.domain.review.new_tasks import DeskRules
from pipeline_project.domain.review.tasks import Proposal, TaskClaim, TaskState
from resources.ledger.audit.chain import append
from resources.ledger.review import proposals, repeats
from resources.ledger.review.approvals import approved, proposed, sent_back
from resources.ledger.review.deciding import Superseded, as_recorded
from resources.ledger.review.settling import WeighedAnswer, lock_cluster, settled, weigh, write_answer
from resources.ledger.review.statements import ended, held, moved, stale, task_columns
from resources.ledger.tables.review import review_proposals, review_tasks
from resources.ledger.unit_of_work import LedgerStore

Result = TypeVar("Result")

_made = review_proposals.c


@dataclass(frozen=True)
class ReviewAnswers(LedgerStore):
    """What people say of cases; every method is one transaction.

    Every method raises DatabaseUnreachable when the database does not answer.
    """

    def answer(self, claim: TaskClaim, answer: Answer, rules: DeskRules) -> Answered:
        """Takes the answer of whoever holds a task: it decides, or waits for a second person (`Answered.proposal`).

        Raises:
            AnswerRefused: the workflow does not know it, or it cannot be carried out; the task stays in hand.
            StaleClaim: the lease has ended, the task moved on, or the case was decided elsewhere.
        """
        check(answer, rules.terms)
        try:
            return self._run(lambda connection: _answered(connection, claim, answer, rules))
        except Superseded as error:
            why = str(error)
            self._run(lambda connection: _fail(connection, claim.task, why))
            raise StaleClaim(why) from None

    def approve(
        self, proposal: int, proposal_hash: str, person: str, rules: DeskRules, note: str | None = None
    ) -> Answered:
        """Agrees to what was proposed; the decision is then the proposer's, with this person's approval.

        Args:
            proposal_hash: of what this person was shown.

        Raises:
            SecondPersonNeeded: the person proposed it, or the hash is another one's.
            StaleClaim: the proposal does not wait any more, or the case was decided elsewhere.
        """
        try:
            return self._run(lambda connection: approved(connection, proposal, proposal_hash, person, rules, note))
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
        self._run(lambda connection: sent_back(connection, proposal, proposal_hash, person, note))

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


# -- answering ---------------------------------------------------------------------------------------------------


def _answered(connection: Connection, claim: TaskClaim, answer: Answer, rules: DeskRules) -> Answered:
    mine, terms = held(claim), rules.terms
    lock_cluster(connection, claim.task)
    task = connection.execute(select(review_tasks).where(mine).with_for_update()).first()
    if task is None:
        raise stale(connection, claim.task, claim.person)
    if task.workflow != terms.workflow:
        raise AnswerRefused(f"task {task.id} is one of {task.workflow}, not of {terms.workflow}; open it again")
    as_recorded(connection, task)
    if task.kind == "repeat":
        return _answered_again(connection, mine, task, WeighedAnswer(claim.person, answer))
    given = weigh(connection, task, claim.person, answer, rules)
    if needs_second(answer.option, given.amount, given.earlier, terms):
        return proposed(connection, task, claim.token, given)
    moved(connection, mine, ended(TaskState.COMPLETE), "answer", claim.person)
    return settled(connection, task, given, rules)


def _answered_again(connection: Connection, mine: Any, task: Row[Any], given: WeighedAnswer) -> Answered:
    """A case shown a second time: the answer is kept, and decides nothing."""
    moved(connection, mine, ended(TaskState.COMPLETE), "answer", given.person)
    written = write_answer(connection, task, given)
    again = repeats.answered_again(connection, task.id, given.person, given.answer)
    append(connection, "answers", task.workflow, [written, *again])
    return Answered(task.id, None)


# -- cases decided elsewhere -------------------------------------------------------------------------------------


def _fail(connection: Connection, task_id: int, why: str) -> None:
    """Closes a task whose case does not wait for it any more."""
    open_one = and_(task_columns.id == task_id, task_columns.closed_at.is_(None))
    moved(connection, open_one, {**ended(TaskState.FAILED), "note": why}, "fail", None)


def _fail_proposed(connection: Connection, proposal: int, why: str) -> None:
    task = connection.scalar(select(_made.task_id).where(_made.id == proposal))
    if task is not None:
        _fail(connection, task, why)
