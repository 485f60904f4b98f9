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

from sqlalchemy import ColumnElement, Connection, and_, case, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from pipeline_project.domain.core.errors import AnswerRefused, DatabaseUnreachable, KeyTaken
from pipeline_project.domain.core.people import Person
from pipeline_project.domain.core.reasons import Reason
from pipeline_project.domain.delivery.planned_actions import ActionTerms
from pipeline_project.domain.review.answers import at_stake, needs_second
from pipeline_project.domain.review.due import Ticked, lapse_option, reminder_hours
from pipeline_project.domain.review.new_tasks import DeskRules, ReviewTerms
from pipeline_project.domain.review.order import WEIGHTS, due_worth
from pipeline_project.domain.review.tasks import TaskState
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.outbox.outbox import enqueue
from resources.ledger.review import assigning, proposals
from resources.ledger.review.clusters import PostgresClusters
from resources.ledger.review.deciding import Superseded, as_recorded, decide, payout, planned
from resources.ledger.review.statements import NOT_UNDERSTOOD, back_in_queue, ended, lease_ended, moved, task_columns
from resources.ledger.tables.review import review_notices, review_tasks
from resources.ledger.unit_of_work import Work, repeated
from resources.postgres.databases import pooled_engine

log = logging.getLogger("pipeline.review")

#: What a decision says that nobody made in time.
_EXPLANATION = "Nobody answered in time; the workflow names this option for that"

#: Tasks that lapse in one tick; the rest follow in the next ones.
LAPSES_A_TICK = 500

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

    returned = run(partial(_return_ended, workflow=workflow))
    freed = run(partial(_free_held, workflow=workflow))
    reminded = run(partial(_remind, workflow=workflow, terms=terms))
    escalated = run(partial(_escalate, workflow=workflow))
    lapsed, stayed, failed = _lapse(url, run, workflow, terms, actions, default)
    reordered = run(partial(_reorder, workflow=workflow, terms=terms))
    assigned = run(lambda c: assigning.assign(c, workflow, reviewers, terms.most_tasks)) if reviewers else 0
    waiting = run(partial(_waiting, workflow=workflow))
    return Ticked(returned, reminded, escalated, lapsed, stayed, failed, freed, reordered, assigned, waiting)


def _due(hours: float) -> ColumnElement[bool]:
    """Tasks with at most so many hours left, by the database's clock."""
    return task_columns.due_at <= func.now() + func.make_interval(0, 0, 0, 0, 0, 0, hours * 3600)


def _return_ended(connection: Connection, workflow: str) -> int:
    ended_leases = and_(task_columns.workflow == workflow, lease_ended())
    return len(moved(connection, _unlocked(ended_leases), back_in_queue(), "lease_ended", None))


def _unlocked(where: ColumnElement[bool]) -> ColumnElement[bool]:
    """Of these tasks the ones that nobody is writing to at this moment; the others are looked at in the next tick."""
    # the condition stands twice: once to choose the rows, once for the moment at which they are changed
    return and_(where, task_columns.id.in_(select(task_columns.id).where(where).with_for_update(skip_locked=True)))


def _free_held(connection: Connection, workflow: str) -> int:
    """A cluster whose sample nobody answered must not take its other members down with it."""
    held = and_(
        task_columns.workflow == workflow, task_columns.state == "pending", task_columns.held_by.is_not(None), _due(0.0)
    )
    note = "Its cluster was not decided in time; this case is decided on its own."
    values = {"held_by": None, "version": task_columns.version + 1, "note": note}
    return len(moved(connection, _unlocked(held), values, "freed", None))


# -- notices -----------------------------------------------------------------------------------------------------


def _remind(connection: Connection, workflow: str, terms: ReviewTerms) -> int:
    new: list[Any] = []
    for level, hours in enumerate(reminder_hours(terms), start=1):
        new += _noticed(connection, and_(task_columns.workflow == workflow, _OPEN, _due(hours)), "reminder", level)
    return _chain_notices(connection, workflow, new)


