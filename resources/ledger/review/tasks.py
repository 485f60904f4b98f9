"""Review tasks: opened with a night's decisions, handed out one at a time, held under a lease, given back.

Every change is compare-and-set: it names the version and the claim it rests on, and a writer who was overtaken gets
`StaleClaim`. The next task is found with SKIP LOCKED, so that people who ask at once never wait for each other.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Connection,
    Select,
    Text,
    and_,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    union_all,
    update,
)

from pipeline_project.domain.core.errors import StaleClaim, TaskTaken
from pipeline_project.domain.core.people import Person
from pipeline_project.domain.review import order
from pipeline_project.domain.review.content import PHOTOS
from pipeline_project.domain.review.new_tasks import NewTask, ReviewTerms
from pipeline_project.domain.review.tasks import (
    MOST_COUNTED,
    OPEN,
    Mine,
    Notice,
    Queue,
    QueueFilter,
    QueueRow,
    Task,
    TaskClaim,
    TaskEvent,
    TaskState,
)
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.audit.rows import UNREADABLE
from resources.ledger.decisions import FIRST_EPOCH
from resources.ledger.review import assigning, proposals
from resources.ledger.review.statements import (
    NOT_UNDERSTOOD,
    NotUnderstood,
    back_in_queue,
    claim_values,
    ended,
    free_for,
    held,
    lease_ended,
    light,
    moved,
    note,
    one,
    queue_row,
    skill_needed,
    stale,
    states_of,
    task_columns,
    task_of,
)
from resources.ledger.rows import insert_new, jsonable
from resources.ledger.tables.review import reveals, review_notices, review_tasks, task_events
from resources.ledger.unit_of_work import LedgerStore

log = logging.getLogger("pipeline.review")

Result = TypeVar("Result")

#: Most rows of one page of the queue.
MOST_ROWS = 500
_IN_ORDER = (task_columns.priority.desc(), task_columns.id)


def open_tasks(
    connection: Connection,
    workflow: str,
    night: str,
    tasks: Sequence[NewTask],
    terms: ReviewTerms,
    epoch: int = FIRST_EPOCH,
) -> list[Fact]:
    """Opens the tasks that a night's decisions ask for, in the caller's transaction.

    Args:
        epoch: of the decisions that ask. A case is asked once by each: tasks that are there already are left alone.

    Returns:
        The facts of those that are new, for the audit chain; whoever ends the transaction appends them.
    """
    now: datetime = connection.execute(select(func.now())).scalar_one()
    due = now + timedelta(hours=terms.due_hours)
    level = order.due_level(terms.due_hours)
    alike = {
        "workflow": workflow,
        "night": night,
        "epoch": epoch,
        "skill": terms.skill,
        "lease_minutes": terms.lease_minutes,
        "currency": terms.currency,
        "due_level": level,
        "opened_at": now.isoformat(),
        "due_at": due.isoformat(),
        # columns named in an INSERT take no default
        "kind": "case",
        "state": "pending",
        "version": 1,
        "excluded": [],
    }
    # in one order for everybody, or two that add the same tasks could wait for each other for ever
    ordered = sorted(tasks, key=lambda task: task.case_id)
    rows = [
        {**jsonable(asdict(task)), **alike, "priority": order.priority(_worth(task, level), terms.cost)}
        for task in ordered
    ]
    # the chain reads the rest of a row that was just made
    return [Fact("review_tasks", {"id": int(number)}) for number in insert_new(connection, review_tasks, rows, "id")]


def _worth(task: NewTask, level: int) -> order.Worth:
    return order.Worth(task.why, task.benefit, task.information, level)


@dataclass(frozen=True)
class ReviewTasks(LedgerStore):
    """The queue and the tasks in hand; every method is one transaction.

    Every method raises DatabaseUnreachable when the database does not answer.
    """

    # -- taking and giving back ----------------------------------------------------------------------------------

    def next_task(self, person: Person, workflow: str | None = None) -> Task | None:
        """Hands out the next task: one assigned to this person, then one past its due time if the person is an
        approver, then the first of the queue. None when nothing is left for this person."""
        while True:
            try:
                return self._run(lambda connection: _next(connection, person, workflow))
            except NotUnderstood as error:
                # else it would be the first of the queue for everybody, for ever
                self._run(partial(_set_aside, task=error.task))

    def claim(self, task_id: int, person: Person) -> Task:
        """Takes one task, or takes it anew when it is in this person's hand; the old token ends.

        Raises:
            TaskTaken: it is closed, in somebody else's hand, assigned to somebody else, or not for this person.
        """
        return self._run(lambda connection: _claim(connection, task_id, person))

    def renew(self, claim: TaskClaim) -> datetime:
        """Lets a lease begin anew and returns its end; the version stays.

        Raises:
            StaleClaim: the lease has ended, or the task moved on.
        """

        def work(connection: Connection) -> datetime:
            values = {"lease_until": claim_values(claim.person)["lease_until"]}
            changed = update(review_tasks).where(held(claim)).values(values)
            until = connection.scalar(changed.returning(task_columns.lease_until))
            if until is None:
                raise stale(connection, claim.task, claim.person)
            return until

        return self._run(work)

    def give_back(self, claim: TaskClaim) -> None:
        """Puts a task back into the queue, where anybody may take it.

        Raises:
            StaleClaim: the lease has ended, or the task moved on.
        """

        def work(connection: Connection) -> None:
            values = {**back_in_queue(), "assigned_to": None}
            if not moved(connection, held(claim), values, "give_back", claim.person):
                raise stale(connection, claim.task, claim.person)

        self._run(work)

    def assign(self, workflow: str, reviewers: Sequence[Person], most_tasks: int) -> int:
        """Gives waiting tasks to the least loaded reviewers, the first of the queue first; returns how many.

        Args:
            most_tasks: open tasks that one reviewer may have, in hand and assigned together.
        """
        return self._run(lambda connection: assigning.assign(connection, workflow, reviewers, most_tasks))

    # -- looking -------------------------------------------------------------------------------------------------

    def task(self, task_id: int) -> Task | None:
        """One task with what its page shows, without the claim's token."""

        def work(connection: Connection) -> Task | None:
            row = one(connection, task_id)
            return None if row is None else task_of(row)

        return self._run(work)

    def of_case(self, workflow: str, case_id: str) -> list[QueueRow]:
        """The tasks of a case, the first first."""
        # asked once and shown again: each has an index of its own, and all of them together have none
        kinds = or_(task_columns.kind.in_(["case", "sample"]), task_columns.kind == "repeat")
        here = (task_columns.workflow == workflow, task_columns.case_id == case_id, kinds)
        query = light().where(*here).order_by(task_columns.id)
        return self._run(lambda connection: [queue_row(row) for row in connection.execute(query)])

    def queue(
        self, filters: QueueFilter | None = None, limit: int = 50, after: tuple[float, int] | None = None
    ) -> Queue:
        """One page of the open tasks in the order in which they come, and how many there are by state.

        Args:
            after: `Queue.after` of the page before.
        """
        wanted = filters or QueueFilter()
        return self._run(lambda connection: _queue(connection, wanted, min(limit, MOST_ROWS), after))

    def mine(self, person: str) -> Mine:
        """What one person has in hand, has been given, and has proposed."""

        def work(connection: Connection) -> Mine:
            first = light().order_by(task_columns.priority.desc(), task_columns.id)
            hand = first.where(task_columns.state == "in_progress", task_columns.claimed_by == person)
            given = first.where(task_columns.assigned_to == person, task_columns.state == "pending").limit(MOST_ROWS)
            return Mine(
                [queue_row(row) for row in connection.execute(hand)],
                [queue_row(row) for row in connection.execute(given)],
                proposals.waiting(connection, proposer=person),
            )

        return self._run(work)

    def history(self, task_id: int) -> list[TaskEvent]:
        """Who changed a task, and when."""
        of = task_events.c
        query = select(of.version, of.event, of.person, of.at).where(of.task_id == task_id).order_by(of.version)
        return self._run(lambda connection: [TaskEvent(*row) for row in connection.execute(query)])

    def notices(self, task_id: int) -> list[Notice]:
        """The reminders, escalations and lapses of a task."""
        of = review_notices.c
        query = select(of.task_id, of.kind, of.level, of.at).where(of.task_id == task_id).order_by(of.at, of.level)
        return self._run(lambda connection: [Notice(*row) for row in connection.execute(query)])

    def reveal(self, task_id: int, person: str, name: str, token: UUID | None) -> str | None:
        """Writes down that a person opens one personal value, and returns its sealed form for the caller to open.

        Args:
            name: of the field. token: of the claim; None for the second person on a proposal.

        Raises:
            StaleClaim: the person does not hold the task and no proposal of somebody else waits.
            TaskTaken: the task has no such value.
        """
        return self._run(lambda connection: _reveal(connection, task_id, person, name, token))


