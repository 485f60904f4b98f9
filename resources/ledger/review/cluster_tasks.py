"""What clusters and repeats do to review tasks: the statements, each in its caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, Connection, Row, Text, any_, case, cast, func, literal, null, select, text, update
from sqlalchemy.dialects.postgresql import insert

from pipeline_project.domain.review.spread import Member
from resources.ledger.tables import clusters as cluster_tables
from resources.ledger.tables.review import review_tasks, task_events

#: Most clusters looked at for the page.
MOST_CLUSTERS = 100

#: What a task asked again has for itself; all else is as it was on the one that was answered.
_OWN = (
    "id", "kind", "state", "version", "claim_token", "claimed_by", "claimed_at", "lease_until", "assigned_to",
    "excluded", "held_by", "proposal_id", "not_before", "opened_at", "due_at", "escalated_at", "closed_at", "reminded",
    "stayed_at",
)  # fmt: skip

_tasks = review_tasks.c
_LIGHT: tuple[Any, ...] = (
    _tasks.id,
    _tasks.case_id,
    _tasks.cluster,
    _tasks.night,
    _tasks.amount,
    _tasks.subject,
    _tasks.why,
)


def _free(workflow: str) -> tuple[Any, ...]:
    """Tasks that nobody holds, whose case is in a cluster, and that no split cluster gave back."""
    members, reviews = cluster_tables.cluster_members.c, cluster_tables.cluster_reviews.c
    given_back = (
        select(members.task_id)
        .join_from(cluster_tables.cluster_members, cluster_tables.cluster_reviews, members.review_id == reviews.id)
        .where(members.task_id == _tasks.id, reviews.state == "split")
    )
    return (
        _tasks.workflow == workflow,
        _tasks.kind == "case",
        _tasks.state == "pending",
        _tasks.held_by.is_(None),
        _tasks.cluster.is_not(None),
        ~given_back.exists(),
    )


def free_members(connection: Connection, workflow: str, cluster: str, lock: bool = False) -> list[Row[Any]]:
    """The open tasks of a cluster, by case; with `lock` whole, without those that somebody is just claiming."""
    here = (*_free(workflow), _tasks.cluster == cluster)
    if not lock:
        return list(connection.execute(select(*_LIGHT).where(*here).order_by(_tasks.case_id)))
    query = select(review_tasks).where(*here).order_by(_tasks.case_id)
    return list(connection.execute(query.with_for_update(skip_locked=True)))


def free_clusters(connection: Connection, workflow: str, minimum: int) -> dict[str, list[Row[Any]]]:
    """Open tasks of the clusters that have at least `minimum`, the largest clusters first."""
    sizes = (
        select(_tasks.cluster)
        .where(*_free(workflow))
        .group_by(_tasks.cluster)
        .having(func.count() >= minimum)
        .order_by(func.count().desc(), _tasks.cluster)
        .limit(MOST_CLUSTERS)
    )
    by_cluster: dict[str, list[Row[Any]]] = {cluster: [] for cluster in connection.scalars(sizes)}
    query: Any = select(*_LIGHT).where(*_free(workflow), _tasks.cluster.in_(list(by_cluster))).order_by(_tasks.case_id)
    for row in connection.execute(query) if by_cluster else ():
        by_cluster[row.cluster].append(row)
    return by_cluster


def stuck(connection: Connection, workflow: str) -> list[int]:
    """Reviews whose sample can never be whole: not all of it was answered, and nothing of it is open any more."""
    members, reviews = cluster_tables.cluster_members.c, cluster_tables.cluster_reviews.c
    open_ones = (
        select(members.task_id)
        .join_from(cluster_tables.cluster_members, review_tasks, members.task_id == _tasks.id)
        .where(members.review_id == reviews.id, members.sampled, _tasks.closed_at.is_(None))
    )
    here = (reviews.workflow == workflow, reviews.state == "sampling", ~open_ones.exists())
    return list(connection.scalars(select(reviews.id).where(*here).order_by(reviews.id).with_for_update()))


def member_of(row: Row[Any]) -> Member:
    return Member(row.id, row.case_id, row.amount, row.subject, row.why)


def contents(connection: Connection, tasks: Sequence[int]) -> list[Mapping[str, Any]]:
    """What the tasks show, in the order given."""
    by_task = dict(connection.execute(select(_tasks.id, _tasks.content).where(_tasks.id.in_(tasks))).all())
    return [by_task[task] for task in tasks]


def hold(connection: Connection, review: int, drawn: Iterable[int], others: Iterable[int], excluded: list[str]) -> None:
    """Members drawn stay in the queue as `sample`; the others leave it until their cluster is decided.

    Nothing of that is to be seen on a drawn member, so its history keeps silent as well.
    """
    assigned = _tasks.assigned_to
    sample = {
        "kind": "sample",
        "excluded": excluded,
        "assigned_to": case((assigned == any_(cast(excluded, ARRAY(Text))), None), else_=assigned),
    }
    _change(connection, drawn, sample)
    _change(connection, others, {"held_by": review, "assigned_to": None}, "hold")


def _change(connection: Connection, tasks: Iterable[int], values: Mapping[str, Any], event: str | None = None) -> None:
    """Changes tasks, in one order for everybody, and writes the event into their histories."""
    changed = update(review_tasks).where(_tasks.id.in_(list(tasks))).values(**values, version=_tasks.version + 1)
    rows = connection.execute(changed.returning(_tasks.id, _tasks.version)).all()
    if event is not None and rows:
        connection.execute(
            insert(task_events), [{"task_id": row.id, "version": row.version, "event": event} for row in rows]
        )


def held(connection: Connection, review: int) -> list[Row[Any]]:
    """The tasks a cluster review holds, locked, by case."""
    query = select(review_tasks).where(_tasks.held_by == review, _tasks.state == "pending")
    return list(connection.execute(query.order_by(_tasks.case_id).with_for_update()))


def complete(connection: Connection, tasks: Iterable[int]) -> None:
    """The cluster's decision settled them; nobody looked."""
    _change(connection, tasks, {"state": "complete", "held_by": None, "closed_at": func.now()}, "spread")


def give_back(connection: Connection, tasks: Iterable[int], note: str) -> None:
    """Back to the queue, each on its own, with a word on why."""
    _change(connection, tasks, {"held_by": None, "note": note}, "give_back")


def task(connection: Connection, task_id: int) -> Row[Any]:
    """What a repeat needs to know of the task that was answered."""
    query: Any = select(_tasks.case_id, _tasks.epoch).where(_tasks.id == task_id)
    return connection.execute(query).one()


def copy_as_repeat(connection: Connection, task_id: int, excluded: list[str], later: bool) -> int | None:
    """The same task asked again, in the same words; None where its case was asked again before, or it does itself."""
    same = {column.name: column for column in review_tasks.columns if column.name not in _OWN}
    newer = {
        "kind": literal("repeat"),
        "excluded": cast(excluded, ARRAY(Text)),
        "not_before": func.now() + text("interval '1 day'") if later else null(),
        "due_at": func.now() + (_tasks.due_at - _tasks.opened_at),
    }
    copy = select(*same.values(), *newer.values()).where(_tasks.id == task_id)
    made = insert(review_tasks).from_select([*same, *newer], copy).on_conflict_do_nothing().returning(_tasks.id)
    return connection.scalar(made)
