from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from pipeline_project.domain.core.errors import TaskTaken
from pipeline_project.domain.review.agreement import is_repeated
from pipeline_project.domain.review.answers import Answer
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.review.repeats import PostgresRepeats, answered_again, ask_again
from resources.postgres.databases import engine_of
from tests.resources.ledger.review.cluster_desk import FLOW, TERMS, Desk, new_task


@pytest.fixture
def desk(ledger: PostgresLedger) -> Desk:
    desk = Desk(ledger, replace(TERMS, repeats=1.0))
    desk.ask([new_task(f"c{i}") for i in range(10)])
    return desk


def ask(desk: Desk, task: int, person: str = "anna", option: str = "refund", label: str = "defective") -> int:
    with engine_of(desk.ledger.url).begin() as connection:
        facts = ask_again(connection, task, person, Answer(option, label, "policy"), desk.rules)
    return sum(fact.table == "repeats" for fact in facts)


def again(desk: Desk, task: int, person: str, option: str, label: str) -> None:
    with engine_of(desk.ledger.url).begin() as connection:
        answered_again(connection, task, person, Answer(option, label, "policy"))


def test_somebody_else_is_asked_in_the_same_words(desk: Desk) -> None:
    assert ask(desk, 1) == 1
    first, second = desk.rows("SELECT * FROM review_tasks WHERE case_id = 'c0' ORDER BY id")
    assert (second["kind"], second["excluded"], second["not_before"]) == ("repeat", ["anna"], None)
    changed = {name for name in first if first[name] != second[name]}
    assert changed <= {"id", "kind", "excluded", "opened_at", "due_at"}
    assert ask(desk, 1) == 0
    assert ask(desk, second["id"], "bert") == 0


def test_the_only_reviewer_is_asked_again_a_day_later(desk: Desk) -> None:
    desk.people = ("anna",)
    assert ask(desk, 1) == 1
    late = "SELECT excluded, not_before > now() + interval '23 hours' AS late FROM review_tasks WHERE id > 10"
    (row,) = desk.rows(late)
    assert row == {"excluded": [], "late": True}


def test_who_is_asked_again_is_a_matter_of_the_case(desk: Desk) -> None:
    desk.terms = replace(TERMS, repeats=0.5)
    asked = [f"c{i}" for i in range(10) if ask(desk, i + 1)]
    assert asked == [f"c{i}" for i in range(10) if is_repeated(FLOW, f"c{i}", 1, 0.5)]
    assert 0 < len(asked) < 10
    desk.terms = replace(TERMS, repeats=0.0)
    assert not any(ask(desk, i + 1) for i in range(10))


def test_a_second_answer_decides_nothing_and_is_counted(desk: Desk) -> None:
    decisions = desk.rows("SELECT count(*) AS n FROM decisions")
    for task, (option, label) in enumerate([("refund", "defective"), ("refund", "defective"), ("restock", "fine")], 1):
        ask(desk, task)
        (repeat,) = desk.rows("SELECT task_id FROM repeats WHERE first_task_id = :task", task=task)
        again(desk, repeat["task_id"], "bert", option, label)
    ask(desk, 4)
    assert desk.rows("SELECT count(*) AS n FROM decisions") == decisions
    assert desk.rows("SELECT * FROM outcomes") == []
    found = PostgresRepeats(desk.ledger.url)
    (pair,) = found.agreement(FLOW)
    assert (pair.reviewers, pair.cases, pair.agreed) == (("anna", "bert"), 3, 2)
    assert found.agreement("tickets") == []


def test_at_the_desk_a_repeat_is_one_more_task(desk: Desk) -> None:
    first = desk.answer(1, person="anna")
    (repeat,) = desk.rows("SELECT id FROM review_tasks WHERE kind = 'repeat'")
    with pytest.raises(TaskTaken):
        desk.answer(repeat["id"], person="anna")
    second = desk.answer(repeat["id"], "restock", "fine", person="bert")
    assert (first.epoch, second.epoch) == (2, None)
    assert len(desk.rows("SELECT 1 FROM review_tasks WHERE kind = 'repeat'")) == 1
    assert len(desk.rows("SELECT 1 FROM decisions WHERE case_id = 'c0'")) == 2
    (pair,) = PostgresRepeats(desk.ledger.url).agreement(FLOW)
    assert (pair.reviewers, pair.cases, pair.agreed) == (("anna", "bert"), 1, 0)


def test_repeats_are_facts(desk: Desk) -> None:
    ask(desk, 1)
    for statement in ("UPDATE repeats SET first_by = 'cleo'", "DELETE FROM repeats"):
        with pytest.raises(IntegrityError, match="facts"):
            desk.write(statement)
