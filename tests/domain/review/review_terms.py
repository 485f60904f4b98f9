"""The rules and the people that the tests of review tasks stand on."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline_project.domain.core.people import Person, PersonRole
from pipeline_project.domain.review.answers import Answer
from pipeline_project.domain.review.new_tasks import ReviewTerms

FLOW = "returns"
REFUND = Answer("refund", "defective", "policy", "sealed:note")

TERMS = ReviewTerms(
    workflow=FLOW,
    title="Returns",
    currency="EUR",
    options={"refund": "Refund", "keep": "Leave it", "reject": "Reject"},
    denies=frozenset({"reject"}),
    labels=("fine", "defective"),
    cost=4.5,
    capacity=10,
    due_hours=72,
    remind_hours=(4, 24),
    lapse_hours=96,
    safe_default=None,
    lease_minutes=15,
    most_tasks=3,
    skill=None,
    reasons={"policy": "The house rules say so", "other": "Other"},
    second_above=400,
    second_nights=30,
    repeats=0.0,
    clusters=None,
    acts=frozenset({"refund"}),
)


def somebody(name: str, *roles: PersonRole, skills: Sequence[str] = ()) -> Person:
    return Person(name, name.title(), frozenset(roles or (PersonRole.REVIEWER,)), frozenset(skills))
