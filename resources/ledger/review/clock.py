"""What time does to tasks: a tick that anybody may run at any moment, twice at once included.

Every change is one statement or one transaction that names what must still be true, so a tick that is repeated, killed
or doubled leaves what one would have left. Nothing here waits for a person.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    and_,
    any_,
    case,
    func,
    literal,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from pipeline_project.domain.core.errors import AnswerRefused, DatabaseUnreachable, KeyTaken
from pipeline_project.domain.core.people import Person
from pipeline_project.domain.core.reasons import Reason
from pipeline_project.domain.delivery.planned_actions import ActionTerms
from pipeline_project.domain.review.answers import at_stake, needs_second
from pipeline_project.domain.review.due import Ticked, lapse_option, reminder_hours
from pipeline_project.domain.review.new_tasks import DeskRules, ReviewTerms
from pipeline_project.domain.review.order import WEIGHTS, due_worth
from pipeline_project.domain.review.tasks import MOST_COUNTED, TaskState
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.outbox.outbox import enqueue
from resources.ledger.review import assigning, proposals
from resources.ledger.review.clusters import PostgresClusters
from resources.ledger.review.deciding import Superseded, as_recorded, decide, payout, planned
from resources.ledger.review.statements import (
    NOT_UNDERSTOOD,
    Changes,
    back_in_queue,
    ended,
    lease_ended,
    moved,
    task_columns,
)
from resources.ledger.tables.review import review_notices, review_tasks
from resources.ledger.unit_of_work import Work, repeated
from resources.postgres.databases import pooled_engine

log = logging.getLogger("pipeline.review")

#: What a decision says that nobody made in time.
_EXPLANATION = "Nobody answered in time; the workflow names this option for that"

#: Tasks that lapse in one tick; the rest follow in the next ones.
LAPSES_A_TICK = 500

#: Tasks that one transaction moves, so that nobody waits long for the chain or for a row; such transactions in a tick.
A_ROUND, ROUNDS = 2_000, 10

_OPEN = task_columns.state.in_(["pending", "in_progress", "escalated"])


@dataclass(frozen=True)
class ReviewClock:
    """The clock of review tasks; it keeps no connection, so a sensor's process may fork.

    Every method raises DatabaseUnreachable when the database does not answer.

    Attributes:
        people: who gets waiting tasks assigned where a tick names nobody; by default nobody, and people just take the
            next task.
    """

    url: str = field(repr=False)
    people: Callable[[], Sequence[Person]] = field(default=tuple, repr=False)

    def tick(self, terms: ReviewTerms, actions: ActionTerms, reviewers: Sequence[Person] = ()) -> Ticked:
        """Does what is due for one workflow's tasks; see `tick`."""
        return tick(self.url, terms.workflow, terms, actions, reviewers or self.people())

    def newcomers(self, night: str, terms: ReviewTerms, actions: ActionTerms) -> int:
        """Tries the standing decisions of clusters on the members that a night brought; how many are sampled again."""
        rules = DeskRules(terms, actions, [person.name for person in self.people()])
        return len(PostgresClusters(self.url).sample_later(terms.workflow, night, rules))


def tick(url: str, workflow: str, terms: ReviewTerms, actions: ActionTerms, reviewers: Sequence[Person] = ()) -> Ticked:
    """Claims whose lease ended go back; reminders, escalations and lapses are written once; priorities are refreshed.

    Args:
        reviewers: who gets waiting tasks assigned, `terms.most_tasks` each at most; nobody where it is empty.

    Raises:
        AnswerRefused: the workflow's safe default denies a customer something.
    """
    default = lapse_option(terms)

    def run(work: Work[int]) -> int:
        return repeated(pooled_engine(url), work)

    def in_rounds(work: Work[list[int]]) -> set[int]:
        done: set[int] = set()
        for _ in range(ROUNDS):
            moved_now = repeated(pooled_engine(url), work)
            done.update(moved_now)
            if len(moved_now) < A_ROUND:
                break
        return done

    returned = in_rounds(partial(_return_ended, workflow=workflow))
    freed = in_rounds(partial(_free_held, workflow=workflow))
    reminded: set[int] = set()
    for level, hours in enumerate(reminder_hours(terms), start=1):
        reminded |= in_rounds(partial(_remind, workflow=workflow, level=level, hours=hours))
    escalated = in_rounds(partial(_escalate, workflow=workflow))
    lapsed, stayed, failed = _lapse(url, run, workflow, terms, actions, default)
    reordered: set[int] = set()
    for level in reversed(range(1, len(WEIGHTS.due_hours) + 1)):
        reordered |= in_rounds(partial(_reorder, workflow=workflow, terms=terms, level=level))
    assigned = run(lambda c: assigning.assign(c, workflow, reviewers, terms.most_tasks)) if reviewers else 0
    waiting = run(partial(_waiting, workflow=workflow))
    return Ticked(
        len(returned), len(reminded), len(escalated), lapsed, stayed, failed, len(freed), len(reordered), assigned,
        waiting,
    )  # fmt: skip


