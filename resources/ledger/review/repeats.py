"""Cases asked a second time, unmarked: how far people agree with each other and with themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from pipeline_project.domain.review.agreement import Agreement, Repeat, agreements, is_repeated
from pipeline_project.domain.review.answers import Answer
from pipeline_project.domain.review.new_tasks import DeskRules
from resources.ledger.audit.facts import Fact
from resources.ledger.review import cluster_tasks
from resources.ledger.tables.clusters import repeat_answers, repeats
from resources.ledger.unit_of_work import LedgerStore


def ask_again(connection: Connection, task_id: int, answered_by: str, answer: Answer, rules: DeskRules) -> list[Fact]:
    """Perhaps asks an answered case again, in the transaction of its answer; which cases is a matter of their hash.

    Somebody else is asked where there is anybody else, or the same person once a day has passed.

    Args:
        task_id: of a task whose answer decided its case.

    Returns:
        What is to be appended to the audit chain; nothing where the case is not asked again.
    """
    asked = cluster_tasks.task(connection, task_id)
    if not is_repeated(rules.terms.workflow, asked.case_id, asked.epoch, rules.terms.repeats):
        return []
    somebody_else = rules.others(answered_by)
    made = cluster_tasks.copy_as_repeat(connection, task_id, [answered_by] if somebody_else else [], not somebody_else)
    if made is None:
        return []
    row = {
        "task_id": made,
        "first_task_id": task_id,
        "workflow": rules.terms.workflow,
        "case_id": asked.case_id,
        "first_by": answered_by,
        "first_option": answer.option,
        "first_label": answer.label,
    }
    connection.execute(insert(repeats), row)
    return [Fact("review_tasks", {"id": made}), Fact("repeats", row)]


def answered_again(connection: Connection, task_id: int, answered_by: str, answer: Answer) -> list[Fact]:
    """Keeps the answer to a task of the kind `repeat`; it decides nothing and is no outcome.

    Returns:
        What is to be appended to the audit chain.
    """
    row = {
        "task_id": task_id,
        "answered_by": answered_by,
        "second_option": answer.option,
        "second_label": answer.label,
    }
    connection.execute(insert(repeat_answers), row)
    return [Fact("repeat_answers", row)]


@dataclass(frozen=True)
class PostgresRepeats(LedgerStore):
    """What asking again has shown; every method raises DatabaseUnreachable when the database does not answer."""

    def agreement(self, workflow: str) -> list[Agreement]:
        """How far each pair of people chooses the same option for the same case, and each person with herself."""
        query = select(
            repeats.c.first_by, repeat_answers.c.answered_by, repeats.c.first_option, repeat_answers.c.second_option
        )
        with self._transaction() as connection:
            rows = connection.execute(_answered(query, workflow)).all()
        return agreements(Repeat(*row) for row in rows)


def _answered(query: Any, workflow: str) -> Any:
    return query.join_from(repeats, repeat_answers, repeats.c.task_id == repeat_answers.c.task_id).where(
        repeats.c.workflow == workflow
    )
