"""Reminders, escalation and lapses by the hours left; answers that may be taken, and the hash of a proposal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from pipeline_project.domain.core.errors import AnswerRefused
from pipeline_project.domain.review.answers import (
    Answer,
    answer_hash,
    at_stake,
    check,
    needs_second,
    proposal_hash,
)
from pipeline_project.domain.review.assignment import Waiting, assignments
from pipeline_project.domain.review.due import lapse_option, reminder_hours
from tests.domain.review.review_terms import REFUND, TERMS, somebody

TOKEN = UUID(int=1)
TASK: dict[str, Any] = {
    "id": 1, "workflow": "returns", "case_id": "a", "epoch": 1, "subject": "s", "content": {"fields": {"price": 1.0}}
}  # fmt: skip


def test_reminders_are_counted_from_the_earliest_however_they_are_listed() -> None:
    assert reminder_hours(replace(TERMS, remind_hours=(4, 24, 4))) == (24, 4)


def test_a_default_may_not_deny() -> None:
    assert lapse_option(TERMS) is None
    assert lapse_option(replace(TERMS, safe_default="refund")) == "refund"
    with pytest.raises(AnswerRefused):
        lapse_option(replace(TERMS, safe_default="reject"))


def test_answers_of_the_short_lists_are_taken() -> None:
    check(REFUND, TERMS)
    check(replace(REFUND, option="reject", note=None), TERMS)
    for wrong in ({"option": "x"}, {"label": "x"}, {"reason": "x"}, {"reason": ""}, {"note": "n" * 32_001}):
        with pytest.raises(AnswerRefused):
            check(replace(REFUND, **wrong), TERMS)


def test_what_is_at_stake() -> None:
    assert at_stake(10.0, 3.0) == 10.0
    assert at_stake(10.0, 30.0) == 30.0
    assert at_stake(None, 3.0) == 3.0
    assert at_stake(None, 0.0) is None and at_stake(float("nan"), 0.0) is None


def test_a_second_person_above_the_limit() -> None:
    assert not needs_second("refund", 400.0, 0.0, TERMS)
    assert needs_second("refund", 400.01, 0.0, TERMS)
    assert needs_second("refund", 1.0, 399.5, TERMS)
    assert needs_second("reject", 500.0, 0.0, TERMS)
    assert needs_second("refund", None, 0.0, TERMS)
    assert not needs_second("keep", 500.0, 0.0, TERMS)
    assert not needs_second("refund", 1e9, 0.0, replace(TERMS, second_above=None))


def test_everything_about_a_proposal_is_in_its_hash() -> None:
    first = proposal_hash(TASK, REFUND, "anna", 1.0, TOKEN)
    assert first == proposal_hash({**TASK, "priority": 9}, Answer(**vars(REFUND)), "anna", 1.0, UUID(int=1))
    others = [
        proposal_hash(TASK, REFUND, "bert", 1.0, TOKEN),
        proposal_hash(TASK, REFUND, "anna", 2.0, TOKEN),
        proposal_hash(TASK, REFUND, "anna", 1.0, UUID(int=2)),
        *[proposal_hash({**TASK, name: changed}, REFUND, "anna", 1.0, TOKEN) for name, changed in CHANGES.items()],
        *[proposal_hash(TASK, replace(REFUND, **{name: "x"}), "anna", 1.0, TOKEN) for name in vars(REFUND)],
        answer_hash(TASK, REFUND, "anna", 1.0),
    ]
    assert len({first, *others}) == len(others) + 1


CHANGES: dict[str, Any] = {
    "id": 2, "workflow": "w", "case_id": "b", "epoch": 2, "subject": None, "content": {"fields": {"price": 2.0}}
}  # fmt: skip


def test_tasks_go_to_the_least_loaded_who_may_have_them() -> None:
    people = [somebody("anna"), somebody("bert", skills=("shoes",)), somebody("cleo")]
    waiting = [Waiting(i, None, frozenset()) for i in range(4)]
    assert assignments(waiting, people, {"anna": 2, "bert": 0, "cleo": 1}, 3) == {
        0: "bert",
        1: "bert",
        2: "cleo",
        3: "anna",
    }
    assert assignments(waiting, people, {"anna": 3, "bert": 3, "cleo": 2}, 3) == {0: "cleo"}
    picky = [Waiting(1, "shoes", frozenset()), Waiting(2, "shoes", frozenset({"bert"})), Waiting(3, None, frozenset())]
    assert assignments(picky, people, {}, 9) == {1: "bert", 3: "anna"}