def _due(hours: float) -> ColumnElement[bool]:
    """Tasks with at most so many hours left, by the database's clock."""
    return task_columns.due_at <= func.now() + func.make_interval(0, 0, 0, 0, 0, 0, hours * 3600)


def _return_ended(connection: Connection, workflow: str) -> list[int]:
    ended_leases = and_(task_columns.workflow == workflow, lease_ended())
    chosen = _chosen(connection, ended_leases, task_columns.lease_until)
    return _moved(connection, chosen, back_in_queue(), "lease_ended")


def _chosen(connection: Connection, where: ColumnElement[bool], *order: Any) -> list[int]:
    """A round of these tasks, which are locked; those that somebody is writing to are looked at later.

    Args:
        order: of the index that has them: without it the server might read the whole table.
    """
    query = select(task_columns.id).where(where).order_by(*order).limit(A_ROUND)
    return list(connection.scalars(query.with_for_update(skip_locked=True)))


def _these(tasks: Sequence[int]) -> ColumnElement[bool]:
    return task_columns.id == any_(literal(list(tasks), ARRAY(BigInteger)))


def _moved(connection: Connection, tasks: list[int], values: Changes, event: str) -> list[int]:
    if tasks:
        moved(connection, _these(tasks), values, event, None)
    return tasks


def _free_held(connection: Connection, workflow: str) -> list[int]:
    """A cluster whose sample nobody answered must not take its other members down with it."""
    held = and_(
        task_columns.workflow == workflow, task_columns.state == "pending", task_columns.held_by.is_not(None), _due(0.0)
    )
    note = "Its cluster was not decided in time; this case is decided on its own."
    values = {"held_by": None, "version": task_columns.version + 1, "note": note}
    return _moved(connection, _chosen(connection, held, task_columns.due_at), values, "freed")


# -- notices -----------------------------------------------------------------------------------------------------


def _remind(connection: Connection, workflow: str, level: int, hours: float) -> list[int]:
    # by the level on the task: an index finds those that have not come so far, and none that was reminded before
    below = task_columns.reminded.in_(range(level))
    crossed = and_(task_columns.workflow == workflow, _OPEN, below, _due(hours))
    tasks = _chosen(connection, crossed, task_columns.reminded, task_columns.due_at)
    if tasks:
        connection.execute(update(review_tasks).where(_these(tasks)).values(reminded=level))
    _chain_notices(connection, workflow, _noticed(connection, tasks, "reminder", level))
    return tasks


def _noticed(connection: Connection, tasks: Sequence[int], kind: str, level: int) -> list[Any]:
    """Writes a notice for each of these tasks that has none of that kind and level yet; returns the new rows."""
    if not tasks:
        return []
    wanted = select(task_columns.id, literal(kind), literal(level), task_columns.workflow).where(_these(tasks))
    statement = insert(review_notices).from_select(
        ["task_id", "kind", "level", "workflow"], wanted.order_by(task_columns.id)
    )
    return list(connection.execute(statement.on_conflict_do_nothing().returning(review_notices)))


def _chain_notices(connection: Connection, workflow: str, notices: Sequence[Any]) -> None:
    append(connection, "notices", workflow, [Fact.of("review_notices", row) for row in notices])


def _escalate(connection: Connection, workflow: str) -> list[int]:
    """What is past its due time goes to the approvers; a case that was only shown again just ends."""
    late = and_(task_columns.workflow == workflow, task_columns.held_by.is_(None), _due(0.0))
    waiting = and_(late, task_columns.state == "pending")
    again = _chosen(connection, and_(waiting, task_columns.kind == "repeat"), task_columns.due_at)
    _moved(connection, again, ended(TaskState.EXPIRED), "expire")
    values = {
        "state": "escalated",
        "version": task_columns.version + 1,
        "escalated_at": func.now(),
        "assigned_to": None,
    }
    chosen = _chosen(connection, and_(waiting, task_columns.kind != "repeat"), task_columns.due_at)
    escalated = _moved(connection, chosen, values, "escalate")
    # a proposal that nobody looks at is told as well, where it stands
    proposed = and_(late, task_columns.state == "in_progress", task_columns.proposal_id.is_not(None))
    waiting_long = [*escalated, *connection.scalars(select(task_columns.id).where(proposed))]
    _chain_notices(connection, workflow, _noticed(connection, waiting_long, "escalation", 1))
    return escalated


# -- lapses ------------------------------------------------------------------------------------------------------


