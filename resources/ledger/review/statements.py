"""The statements behind review tasks; each runs in its caller's transaction, and every time is the database's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import (
    Connection,
    Row,
    Select,
    all_,
    and_,
    case,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)

from pipeline_project.domain.core.errors import PipelineError, StaleClaim
from pipeline_project.domain.core.people import Person, PersonRole
from pipeline_project.domain.review import order
from pipeline_project.domain.review.tasks import QueueRow, Task, TaskClaim, TaskState
from resources.ledger.tables.review import review_tasks, task_events

task_columns = review_tasks.c

_PLAIN = (
    "id", "workflow", "night", "case_id", "version", "why", "note", "benefit", "amount", "information", "subject",
    "cluster", "skill", "priority", "assigned_to", "claimed_by", "lease_until", "opened_at", "due_at", "escalated_at",
    "closed_at",
)  # fmt: skip
_LIGHT = [task_columns[name] for name in (*_PLAIN, "state", "due_level", "currency", "proposal_id", "held_by")]

#: Why a task ended that nobody can read.
NOT_UNDERSTOOD = "It cannot be understood: have `pipeline audit verify` run, and decide its case anew."


class NotUnderstood(PipelineError):
    """A task's row cannot be read, or shows nothing: it is set aside, alone."""

    def __init__(self, task: int) -> None:
        super().__init__(f"task {task} cannot be understood; run `pipeline audit verify`")
        self.task = task


#: New values of a task's columns, or expressions of the database that make them.
Changes: TypeAlias = Mapping[str, Any]

NOBODY: Changes = {"claim_token": None, "claimed_by": None, "claimed_at": None, "lease_until": None}


# -- reading -----------------------------------------------------------------------------------------------------


def light() -> Select[Any]:
    """Tasks without their content."""
    return select(*_LIGHT)


def queue_row(row: Row[Any]) -> QueueRow:
    return QueueRow(**_queue_fields(row))


def task_of(row: Row[Any], token: UUID | None = None) -> Task:
    return Task(**_queue_fields(row), content=row.content, token=token)


def _queue_fields(row: Row[Any]) -> Mapping[str, Any]:
    worth = order.Worth(row.why, row.benefit, row.information, row.due_level)
    return {
        **{name: getattr(row, name) for name in _PLAIN},
        "state": TaskState(row.state),
        "priority_reason": order.reason(worth, row.currency),
        "proposal": row.proposal_id,
        "held": row.held_by is not None,
    }


def one(connection: Connection, task_id: int, lock: bool = False) -> Row[Any] | None:
    """One whole task, or None."""
    query = select(review_tasks).where(task_columns.id == task_id)
    return connection.execute(query.with_for_update() if lock else query).first()


# -- who may take what -------------------------------------------------------------------------------------------


def free_for(person: Person) -> Any:
    """Tasks that this person may take, wherever in the queue: not excluded, skilled enough, not held back."""
    skilled: Any = task_columns.skill.is_(None)
    if person.skills:
        skilled = or_(skilled, task_columns.skill.in_(sorted(person.skills)))
    ripe = or_(task_columns.not_before.is_(None), task_columns.not_before <= func.clock_timestamp())
    return and_(task_columns.held_by.is_(None), skilled, ripe, literal(person.name) != all_(task_columns.excluded))


def skill_needed() -> Any:
    """The skill that a task needs, "" for none, in the words of the indexes."""
    return func.coalesce(task_columns.skill, text("''"))


def states_of(person: Person) -> list[str]:
    """The states in which this person may take a task: escalated ones are for approvers."""
    roles = {PersonRole.REVIEWER: TaskState.PENDING, PersonRole.APPROVER: TaskState.ESCALATED}
    return [state.value for role, state in roles.items() if role in person.roles]


def lease_ended() -> Any:
    return and_(task_columns.state == "in_progress", task_columns.lease_until <= func.clock_timestamp())


# -- changing ----------------------------------------------------------------------------------------------------


def claim_values(person: str) -> Changes:
    """The values of a claim; the lease begins and ends by the database's clock."""
    now = func.clock_timestamp()
    return {
        "state": "in_progress",
        "version": task_columns.version + 1,
        "claim_token": func.gen_random_uuid(),
        "claimed_by": person,
        "claimed_at": now,
        "lease_until": now + func.make_interval(0, 0, 0, 0, 0, 0, task_columns.lease_minutes * 60),
    }


def back_in_queue() -> Changes:
    """The values of a task that nobody holds any more."""
    waiting = case((task_columns.escalated_at.is_(None), "pending"), else_="escalated")
    return {**NOBODY, "state": waiting, "version": task_columns.version + 1, "proposal_id": None}


def ended(state: TaskState) -> Changes:
    """The values of a task that has come to its end."""
    return {
        **NOBODY,
        "state": state.value,
        "version": task_columns.version + 1,
        "proposal_id": None,
        "held_by": None,
        "closed_at": func.now(),
    }


def held(claim: TaskClaim) -> Any:
    """What must be true for a claim's holder to write: the very claim, the version seen, a lease that has not ended."""
    return and_(
        task_columns.id == claim.task,
        task_columns.version == claim.version,
        task_columns.state == "in_progress",
        task_columns.claim_token == claim.token,
        task_columns.claimed_by == claim.person,
        task_columns.lease_until > func.clock_timestamp(),
    )


def moved(connection: Connection, where: Any, values: Changes, event: str, person: str | None) -> list[Row[Any]]:
    """Changes tasks and notes each new version; returns their ids and new versions."""
    changed = update(review_tasks).where(where).values(values).returning(task_columns.id, task_columns.version)
    rows = list(connection.execute(changed))
    note(connection, rows, event, person)
    return rows


def note(connection: Connection, rows: Iterable[Row[Any]], event: str, person: str | None) -> None:
    """Keeps who brought tasks to their new versions."""
    noted = [{"task_id": row.id, "version": row.version, "event": event, "person": person} for row in rows]
    if noted:
        connection.execute(insert(task_events), noted)


def stale(connection: Connection, task_id: int, person: str) -> StaleClaim:
    """Why a claim's holder may not write any more."""
    row = one(connection, task_id)
    if row is None:
        return StaleClaim(f"there is no task {task_id}; open the queue")
    if row.closed_at is not None:
        return StaleClaim(f"task {task_id} is {row.state} already; nothing was written, take the next one")
    if row.proposal_id is not None:
        return StaleClaim(f"task {task_id} waits for a second person; nothing was written, take the next one")
    if row.claimed_by not in (None, person):
        return StaleClaim(f"somebody else took task {task_id} when your time ended; nothing was written")
    return StaleClaim(f"your claim of task {task_id} has ended; nothing was written, take the task again")
