"""Clusters decided once: which there are, a person's decision for one, and the members that join one later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import IntegrityError

from pipeline_project.domain.core.errors import ClusterRefused
from pipeline_project.domain.review.cluster_reviews import (
    ClusterAnswer,
    ClusterReview,
    ClusterState,
    OpenCluster,
    at_stake,
    check_answer,
    planned,
)
from pipeline_project.domain.review.new_tasks import DeskRules, ReviewTerms
from pipeline_project.domain.review.spread import Member, SpreadPlan, drawn, eligible, members_hash
from pipeline_project.domain.review.typical import typical_and_different
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.review import cluster_tasks
from resources.ledger.review.cluster_money import weighed
from resources.ledger.review.cluster_rows import review_of, reviews_query
from resources.ledger.review.spreading import split_stuck
from resources.ledger.tables.clusters import cluster_members, cluster_reviews
from resources.ledger.unit_of_work import LedgerStore
from resources.postgres.locks import CLUSTER_REVIEWS

Result = TypeVar("Result")

#: Members compared for the page; more would take longer than they tell.
MOST_COMPARED = 200

_reviews = cluster_reviews.c


@dataclass(frozen=True)
class PostgresClusters(LedgerStore):
    """What people do with clusters; every method is one transaction.

    Every method raises DatabaseUnreachable when the database does not answer.
    """

    def open_clusters(self, workflow: str, terms: ReviewTerms) -> list[OpenCluster]:
        """Clusters with enough open tasks, the most money first; without the tasks to look at."""
        if terms.clusters is None:
            return []
        return self._run(lambda connection: _open_clusters(connection, workflow, terms))

    def open_cluster(self, workflow: str, cluster: str, terms: ReviewTerms) -> OpenCluster:
        """One cluster with the tasks to look at before deciding it; nothing open makes one without members."""
        return self._run(lambda connection: _shown(connection, workflow, cluster, terms))

    def decide_cluster(
        self, workflow: str, cluster: str, person: str, answer: ClusterAnswer, rules: DeskRules
    ) -> ClusterReview:
        """Writes a person's decision for a cluster and draws the members that will be decided blind.

        Where the workflow has a reviewer but `person`, the members drawn are not handed to `person`.

        Args:
            person: name of who decides.

        Raises:
            ClusterRefused: nobody may decide this cluster so, or nothing would be saved, or somebody was quicker.
        """
        check_answer(answer, rules.terms)
        decision = _ClusterDecision(workflow, cluster, person, answer)
        return self._run(lambda connection: _decided(connection, decision, rules))

    def sample_later(self, workflow: str, night: str, rules: DeskRules) -> list[ClusterReview]:
        """Tries the standing decisions of clusters on the members that joined since: a new sample, a fresh alpha.

        Samples that can never be whole are given up first. Newcomers too few for a sample wait in the queue like any
        case, and count again on the next night.

        Args:
            night: whose error is spent; newcomers of later nights are left for later.
        """
        if rules.terms.clusters is None:
            return []
        self._run(partial(_given_up, workflow))
        reviews = [
            self._run(partial(_tried_again, workflow, cluster, night, rules))
            for cluster in self._run(lambda connection: _standing_clusters(connection, workflow))
        ]
        return [review for review in reviews if review is not None]

    def review(self, review: int) -> ClusterReview | None:
        """One cluster review, or None."""
        query = reviews_query().where(_reviews.id == review)
        row = self._run(lambda connection: connection.execute(query).first())
        return None if row is None else review_of(row)

    def reviews(self, workflow: str, night: str | None = None, most: int = 200) -> list[ClusterReview]:
        """The latest cluster reviews, of one night or of all."""
        query = reviews_query().where(_reviews.workflow == workflow).order_by(_reviews.id.desc()).limit(most)
        if night is not None:
            query = query.where(_reviews.night == night)
        return self._run(lambda connection: [review_of(row) for row in connection.execute(query)])


@dataclass(frozen=True)
class _ClusterDecision:
    """One person's decision for a cluster.

    Attributes:
        follows: the review whose decision is tried on newcomers, or None.
        night: newcomers of later nights are left for later; None for all open members.
    """

    workflow: str
    cluster: str
    person: str
    answer: ClusterAnswer
    follows: int | None = None
    night: str | None = None


def _open_clusters(connection: Connection, workflow: str, terms: ReviewTerms) -> list[OpenCluster]:
    minimum = terms.clusters.minimum if terms.clusters else 0
    clusters = [
        _open(connection, workflow, cluster, rows, terms)[0]
        for cluster, rows in cluster_tasks.free_clusters(connection, workflow, minimum).items()
    ]
    return sorted(clusters, key=lambda cluster: (cluster.plan is None, -cluster.money, cluster.cluster))


def _shown(connection: Connection, workflow: str, cluster: str, terms: ReviewTerms) -> OpenCluster:
    rows = cluster_tasks.free_members(connection, workflow, cluster)
    shown, members = _open(connection, workflow, cluster, rows, terms)
    tasks = [member.task for member in members[:MOST_COMPARED]]
    typical, different = typical_and_different(cluster_tasks.contents(connection, tasks))
    return replace(shown, typical=[tasks[i] for i in typical], different=[tasks[i] for i in different])


def _standing_clusters(connection: Connection, workflow: str) -> list[str]:
    query = select(_reviews.cluster).distinct().where(_reviews.workflow == workflow, _reviews.state == "spread")
    return list(connection.scalars(query.order_by(_reviews.cluster)))


def _open(
    connection: Connection, workflow: str, cluster: str, rows: Sequence[Any], terms: ReviewTerms
) -> tuple[OpenCluster, list[Member]]:
    members = eligible([cluster_tasks.member_of(row) for row in rows], terms)
    fine = {member.task for member in members}
    night = max((row.night for row in rows if row.id in fine), default=None)
    plan = planned(members, _position(connection, workflow, night), terms) if night else None
    sampling = _under_way(connection, workflow, cluster)
    return OpenCluster(cluster, len(rows), len(members), at_stake(members), night, plan, sampling), members


def _decided(connection: Connection, decision: _ClusterDecision, rules: DeskRules) -> ClusterReview:
    CLUSTER_REVIEWS.of(workflow=decision.workflow).take(connection)
    if _under_way(connection, decision.workflow, decision.cluster):
        raise ClusterRefused(
            f"somebody decided cluster {decision.cluster} just before, and a sample of it is being looked at; go on "
            "with other cases"
        )
    opened = _opened(connection, decision, rules)
    if opened is None:
        raise ClusterRefused(
            f"cluster {decision.cluster} has too few open members left for a sample to prove anything; decide its "
            "cases one by one, or raise review.clusters.limit"
        )
    return opened


def _given_up(workflow: str, connection: Connection) -> None:
    append(connection, "answers", workflow, split_stuck(connection, workflow))


def _tried_again(
    workflow: str, cluster: str, night: str, rules: DeskRules, connection: Connection
) -> ClusterReview | None:
    CLUSTER_REVIEWS.of(workflow=workflow).take(connection)
    review = _standing(connection, workflow, cluster)
    if review is None or _under_way(connection, workflow, cluster):
        return None
    answer = ClusterAnswer(review.option, review.label, review.reason)
    decision = _ClusterDecision(workflow, cluster, review.decided_by, answer, review.id, night)
    return _opened(connection, decision, rules)


def _under_way(connection: Connection, workflow: str, cluster: str) -> int | None:
    here = (_reviews.workflow == workflow, _reviews.cluster == cluster, _reviews.state == ClusterState.SAMPLING)
    return connection.scalar(select(_reviews.id).where(*here))


def _standing(connection: Connection, workflow: str, cluster: str) -> ClusterReview | None:
    """The decision that newcomers get, if they are like those it was made for."""
    here = (_reviews.workflow == workflow, _reviews.cluster == cluster, _reviews.state == ClusterState.SPREAD)
    row = connection.execute(reviews_query().where(*here).order_by(_reviews.id.desc()).limit(1)).first()
    return None if row is None else review_of(row)


def _position(connection: Connection, workflow: str, night: str) -> int:
    here = (_reviews.workflow == workflow, _reviews.night == night)
    return 1 + (connection.scalar(select(func.count()).select_from(cluster_reviews).where(*here)) or 0)


def _opened(connection: Connection, decision: _ClusterDecision, rules: DeskRules) -> ClusterReview | None:
    """A new review with its members drawn and held, or None where a sample would prove nothing."""
    workflow = decision.workflow
    rows = cluster_tasks.free_members(connection, workflow, decision.cluster, lock=True)
    if decision.night is not None:
        rows = [row for row in rows if row.night <= decision.night]
    members = weighed(connection, rows, decision.answer.option, rules).members
    fine = {member.task for member in members}
    spent = decision.night or max((row.night for row in rows if row.id in fine), default=None)
    if spent is None:
        return None
    position = _position(connection, workflow, spent)
    plan = planned(members, position, rules.terms)
    if plan is None:
        return None
    ceiling = rules.terms.clusters.ceiling if rules.terms.clusters else None
    row = {**_row(decision, plan, members), "night": spent, "position": position, "ceiling": ceiling}
    review = _written(connection, row)
    excluded = [decision.person] if rules.others(decision.person) else []
    append(connection, "answers", workflow, _held(connection, review, members, excluded))
    return review


def _row(decision: _ClusterDecision, plan: SpreadPlan, members: Sequence[Member]) -> Mapping[str, object]:
    return {
        "workflow": decision.workflow,
        "cluster": decision.cluster,
        "follows": decision.follows,
        "decided_by": decision.person,
        **vars(decision.answer),
        "members": plan.members,
        "members_hash": members_hash([member.case_id for member in members]),
        "sample_size": plan.sample,
        "allowed_disagreements": plan.allowed,
        "alpha": plan.alpha,
        "share_limit": plan.limit,
    }


def _written(connection: Connection, row: Mapping[str, object]) -> ClusterReview:
    try:
        made = connection.execute(insert(cluster_reviews).values(row).returning(_reviews.id)).scalar_one()
    except IntegrityError:
        raise ClusterRefused(
            f"cluster {row['cluster']} was decided by somebody else at this moment; look again"
        ) from None
    return review_of(connection.execute(reviews_query().where(_reviews.id == made)).one())


def _held(connection: Connection, review: ClusterReview, members: Sequence[Member], excluded: list[str]) -> list[Fact]:
    """Draws the sample, takes the other members out of the queue, and says so for the audit chain."""
    named = f"{review.night}/{review.position}"
    picked = set(drawn(review.workflow, named, [m.case_id for m in members], review.sample_size))
    rows = [
        {
            "review_id": review.id,
            "task_id": member.task,
            "workflow": review.workflow,
            "case_id": member.case_id,
            "sampled": member.case_id in picked,
        }
        for member in members
    ]
    connection.execute(insert(cluster_members), rows)
    sampled = [member.task for member in members if member.case_id in picked]
    others = [member.task for member in members if member.case_id not in picked]
    cluster_tasks.hold(connection, review.id, sampled, others, excluded)
    opened = {
        name: getattr(review, name)
        for name in ("id", "workflow", "cluster", "night", "position", "follows", "decided_by", "option", "label")
    }
    plan = {
        "members": review.members,
        "members_hash": review.members_hash,
        "sample_size": review.sample_size,
        "allowed_disagreements": review.allowed_disagreements,
        "alpha": review.alpha,
        "share_limit": review.limit,
    }
    opening = Fact("cluster_reviews", {**opened, **plan, "reason": review.reason})
    facts: list[Fact] = [opening, *(Fact("cluster_members", row) for row in rows)]
    return [*facts, *(Fact("review_tasks", {"id": task, "kind": None}) for task in sampled)]
