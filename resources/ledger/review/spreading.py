"""What an answer to a drawn member means for its cluster: in the transaction of that answer, all of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from pipeline_project.domain.core.errors import LedgerRefused
from pipeline_project.domain.delivery.planned_actions import PlannedAction
from pipeline_project.domain.review.answers import Answer
from pipeline_project.domain.review.cluster_reviews import CLUSTER_REVIEW, ClusterReview, ClusterState
from pipeline_project.domain.review.new_tasks import DeskRules
from pipeline_project.domain.review.spread import SampleStanding, standing
from resources.ledger.audit.facts import Fact
from resources.ledger.decisions import DecisionRow, further_decision, standing_decisions
from resources.ledger.outbox.outbox import enqueue
from resources.ledger.review import cluster_tasks
from resources.ledger.review.cluster_money import WeighedCluster, weighed
from resources.ledger.review.cluster_rows import review_of, reviews_query
from resources.ledger.rows import insert_new, jsonable
from resources.ledger.tables import clusters as cluster_tables
from resources.ledger.tables import nights as tables

#: By what the audit chain knows a review.
_NAMED = ("workflow", "night", "position", "id")


def after_answer(
    connection: Connection, task_id: int, answered_by: str, answer: Answer, rules: DeskRules
) -> list[Fact]:
    """Counts a drawn member's own answer for or against its cluster, and spreads or splits the cluster with the last.

    It is called after that answer has decided its case, for tasks of the kind `sample`.

    Returns:
        What is to be appended to the audit chain; nothing when the cluster was decided before.

    Raises:
        LedgerRefused: a member was decided elsewhere at the same moment; nothing was written, try again.
    """
    review = lock_cluster(connection, task_id)
    if review is None:
        return []
    agrees = (answer.option, answer.label) == (review.option, review.label)
    verdict = {
        "review_id": review.id,
        "task_id": task_id,
        "answered_by": answered_by,
        "verdict": "agree" if agrees else "disagree",
    }
    connection.execute(cluster_tables.cluster_verdicts.insert(), verdict)
    # counted in a statement of its own: it sees what those committed who held the lock before
    answered, disagreements = _counted(connection, review.id)
    sample_standing = standing(review.plan(), answered, disagreements)
    facts: list[Fact] = [Fact("cluster_verdicts", verdict)]
    if sample_standing.spread is None:
        return facts + _move(connection, review, ClusterState.SAMPLING, disagreements, sample_standing, None)
    held = cluster_tasks.held(connection, review.id)
    before = _standing(connection, review.workflow, held) if sample_standing.spread else {}
    money = weighed(connection, held, review.option, rules) if sample_standing.spread else None
    reached = _reached(held, before, money) if money else []
    if sample_standing.spread:
        sample_standing = standing(review.plan(), answered, disagreements, len(reached))
    planned: list[PlannedAction] = []
    if sample_standing.spread:
        facts += _spread(connection, review, reached, before, sample_standing)
        planned = [action for row in reached for action in money.actions[row.id]] if money else []
        closed = _move(connection, review, ClusterState.SPREAD, disagreements, sample_standing, len(reached))
        closed += _supersede(connection, review, earlier=True)
    else:
        reached = []
        closed = _move(connection, review, ClusterState.SPLIT, disagreements, sample_standing, None)
        closed += _supersede(connection, review, earlier=False)
    reached_ids = {row.id for row in reached}
    left = [row.id for row in held if row.id not in reached_ids]
    cluster_tasks.give_back(connection, left, _why_back(review, answered, disagreements, bool(reached)))
    facts += enqueue(connection, planned, rules.actions).facts
    return [*facts, *closed]


def split_stuck(connection: Connection, workflow: str) -> list[Fact]:
    """Splits the clusters whose samples can never be whole, because members drawn were decided elsewhere.

    Returns:
        What is to be appended to the audit chain.
    """
    facts: list[Fact] = []
    reviews = cluster_tables.cluster_reviews
    for stuck in cluster_tasks.stuck(connection, workflow):
        review = review_of(connection.execute(reviews_query().where(reviews.c.id == stuck)).one())
        split = SampleStanding(spread=False, bound=None)
        facts += _move(connection, review, ClusterState.SPLIT, review.disagreements, split, None)
        held = [row.id for row in cluster_tasks.held(connection, stuck)]
        reason = (
            f"Its cluster's sample could not be finished (cluster review {stuck}); this case is decided on its own."
        )
        cluster_tasks.give_back(connection, held, reason)
    return facts


def lock_cluster(connection: Connection, task_id: int) -> ClusterReview | None:
    """The review under way that drew a task; its row stays locked, so that answers are counted one after another.

    Whoever writes anything else in the same transaction calls it first: two answers then wait here for each other, and
    not each for what the other holds.
    """
    members, reviews = cluster_tables.cluster_members.c, cluster_tables.cluster_reviews.c
    query = (
        select(reviews.id)
        .join_from(cluster_tables.cluster_reviews, cluster_tables.cluster_members, members.review_id == reviews.id)
        .where(members.task_id == task_id, members.sampled, reviews.state == ClusterState.SAMPLING)
        .with_for_update(of=cluster_tables.cluster_reviews)
    )
    review = connection.scalar(query)
    return None if review is None else review_of(connection.execute(reviews_query().where(reviews.id == review)).one())


def _counted(connection: Connection, review: int) -> tuple[int, int]:
    verdicts = cluster_tables.cluster_verdicts.c
    query = select(func.count(), func.count().filter(verdicts.verdict == "disagree"))
    answered, disagreements = connection.execute(query.where(verdicts.review_id == review)).one()
    return answered, disagreements


def _move(
    connection: Connection,
    review: ClusterReview,
    state: ClusterState,
    disagreements: int,
    sample_standing: SampleStanding,
    spread_to: int | None,
) -> list[Fact]:
    """Writes how far a review has come; returns it for the audit chain."""
    reviews = cluster_tables.cluster_reviews
    over = {"bound": sample_standing.bound, "spread_to": spread_to, "closed_at": func.now()}
    progress = {"state": state, "disagreements": disagreements, **({} if state == ClusterState.SAMPLING else over)}
    here = (reviews.c.id == review.id, reviews.c.version == review.version, reviews.c.state == ClusterState.SAMPLING)
    if connection.execute(update(reviews).where(*here).values(**progress, version=reviews.c.version + 1)).rowcount != 1:
        raise LedgerRefused(f"cluster review {review.id} was closed meanwhile; nothing was written, answer again")
    named = {name: getattr(review, name) for name in _NAMED}
    return [Fact(reviews.name, {**named, **dict.fromkeys(progress.keys() - {"closed_at"})})]


def _supersede(connection: Connection, review: ClusterReview, earlier: bool) -> list[Fact]:
    """A decision that spread replaces the ones before it; a split among newcomers ends the one it tried.

    Returns:
        Which those were, for the audit chain.
    """
    reviews = cluster_tables.cluster_reviews
    which = (
        (reviews.c.workflow == review.workflow, reviews.c.cluster == review.cluster, reviews.c.id < review.id)
        if earlier
        else (reviews.c.id == review.follows,)
    )
    newer = {"state": ClusterState.SUPERSEDED, "version": reviews.c.version + 1}
    over = update(reviews).where(*which, reviews.c.state == ClusterState.SPREAD).values(newer)
    gone = connection.execute(over.returning(*(reviews.c[name] for name in _NAMED)))
    return [Fact(reviews.name, {**row._asdict(), "state": None}) for row in gone]


def _reached(held: Sequence[Row[Any]], before: Mapping[str, Row[Any]], money: WeighedCluster) -> list[Row[Any]]:
    """Held members that the decision may still spread to: not those whose money or decision changed meanwhile."""
    fine = {member.task for member in money.members}
    return [row for row in held if row.id in fine and before[row.case_id].epoch == row.epoch]


def _standing(connection: Connection, workflow: str, held: Sequence[Row[Any]]) -> dict[str, Row[Any]]:
    cases = [row.case_id for row in held]
    query = standing_decisions(workflow).where(tables.decisions.c.case_id.in_(cases))
    return {row.case_id: row for row in connection.execute(query)}


def _spread(
    connection: Connection,
    review: ClusterReview,
    reached: Sequence[Row[Any]],
    before: Mapping[str, Row[Any]],
    sample_standing: SampleStanding,
) -> list[Fact]:
    rows = _decisions(review, reached, before, sample_standing)
    made = insert_new(connection, tables.decisions, [vars(row) for row in rows], "case_id")
    if len(made) != len(reached):
        raise LedgerRefused(
            f"{len(reached) - len(made)} members of cluster {review.cluster} were decided elsewhere at this moment; "
            "nothing was written, answer again"
        )
    outcomes = _outcomes(connection, review, made)
    cluster_tasks.complete(connection, [row.id for row in reached])
    return [*(Fact("decisions", vars(row)) for row in rows), *outcomes]


def _decisions(
    review: ClusterReview, reached: Sequence[Row[Any]], before: Mapping[str, Row[Any]], sample_standing: SampleStanding
) -> list[DecisionRow]:
    """The next decision of each member: the person's option, with what the machine knew when it asked."""
    explanation = (
        f"Decided with its cluster (cluster review {review.id}): of {review.members} members {review.sample_size} were "
        f"decided blind, and at most {100 * (sample_standing.bound or 0.0):.1f} % of the others may disagree"
    )
    return [
        further_decision(before[row.case_id], review.option, review.reason, explanation, f"person:{review.decided_by}")
        for row in reached
    ]


def _outcomes(connection: Connection, review: ClusterReview, cases: Sequence[str]) -> list[Fact]:
    """Labels nobody saw: never beside one that is known, which the latest would hide."""
    outcomes = tables.outcomes.c
    there = set(
        connection.scalars(
            select(outcomes.case_id).where(outcomes.workflow == review.workflow, outcomes.case_id.in_(cases))
        )
    )
    same = {"label": review.label, "known_at": connection.scalar(select(func.now())), "source": CLUSTER_REVIEW}
    rows = [{"workflow": review.workflow, "case_id": case, **same} for case in sorted(cases) if case not in there]
    insert_new(connection, tables.outcomes, jsonable(rows), "id")
    return [Fact("outcomes", row) for row in rows]


def _why_back(review: ClusterReview, answered: int, disagreements: int, spread: bool) -> str:
    if spread:
        return f"Its cluster was decided at once (cluster review {review.id}); this case needs eyes of its own."
    return (
        f"Its cluster was split (cluster review {review.id}): {disagreements} of {answered} members decided blind "
        "disagree with the cluster's decision."
    )