# -- behind the methods ------------------------------------------------------------------------------------------


def _next(connection: Connection, person: Person, workflow: str | None) -> Task | None:
    allowed = states_of(person)
    own = and_(task_columns.state == "pending", task_columns.held_by.is_(None), task_columns.assigned_to == person.name)
    late = and_(task_columns.state == "escalated", task_columns.held_by.is_(None))
    free = and_(task_columns.state == "pending", task_columns.held_by.is_(None), task_columns.assigned_to.is_(None))
    wanted = [
        *([own] if "pending" in allowed else []),
        *([late] if "escalated" in allowed else []),
        *([free] if "pending" in allowed else []),
    ]
    for place, where in enumerate(wanted):
        here = and_(where, free_for(person), *([] if workflow is None else [task_columns.workflow == workflow]))
        # what is in a person's own list is little; of the others there may be a million
        skills = [None] if place == 0 and where is own else _skills(connection, here, person)
        task = next((task for skill in skills if (task := _first(connection, here, skill)) is not None), None)
        if task is None:
            continue
        try:
            return _claimed(connection, task_columns.id == task, person)
        except UNREADABLE:
            raise NotUnderstood(task) from None
    return None


def _first(connection: Connection, here: Any, skill: str | None) -> int | None:
    """The first of these tasks that nobody is just taking, which then is locked.

    Args:
        skill: that it needs, "" for none; None for whatever it needs.
    """
    needed = [] if skill is None else [skill_needed() == skill]
    first = select(task_columns.id).where(here, *needed).order_by(*_IN_ORDER).limit(1)
    return connection.scalar(first.with_for_update(skip_locked=True))


