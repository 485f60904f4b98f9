"""Rows of `cluster_reviews` as `ClusterReview`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, Select, func, select

from pipeline_project.domain.review.cluster_reviews import ClusterReview, ClusterState
from resources.ledger.tables.clusters import cluster_reviews, cluster_verdicts

_PLAIN = (
    "id", "workflow", "cluster", "night", "position", "follows", "decided_by", "option", "label", "reason", "members",
    "members_hash", "sample_size", "allowed_disagreements", "alpha", "ceiling", "disagreements", "bound", "spread_to",
    "version", "opened_at", "closed_at", "answered",
)  # fmt: skip


def reviews_query() -> Select[Any]:
    """Cluster reviews with the number of answers their samples have."""
    answered = (
        select(func.count())
        .where(cluster_verdicts.c.review_id == cluster_reviews.c.id)
        .scalar_subquery()
        .label("answered")
    )
    return select(cluster_reviews, answered)


def review_of(row: Row[Any]) -> ClusterReview:
    plain = {name: getattr(row, name) for name in _PLAIN}
    return ClusterReview(**plain, state=ClusterState(row.state), limit=row.share_limit)
