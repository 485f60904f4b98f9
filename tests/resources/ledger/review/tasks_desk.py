"""A night with open tasks and people who answer them, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, text

from benchmarks.passed import passed
from pipeline_project.domain.core.people import Person, PersonRole
from pipeline_project.domain.deciding.recorded import NewDecision
from pipeline_project.domain.delivery.planned_actions import ActionKind, ActionTerms
from pipeline_project.domain.review.answers import Answer, Answered
from pipeline_project.domain.review.due import Ticked
from pipeline_project.domain.review.new_tasks import DeskRules, NewTask, ReviewTerms
from pipeline_project.domain.review.tasks import Task, TaskClaim
from resources.ledger.audit.chain import append
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.review.answers import ReviewAnswers
from resources.ledger.review.clock import tick
from resources.ledger.review.tasks import ReviewTasks, open_tasks
from resources.postgres.databases import engine_of
from tests.domain.review.review_terms import FLOW, REFUND, TERMS, somebody

NIGHT = "2026-03-04"

ACTING = ActionTerms(
    workflow=FLOW,
    tenant="default",
    live=True,
    spend_cap=None,
    currency="EUR",
    kinds={"notice": ActionKind("notice", "shop"), "refund": ActionKind("refund", "shop", money="price", final=True)},
    by_option={"refund": ("notice", "refund")},
)


ANNA, BERT = somebody("anna"), somebody("bert")
CLEO = somebody("cleo", PersonRole.APPROVER)


def new_task(case: str, amount: float | None = 40.0, **changed: Any) -> NewTask:
    shown = {"fields": {"price": amount}, "sealed": {"email": f"sealed:{case}"}, "text": []}
    return replace(NewTask(case, "doubt", 3.0, amount, 0.4, f"subject-of-{case}", None, shown), **changed)


@dataclass
class Desk:
    """Opens tasks, answers them, moves their times, looks at the ledger."""

    ledger: PostgresLedger
    terms: ReviewTerms = TERMS
    acting: ActionTerms = ACTING
    tasks: ReviewTasks = field(init=False)
    answers: ReviewAnswers = field(init=False)

    def __post_init__(self) -> None:
        self.tasks, self.answers = ReviewTasks(self.ledger.url), ReviewAnswers(self.ledger.url)
        self.ledger.record_workflow(FLOW, "spec", {"name": FLOW})

    def ask(self, *tasks: NewTask, night: str = NIGHT) -> list[int]:
        """Decides that people are asked, and opens the tasks; their ids in the order given."""
        attempt = self.ledger.begin_attempt(FLOW, night, f"run-{night}")
        asked: dict[str, Any] = {"spec_hash": "spec", "data_versions": {"cases": 1}, "propensity": 0.25}
        rows = [NewDecision(t.case_id, "ask_person", t.why, amount=t.amount, **asked) for t in tasks]
        self.ledger.record_decisions(FLOW, night, attempt, rows, basis=passed(self.ledger, FLOW, night))
        self.open(*tasks, night=night)
        found = self.rows("SELECT id, case_id FROM review_tasks")
        return [row["id"] for t in tasks for row in found if row["case_id"] == t.case_id]

    def open(self, *tasks: NewTask, night: str = NIGHT) -> int:
        with engine_of(self.ledger.url).begin() as connection:
            facts = open_tasks(connection, FLOW, night, tasks, self.terms)
            append(connection, "decisions", FLOW, facts)
            return len(facts)

    @contextmanager
    def as_owner(self) -> Iterator[Connection]:
        """A transaction in which the rules and triggers of the tables sleep, as for whoever owns the database."""
        with engine_of(self.ledger.url).begin() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            yield connection

    def rows(self, question: str, **given: Any) -> list[Mapping[str, Any]]:
        with engine_of(self.ledger.url).connect() as connection:
            return [dict(row._mapping) for row in connection.execute(text(question), given)]

    def column(self, question: str, **given: Any) -> list[Any]:
        return [next(iter(row.values())) for row in self.rows(question, **given)]

    def write(self, statement: str, **given: Any) -> None:
        with engine_of(self.ledger.url).begin() as connection:
            connection.execute(text(statement), given)

    def take(self, task: int, person: Person = ANNA) -> Task:
        return self.tasks.claim(task, person)

    def say(self, task: Task, person: Person = ANNA, answer: Answer = REFUND, **more: Any) -> Answered:
        assert task.token is not None
        claim = TaskClaim(task.id, task.version, task.token, person.name)
        return self.answers.answer(claim, answer, DeskRules(self.terms, self.acting, **more))

    def decide(self, task: int, person: Person = ANNA, answer: Answer = REFUND) -> Answered:
        return self.say(self.take(task, person), person, answer)

    def approve(self, proposed: Answered, person: Person = CLEO, hash: str | None = None) -> Answered:
        assert proposed.proposal is not None and proposed.hash is not None
        return self.answers.approve(
            proposed.proposal, hash or proposed.hash, person.name, DeskRules(self.terms, self.acting)
        )

    def end_lease(self, task: int) -> None:
        self.write("UPDATE review_tasks SET lease_until = now() - interval '1 second' WHERE id = :id", id=task)

    def hours_left(self, task: int, hours: float) -> None:
        """Moves a task's due time, as if it had been opened earlier."""
        moved = "UPDATE review_tasks SET due_at = now() + make_interval(secs => :left * 3600) WHERE id = :id"
        self.write(moved, id=task, left=hours)

    def tick(self, **more: Any) -> Ticked:
        return tick(self.ledger.url, FLOW, self.terms, self.acting, **more)

    def state(self, task: int) -> str:
        return str(self.column("SELECT state FROM review_tasks WHERE id = :id", id=task)[0])