def _skills(connection: Connection, here: Any, person: Person) -> list[str]:
    """What tasks may need that this person takes, "" for nothing: first the skill of the first task."""
    if not person.skills:
        return [""]
    asked = func.unnest(literal(["", *sorted(person.skills)], ARRAY(Text))).table_valued("skill").render_derived()
    first = select(task_columns.priority, task_columns.id).where(here, skill_needed() == asked.c.skill)
    firsts = first.order_by(*_IN_ORDER).limit(1).lateral()
    query = select(asked.c.skill).join_from(asked, firsts, true()).order_by(firsts.c.priority.desc(), firsts.c.id)
    return list(connection.scalars(query))


def _set_aside(connection: Connection, task: int) -> None:
    """Ends a task that nobody can read."""
    log.warning("task %s cannot be understood and is set aside: run `pipeline audit verify`", task)
    still = and_(task_columns.id == task, task_columns.closed_at.is_(None))
    moved(connection, still, {**ended(TaskState.FAILED), "note": NOT_UNDERSTOOD}, "fail", None)


def _claim(connection: Connection, task_id: int, person: Person) -> Task:
    free = and_(
        task_columns.state.in_(states_of(person)),
        or_(task_columns.assigned_to.is_(None), task_columns.assigned_to == person.name),
    )
    own = and_(task_columns.state == "in_progress", task_columns.claimed_by == person.name)
    task = _claimed(
        connection, and_(task_columns.id == task_id, free_for(person), or_(free, lease_ended(), own)), person
    )
    if task is None:
        raise _why_refused(connection, task_id, person)
    return task


