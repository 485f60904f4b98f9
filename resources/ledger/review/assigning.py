"""Who gets which waiting task: the least loaded reviewer who may have it, up to a cap."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Text, and_, bindparam, column, func, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB

from pipeline_project.domain.core.people import Person, PersonRole
from pipeline_project.domain.review.assignment import Waiting, assignments
from resources.ledger.review.statements import moved, note, task_columns
from resources.ledger.tables.review import review_tasks


def assign(connection: Connection, workflow: str, reviewers: Sequence[Person], most_tasks: int) -> int:
    """Assigns waiting tasks, the first of the queue first; returns how many.

    What was assigned to somebody who is no reviewer any more is anybody's again.
    """
    people = [person for person in reviewers if PersonRole.REVIEWER in person.roles]
    gone = and_(
        task_columns.assigned_to.is_not(None), task_columns.assigned_to.not_in([person.name for person in people])
    )
    waits = and_(task_columns.workflow == workflow, task_columns.state == "pending", gone)
    moved(connection, waits, {"assigned_to": None, "version": task_columns.version + 1}, "unassign", None)
    load = _load(connection, people)
    room = sum(max(0, most_tasks - load[person.name]) for person in people)
    if not room:
        return 0
    first = (
        select(task_columns.id, task_columns.skill, task_columns.excluded)
        .where(task_columns.workflow == workflow, task_columns.state == "pending", task_columns.held_by.is_(None))
        .where(
            task_columns.assigned_to.is_(None),
            or_(task_columns.not_before.is_(None), task_columns.not_before <= func.now()),
        )
        .order_by(task_columns.priority.desc(), task_columns.id)
        .limit(room)
        .with_for_update(skip_locked=True)
    )
    waiting = [Waiting(row.id, row.skill, frozenset(row.excluded)) for row in connection.execute(first)]
    given = assignments(waiting, people, load, most_tasks)
    if not given:
        return 0
    sent = [{"id": task, "person": person} for task, person in given.items()]
    rows = func.jsonb_to_recordset(bindparam("sent", sent, type_=JSONB))
    pairs = rows.table_valued(column("id", task_columns.id.type), column("person", Text)).render_derived(
        with_types=True
    )
    changed = update(review_tasks).where(task_columns.id == pairs.c.id)
    values = {"assigned_to": pairs.c.person, "version": task_columns.version + 1}
    note(
        connection,
        connection.execute(changed.values(values).returning(task_columns.id, task_columns.version)).all(),
        "assign",
        None,
    )
    return len(given)


def _load(connection: Connection, people: Sequence[Person]) -> dict[str, int]:
    """Open tasks of each person, in hand and assigned, of all workflows."""
    names = [person.name for person in people]
    person = func.coalesce(task_columns.claimed_by, task_columns.assigned_to)
    # two statements' worth of indexes: what is assigned, what is in hand
    open_ones = or_(
        task_columns.assigned_to.in_(names) & task_columns.state.in_(["pending", "in_progress", "escalated"]),
        task_columns.claimed_by.in_(names) & (task_columns.state == "in_progress"),
    )
    counted = select(person, func.count()).where(open_ones).group_by(person)
    return dict.fromkeys(names, 0) | dict(connection.execute(counted).all())
