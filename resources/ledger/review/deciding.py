"""What an answer leads to, in the transaction of the answer: the next decision of its case, an outcome, actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from pipeline_project.domain.core.errors import ActionInvalid, AnswerRefused, LedgerRefused, PipelineError
from pipeline_project.domain.delivery.planned_actions import ActionTerms, PlannedAction
from pipeline_project.domain.delivery.planning import plan_actions
from pipeline_project.domain.review.answers import REVIEW
from resources.ledger.audit.facts import Fact
from resources.ledger.audit.rows import unlike
from resources.ledger.decisions import further_decision, standing_decisions
from resources.ledger.tables import nights as tables
from resources.ledger.tables.review import review_tasks


class Superseded(PipelineError):
    """The case was decided elsewhere since it was asked about."""


@dataclass(frozen=True)
class WrittenDecision:
    """A decision that was just written: its row, as a fact for the audit chain."""

    epoch: int
    fact: Fact


def values_of(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """A task's values as actions take them; personal ones stand in it sealed."""
    texts = {text["name"]: text["value"] for text in content.get("text", ())}
    return {**texts, **content.get("sealed", {}), **content.get("fields", {})}


def planned(task: Row[Any], option: str, acting: ActionTerms) -> list[PlannedAction]:
    """The actions that an option asks for in the next decision of a task's case.

    Raises:
        AnswerRefused: they cannot be computed from the case's fields.
    """
    try:
        return plan_actions(acting, task.night, task.case_id, task.epoch + 1, option, values_of(task.content))
    except ActionInvalid as error:
        raise AnswerRefused(f"{option} cannot be carried out for this case: {error}; choose another option") from None


def payout(actions: list[PlannedAction]) -> float:
    """What actions pay out together, in money."""
    return round(sum(action.money for action in actions), 2)


def decide(
    connection: Connection, task: Row[Any], option: str, reason: str, made_by: str, explanation: str
) -> WrittenDecision:
    """Writes the next decision of a task's case.

    Args:
        made_by: `person:<name>` or `policy`. explanation: why, in words.

    Raises:
        Superseded: the decision that asked does not stand any more.
        LedgerRefused: the case was never decided.
    """
    query = standing_decisions(task.workflow).where(tables.decisions.c.case_id == task.case_id)
    asked = connection.execute(query).first()
    if asked is None:
        raise LedgerRefused(f"task {task.id} asks about a case that was never decided; run the night again")
    if asked.epoch != task.epoch:
        raise Superseded(f"the case of task {task.id} was decided elsewhere meanwhile; take the next task")
    row = further_decision(asked, option, reason, explanation, made_by)
    connection.execute(insert(tables.decisions), vars(row))
    return WrittenDecision(row.epoch, Fact("decisions", vars(row)))


def as_recorded(connection: Connection, task: Row[Any]) -> None:
    """Refuses a task that asks something else than the audit chain has it ask: its case goes to nobody by itself.

    Raises:
        Superseded: what it shows, or about whom, was changed behind the ledger's back.
    """
    (other,) = unlike(connection, review_tasks, [dict(task._mapping)])
    if other:
        raise Superseded(
            f"task {task.id} is not what the audit chain recorded ({', '.join(other)}): it decides nothing; have "
            "`pipeline audit verify` run"
        )


def learn(connection: Connection, task: Row[Any], label: str) -> Fact:
    """Writes what a person found true of a case, known from now on; returns it as a fact for the audit chain."""
    row = {
        "workflow": task.workflow,
        "case_id": task.case_id,
        "label": label,
        "known_at": connection.scalar(select(func.now())),
        "source": REVIEW,
    }
    connection.execute(insert(tables.outcomes), row)
    return Fact("outcomes", row)
