"""The operations that are killed at every point: deciding, releasing, answering, approving, clusters, sending, time."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import make_url, text

from benchmarks.chaos.kills import Scene
from benchmarks.passed import passed
from pipeline_project.domain.core.people import Person, PersonRole
from pipeline_project.domain.deciding.recorded import NewDecision
from pipeline_project.domain.delivery.planned_actions import ActionKind, ActionTerms
from pipeline_project.domain.delivery.planning import plan_actions
from pipeline_project.domain.review.answers import Answer
from pipeline_project.domain.review.cluster_reviews import ClusterAnswer
from pipeline_project.domain.review.new_tasks import DeskRules, NewTask, ReviewTerms, SpreadTerms
from pipeline_project.domain.review.night_work import NightWork
from pipeline_project.domain.review.tasks import TaskClaim
from pipeline_project.operations.dispatch import Dispatcher
from resources.destinations.file_drop import FileDrop
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.review.answers import ReviewAnswers
from resources.ledger.review.clock import tick
from resources.ledger.review.clusters import PostgresClusters
from resources.ledger.review.tasks import ReviewTasks
from resources.postgres.databases import engine_of

FLOW, NIGHT = "chaos", "2025-03-05"
CASES, ASKED, ALIKE = 2, 1, 12
ACTING = ActionTerms(
    workflow=FLOW,
    tenant="default",
    live=True,
    spend_cap=500.0,
    currency="EUR",
    kinds={
        "hold": ActionKind("hold", "drop", payload=("price",)),
        "refund": ActionKind("refund", "drop", money="price", final=True),
    },
    by_option={"refund": ("hold", "refund")},
)
REVIEW = ReviewTerms(
    workflow=FLOW,
    title="Chaos",
    currency="EUR",
    options={"refund": "Refund", "reject": "Reject"},
    denies=frozenset({"reject"}),
    labels=("fine", "worn"),
    cost=4.5,
    capacity=10,
    due_hours=72,
    remind_hours=(24,),
    lapse_hours=96,
    safe_default=None,
    lease_minutes=15,
    most_tasks=40,
    skill=None,
    reasons={"policy": "The house rules say so"},
    second_above=None,
    second_nights=30,
    repeats=0.0,
    clusters=SpreadTerms(limit=0.3, error=0.4, ceiling=None, minimum=6),
    acts=frozenset({"refund"}),
)
CAREFUL = replace(REVIEW, second_above=5.0)
ANNA = Person("anna", "Anna", frozenset({PersonRole.REVIEWER}))
BERT = Person("bert", "Bert", frozenset({PersonRole.REVIEWER}))
PAY = Answer("refund", "fine", "policy")


def scenes(folder: Path) -> list[Scene]:
    """Every scene; what is sent lies in a folder for each database under `folder`."""
    return [
        Scene("a night is decided", _known, _decide),
        Scene("a night is released", _decided, _release),
        Scene("a person answers", _asked, _answer),
        Scene("a second person agrees", _proposed, _approve),
        Scene("a cluster is decided and spreads", _alike, _cluster, stride=11),
        Scene("actions are sent", _released, lambda url: _send(url, folder)),
        Scene("time passes over late tasks", _late, _pass),
    ]


def _known(url: str) -> None:
    PostgresLedger(url).record_workflow(FLOW, "spec", {"name": FLOW})


def _decide(url: str, cluster: str | None = None, asked: int = ASKED) -> None:
    ledger = PostgresLedger(url)
    attempt = ledger.begin_attempt(FLOW, NIGHT, "chaos")
    common: dict[str, Any] = {"spec_hash": "spec", "data_versions": {"cases": 1}, "propensity": 0.0, "amount": 20.0}
    paid = [f"C-{i:03}" for i in range(CASES)]
    people = [f"P-{i:03}" for i in range(asked)]
    rows = [NewDecision(case, "refund", "cheapest", **common) for case in paid]
    rows += [NewDecision(case, "ask_person", "doubt", **common) for case in people]
    tasks = {
        case: NewTask(case, "doubt", 3.0, 20.0, 0.4, f"s-{case}", cluster, {"fields": {"price": 20.0}, "sealed": {}})
        for case in people
    }
    actions = {case: plan_actions(ACTING, NIGHT, case, 1, "refund", {"price": 20.0}) for case in paid}
    ledger.record_decisions(
        FLOW, NIGHT, attempt, rows, NightWork(REVIEW, ACTING, tasks, actions), basis=passed(ledger, FLOW, NIGHT)
    )


def _decided(url: str) -> None:
    _known(url)
    _decide(url)


def _release(url: str) -> None:
    PostgresLedger(url).release(FLOW, NIGHT, "chaos", basis=passed(PostgresLedger(url), FLOW, NIGHT, "release"))


def _asked(url: str) -> None:
    _decided(url)
    _release(url)


def _answer_all(url: str, person: Person, terms: ReviewTerms) -> None:
    """Everything there is for a person, what is still in the person's hand first."""
    tasks, answers = ReviewTasks(url), ReviewAnswers(url)
    while True:
        in_hand = tasks.mine(person.name).in_hand
        task = tasks.claim(in_hand[0].id, person) if in_hand else tasks.next_task(person)
        if task is None:
            return
        assert task.token is not None
        answers.answer(
            TaskClaim(task.id, task.version, task.token, person.name),
            PAY,
            DeskRules(terms, ACTING, (ANNA.name, BERT.name)),
        )


def _answer(url: str) -> None:
    _answer_all(url, ANNA, REVIEW)


def _proposed(url: str) -> None:
    _asked(url)
    _answer_all(url, ANNA, CAREFUL)


def _approve(url: str) -> None:
    answers = ReviewAnswers(url)
    for proposal in answers.waiting(FLOW):
        answers.approve(proposal.id, proposal.hash, BERT.name, DeskRules(CAREFUL, ACTING))


def _alike(url: str) -> None:
    _known(url)
    _decide(url, "c-alike", ALIKE)
    _release(url)


def _cluster(url: str) -> None:
    clusters = PostgresClusters(url)
    if not clusters.reviews(FLOW):
        said = ClusterAnswer(PAY.option, PAY.label, PAY.reason)
        clusters.decide_cluster(FLOW, "c-alike", ANNA.name, said, DeskRules(REVIEW, ACTING, (BERT.name,)))
    # those that are held for the cluster come to nobody; what comes is the sample
    _answer_all(url, BERT, REVIEW)


def _released(url: str) -> None:
    _asked(url)


def _send(url: str, folder: Path) -> None:
    engine = engine_of(url)
    with engine.begin() as connection:
        # as if the lease of a dispatcher that died had ended
        connection.execute(text("UPDATE actions SET lease_until = now() - interval '1 second' WHERE state = 'sending'"))
    drop = FileDrop(folder / str(make_url(url).database), 50)
    Dispatcher(engine, {(FLOW, "drop"): drop}, {FLOW: "team:chaos"}, "chaos").drain()


def _late(url: str) -> None:
    _asked(url)
    with engine_of(url).begin() as connection:
        connection.execute(text("UPDATE review_tasks SET due_at = now() - interval '1 hour'"))


def _pass(url: str) -> None:
    tick(url, FLOW, REVIEW, ACTING, [ANNA, BERT])


def a_folder() -> tempfile.TemporaryDirectory[str]:
    """Where what is sent may lie."""
    return tempfile.TemporaryDirectory(prefix="chaos-")