def _claimed(connection: Connection, where: Any, person: Person) -> Task | None:
    changed = update(review_tasks).where(where).values(claim_values(person.name)).returning(review_tasks)
    rows = connection.execute(changed).all()
    note(connection, rows, "claim", person.name)
    return task_of(rows[0], rows[0].claim_token) if rows else None


def _why_refused(connection: Connection, task_id: int, person: Person) -> TaskTaken:
    row = one(connection, task_id)
    if row is None:
        return TaskTaken(f"there is no task {task_id}; open the queue")
    if row.closed_at is not None:
        return TaskTaken(f"task {task_id} is {row.state} already; take the next one")
    if row.proposal_id is not None:
        return TaskTaken(f"task {task_id} waits for a second person; an approver finds it among the proposals")
    if row.claimed_by is not None:
        return TaskTaken(f"task {task_id} is in somebody else's hand; take the next one")
    if row.held_by is not None:
        return TaskTaken(f"the cluster of task {task_id} is being decided at once; take the next one")
    if row.assigned_to not in (None, person.name):
        return TaskTaken(f"task {task_id} is assigned to somebody else; take the next one")
    return TaskTaken(
        f"task {task_id} is for somebody else: another role, another skill, or other eyes; take the next one"
    )


def _queue(connection: Connection, filters: QueueFilter, limit: int, after: tuple[float, int] | None) -> Queue:
    # state by state: each has its order in an index, and all of them together have none
    states = filters.states or OPEN
    firsts = [_filtered(light(), filters, state).order_by(*_IN_ORDER).limit(limit + 1) for state in states]
    if after is not None:
        priority, last = after
        beyond = or_(task_columns.priority < priority, task_columns.id > last)
        firsts = [first.where(task_columns.priority <= priority, beyond) for first in firsts]
    listed = union_all(*(select(first.subquery()) for first in firsts)).subquery()
    query = select(listed).order_by(listed.c.priority.desc(), listed.c.id).limit(limit + 1)
    rows = [queue_row(row) for row in connection.execute(query)]
    sizes = union_all(
        *(
            select(literal(state.value), func.count()).select_from(
                _filtered(select(literal(1)), filters, state).limit(MOST_COUNTED + 1).subquery()
            )
            for state in states
        )
    )
    counts = {state.value: 0 for state in OPEN} | dict(connection.execute(sizes).all())
    page = rows[:limit]
    more = (page[-1].priority, page[-1].id) if len(rows) > limit else None
    return Queue(page, counts, more)


def _filtered(query: Select[Any], filters: QueueFilter, state: TaskState) -> Select[Any]:
    # all open ones, in the words of the index
    query = query.where(task_columns.state.in_([state.value for state in OPEN]), task_columns.state == state.value)
    for name, value in asdict(filters).items():
        if name != "states" and value is not None:
            query = query.where(task_columns[name] == value)
    return query


def _reveal(connection: Connection, task_id: int, person: str, name: str, token: UUID | None) -> str | None:
    row = one(connection, task_id)
    if row is None:
        raise StaleClaim(f"there is no task {task_id}; open the queue")
    holds = row.claimed_by == person and row.claim_token == token and token is not None
    alive = holds and bool(connection.scalar(select(task_columns.id).where(task_columns.id == task_id, ~lease_ended())))
    if not alive and not proposals.waits_for(connection, row.proposal_id, person):
        raise stale(connection, task_id, person)
    sealed = row.content.get("sealed", {})
    if name not in sealed and not (name == PHOTOS and row.content.get(PHOTOS)):
        raise TaskTaken(f"task {task_id} has no personal value of that name; open the task again")
    written = {"task_id": task_id, "workflow": row.workflow, "case_id": row.case_id, "person": person, "field": name}
    revealed = connection.execute(insert(reveals).values(written).returning(reveals)).one()
    append(connection, "reveals", row.workflow, [Fact.of("reveals", revealed)])
    return sealed.get(name)