def _noticed(connection: Connection, where: ColumnElement[bool], kind: str, level: int) -> list[Any]:
    """Writes a notice for each of these tasks that has none of that kind and level yet; returns the new rows."""
    of = review_notices.c
    there = select(of.task_id).where(of.task_id == task_columns.id, of.kind == kind, of.level == level)
    wanted = select(task_columns.id, literal(kind), literal(level), task_columns.workflow).where(where, ~there.exists())
    statement = insert(review_notices).from_select(
        ["task_id", "kind", "level", "workflow"], wanted.order_by(task_columns.id)
    )
    return list(connection.execute(statement.on_conflict_do_nothing().returning(review_notices)))


def _chain_notices(connection: Connection, workflow: str, notices: Sequence[Any]) -> int:
    append(connection, "notices", workflow, [Fact.of("review_notices", row) for row in notices])
    return len({row.task_id for row in notices})


def _escalate(connection: Connection, workflow: str) -> int:
    """What is past its due time goes to the approvers; a case that was only shown again just ends."""
    late = and_(task_columns.workflow == workflow, task_columns.held_by.is_(None), _due(0.0))
    waiting = and_(late, task_columns.state == "pending")
    moved(connection, _unlocked(and_(waiting, task_columns.kind == "repeat")), ended(TaskState.EXPIRED), "expire", None)
    values = {
        "state": "escalated",
        "version": task_columns.version + 1,
        "escalated_at": func.now(),
        "assigned_to": None,
    }
    rows = moved(connection, _unlocked(and_(waiting, task_columns.kind != "repeat")), values, "escalate", None)
    # a proposal that nobody looks at is told as well, where it stands
    proposed = and_(late, task_columns.state == "in_progress", task_columns.proposal_id.is_not(None))
    notices = _noticed(connection, or_(proposed, and_(late, task_columns.state == "escalated")), "escalation", 1)
    _chain_notices(connection, workflow, notices)
    return len(rows)


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
    """Escalated tasks that lapse now and were not told so yet."""
    of = review_notices.c
    lapse_notices = select(of.task_id).where(of.task_id == task_columns.id, of.kind == "lapse")
    late = and_(
        task_columns.workflow == workflow,
        task_columns.state == "escalated",
        _due(-terms.lapse_hours),
        ~lapse_notices.exists(),
    )
    return list(connection.scalars(select(task_columns.id).where(late).order_by(task_columns.id).limit(LAPSES_A_TICK)))


def _lapse_one(
    connection: Connection, task_id: int, terms: ReviewTerms, actions: ActionTerms, default: str | None
) -> str:
    """Whether the task `lapsed`, `stayed`, or had `moved_on` before."""
    free = and_(task_columns.id == task_id, task_columns.state == "escalated")
    task: Any = connection.execute(select(review_tasks).where(free).with_for_update()).first()
    notices = _noticed(connection, task_columns.id == task_id, "lapse", 1) if task is not None else []
    if not notices:
        return "moved_on"
    facts = [Fact.of("review_notices", row) for row in notices]
    if default is None or task.kind != "case" or _second_needed(connection, task, default, terms, actions):
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


def _reorder(connection: Connection, workflow: str, terms: ReviewTerms) -> int:
    """Tasks that crossed a level towards their due time move up by what it adds; the version stays."""
    changed = 0
    for level, hours in reversed(list(enumerate(WEIGHTS.due_hours, start=1))):
        worth = due_worth(level, terms.cost)
        had = case(
            {before: due_worth(before, terms.cost) for before in range(level)}, value=task_columns.due_level, else_=0.0
        )
        crossed = and_(task_columns.workflow == workflow, _OPEN, task_columns.due_level < level, _due(hours))
        values = {"priority": task_columns.priority + worth - had, "due_level": level}
        changed += connection.execute(update(review_tasks).where(_unlocked(crossed)).values(values)).rowcount
    return changed


def _waiting(connection: Connection, workflow: str) -> int:
    """Tasks past their due time that wait for an approver, proposals included."""
    late = or_(
        task_columns.state == "escalated",
        and_(task_columns.state == "in_progress", task_columns.proposal_id.is_not(None), _due(0.0)),
    )
    return connection.scalar(select(func.count()).where(task_columns.workflow == workflow, late)) or 0
