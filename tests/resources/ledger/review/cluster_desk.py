"""A night whose doubtful cases lie in clusters, and people who answer them: what the tests of clusters stand on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import text

from benchmarks.passed import passed
from pipeline_project.domain.core.people import Person, PersonRole
from pipeline_project.domain.deciding.recorded import NewDecision
from pipeline_project.domain.delivery.planned_actions import ActionKind, ActionTerms
from pipeline_project.domain.review.answers import Answer, Answered
from pipeline_project.domain.review.cluster_reviews import ClusterAnswer, ClusterReview
from pipeline_project.domain.review.new_tasks import DeskRules, NewTask, ReviewTerms, SpreadTerms
from pipeline_project.domain.review.tasks import TaskClaim
from resources.ledger.audit.chain import append
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.review.answers import ReviewAnswers
from resources.ledger.review.clusters import PostgresClusters
from resources.ledger.review.tasks import ReviewTasks, open_tasks
from resources.postgres.databases import engine_of

FLOW, NIGHT = "returns", "2026-03-04"
REFUND = ClusterAnswer("refund", "defective", "policy")

TERMS = ReviewTerms(
    workflow=FLOW,
    title="Returns",
    currency="EUR",
    options={"refund": "Refund", "restock": "Refund and restock", "reject": "Reject"},
    denies=frozenset({"reject"}),
    labels=("fine", "defective", "worn"),
    cost=4.5,
    capacity=10,
    due_hours=72,
    remind_hours=(24,),
    lapse_hours=96,
    safe_default=None,
    lease_minutes=15,
    most_tasks=400,
    skill=None,
    reasons={"policy": "The house rules say so", "other": "Other"},
    second_above=400,
    second_nights=30,
    repeats=0.0,
    clusters=SpreadTerms(limit=0.15, error=0.1, ceiling=150, minimum=6),
    acts=frozenset({"refund"}),
)
ACTING = ActionTerms(
    workflow=FLOW,
    tenant="default",
    live=True,
    spend_cap=None,
    currency="EUR",
    kinds={"notice": ActionKind("notice", "shop"), "refund": ActionKind("refund", "shop", money="price", final=True)},
    by_option={"refund": ("notice", "refund")},
)


def new_task(case: str, cluster: str = "kettles", amount: float | None = 40.0, **changed: Any) -> NewTask:
    shown = {"fields": {"price": amount, "category": "kettle"}, "labels": {"defective": {"probability": 0.6}}}
    plain = NewTask(case, "doubt", 3.0, amount, 0.4, f"subject-of-{case}", cluster, shown)
    return replace(plain, **changed)


@dataclass
class Desk:
    """Opens tasks, answers them, looks at the ledger."""

    ledger: PostgresLedger
    terms: ReviewTerms = TERMS
    people: Sequence[str] = ("anna", "bert", "cleo")
    clusters: PostgresClusters = field(init=False)

    def __post_init__(self) -> None:
        self.clusters = PostgresClusters(self.ledger.url)
        self.ledger.record_workflow(FLOW, "spec", {"name": FLOW})

    def ask(self, tasks: Sequence[NewTask], night: str = NIGHT) -> None:
        """Decides that people are asked, and opens the tasks."""
        attempt = self.ledger.begin_attempt(FLOW, night, f"run-{night}")
        rows = [
            NewDecision(
                task.case_id,
                "ask_person",
                task.why,
                spec_hash="spec",
                data_versions={"cases": 1},
                cluster=task.cluster,
                amount=task.amount,
            )
            for task in tasks
        ]
        self.ledger.record_decisions(FLOW, night, attempt, rows, basis=passed(self.ledger, FLOW, night))
        with engine_of(self.ledger.url).begin() as connection:
            append(connection, "decisions", FLOW, open_tasks(connection, FLOW, night, tasks, self.terms))

    def decide(self, person: str = "anna", cluster: str = "kettles", answer: ClusterAnswer = REFUND) -> ClusterReview:
        return self.clusters.decide_cluster(FLOW, cluster, person, answer, self.rules)

    @property
    def rules(self) -> DeskRules:
        return DeskRules(self.terms, ACTING, self.people)

    def rows(self, question: str, **given: Any) -> list[Mapping[str, Any]]:
        with engine_of(self.ledger.url).connect() as connection:
            return [dict(row._mapping) for row in connection.execute(text(question), given)]

    def write(self, statement: str) -> None:
        with engine_of(self.ledger.url).begin() as connection:
            connection.execute(text(statement))

    def sampled(self, review: ClusterReview) -> list[int]:
        """Tasks drawn and not answered yet."""
        question = (
            "SELECT task_id FROM cluster_members m WHERE review_id = :review AND sampled AND NOT EXISTS "
            "(SELECT FROM cluster_verdicts v WHERE (v.review_id, v.task_id) = (m.review_id, m.task_id)) ORDER BY 1"
        )
        return [row["task_id"] for row in self.rows(question, review=review.id)]

    def answer(self, task: int, option: str = "refund", label: str = "defective", person: str = "bert") -> Answered:
        """One person takes a task and answers it, as at the desk."""
        who = Person(person, person.title(), frozenset({PersonRole.REVIEWER}))
        taken = ReviewTasks(self.ledger.url).claim(task, who)
        assert taken.token is not None
        said = Answer(option, label, "policy")
        return ReviewAnswers(self.ledger.url).answer(
            TaskClaim(task, taken.version, taken.token, person), said, self.rules
        )

    def answer_all(self, review: ClusterReview, disagree: int = 0) -> ClusterReview:
        """The whole sample, or as much of it as the plan waits for; the first `disagree` answers differ."""
        for position, task in enumerate(self.sampled(review)):
            option, label = ("restock", "fine") if position < disagree else ("refund", "defective")
            self.answer(task, option, label)
        found = self.clusters.review(review.id)
        assert found is not None
        return found