def _lapse(
    url: str,
    run: Callable[[Work[int]], int],
    workflow: str,
    terms: ReviewTerms,
    actions: ActionTerms,
    default: str | None,
) -> tuple[int, int, int]:
    """Lapsed tasks take the safe default, each in a transaction of its own, or stay with the approvers."""
    done = {"lapsed": 0, "stayed": 0, "failed": 0, "moved_on": 0}
    lapse = partial(_lapse_one, terms=terms, actions=actions)
    for task in repeated(pooled_engine(url), partial(_late, workflow=workflow, terms=terms)):
        try:
            done[repeated(pooled_engine(url), partial(lapse, task_id=task, default=default))] += 1
        except (AnswerRefused, KeyTaken):
            # what cannot be carried out by itself is a person's
            done[repeated(pooled_engine(url), partial(lapse, task_id=task, default=None))] += 1
        except Superseded as error:
            done["failed"] += run(partial(_fail, task_id=task, why=str(error)))
        except DatabaseUnreachable:
            raise
        except Exception as error:  # noqa: BLE001 - one task that cannot be understood must not stop the others
            log.warning("task %s of %s could not be understood: %s", task, workflow, type(error).__name__)
            done["failed"] += run(partial(_fail, task_id=task, why=NOT_UNDERSTOOD))
    return done["lapsed"], done["stayed"], done["failed"]


def _late(connection: Connection, workflow: str, terms: ReviewTerms) -> list[int]:
    """Escalated tasks that lapse now and did not stay before, the longest waiting first."""
    late = and_(
        task_columns.workflow == workflow,
        task_columns.state == "escalated",
        task_columns.stayed_at.is_(None),
        _due(-terms.lapse_hours),
    )
    query = select(task_columns.id).where(late).order_by(task_columns.due_at).limit(LAPSES_A_TICK)
    return list(connection.scalars(query))


def _lapse_one(
    connection: Connection, task_id: int, terms: ReviewTerms, actions: ActionTerms, default: str | None
) -> str:
    """Whether the task `lapsed`, `stayed`, or had `moved_on` before."""
    free = and_(task_columns.id == task_id, task_columns.state == "escalated")
    task: Any = connection.execute(select(review_tasks).where(free).with_for_update()).first()
    notices = _noticed(connection, [task_id], "lapse", 1) if task is not None else []
    if not notices:
        return "moved_on"
    facts = [Fact.of("review_notices", row) for row in notices]
    if default is None or task.kind != "case" or _second_needed(connection, task, default, terms, actions):
        connection.execute(update(review_tasks).where(task_columns.id == task_id).values(stayed_at=func.now()))
        append(connection, "notices", task.workflow, facts)
        return "stayed"
    as_recorded(connection, task)
    plan = planned(task, default, actions)
    decided = decide(connection, task, default, Reason.LAPSED.value, "policy", _EXPLANATION)
    moved(connection, task_columns.id == task_id, ended(TaskState.EXPIRED), "lapse", None)
    added = enqueue(connection, plan, actions)
    append(connection, "decisions", task.workflow, [*facts, decided.fact, *added.facts])
    return "lapsed"


def _second_needed(connection: Connection, task: Any, default: str, terms: ReviewTerms, actions: ActionTerms) -> bool:
    """Where two people would have to agree, nobody at all is too few."""
    amount = at_stake(task.amount, payout(planned(task, default, actions)))
    if terms.second_above is None or task.subject is None:
        return needs_second(default, amount, 0.0, terms)
    proposals.lock_subject(connection, task.workflow, task.subject)
    return needs_second(default, amount, proposals.earlier_amounts(connection, task, terms), terms)


def _fail(connection: Connection, task_id: int, why: str) -> int:
    escalated = and_(task_columns.id == task_id, task_columns.state == "escalated")
    return len(moved(connection, escalated, {**ended(TaskState.FAILED), "note": why}, "fail", None))


# -- the queue's order -------------------------------------------------------------------------------------------


def _reorder(connection: Connection, workflow: str, terms: ReviewTerms, level: int) -> list[int]:
    """Tasks that crossed a level towards their due time move up by what it adds; the version stays."""
    worth = due_worth(level, terms.cost)
    had = case(
        {before: due_worth(before, terms.cost) for before in range(level)}, value=task_columns.due_level, else_=0.0
    )
    below = task_columns.due_level.in_(range(level))
    crossed = and_(task_columns.workflow == workflow, _OPEN, below, _due(WEIGHTS.due_hours[level - 1]))
    tasks = _chosen(connection, crossed, task_columns.due_level, task_columns.due_at)
    if tasks:
        values = {"priority": task_columns.priority + worth - had, "due_level": level}
        connection.execute(update(review_tasks).where(_these(tasks)).values(values))
    return tasks


def _waiting(connection: Connection, workflow: str) -> int:
    """Tasks past their due time that wait for an approver, proposals included, `MOST_COUNTED` of either at most."""
    proposed = and_(task_columns.state == "in_progress", task_columns.proposal_id.is_not(None), _due(0.0))
    kinds = [
        select(func.count()).select_from(
            select(literal(1)).where(task_columns.workflow == workflow, late).limit(MOST_COUNTED).subquery()
        )
        for late in (task_columns.state == "escalated", proposed)
    ]
    return sum(connection.scalars(union_all(*kinds)))
