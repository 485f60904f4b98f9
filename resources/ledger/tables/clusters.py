"""Clusters decided once, and cases answered twice."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    func,
)

from resources.ledger.tables.nights import NightColumn, metadata


def _now(name: str) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


#: One decision for a cluster: the plan as promised before anybody looked, and what became of it. `position` is its
#: place among the reviews of its night, which fixes its alpha; `follows` is the review whose decision newcomers get.
cluster_reviews = Table(
    "cluster_reviews",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("cluster", Text, nullable=False),
    Column("night", NightColumn, nullable=False),
    Column("position", Integer, nullable=False),
    Column("follows", BigInteger),
    Column("decided_by", Text, nullable=False),
    Column("option", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("members", Integer, nullable=False),
    Column("members_hash", Text, nullable=False),
    Column("sample_size", Integer, nullable=False),
    Column("allowed_disagreements", Integer, nullable=False),
    Column("alpha", Double, nullable=False),
    Column("share_limit", Double, nullable=False),
    Column("ceiling", Double),
    Column("state", Text, nullable=False, server_default="sampling"),
    Column("disagreements", Integer, nullable=False, server_default="0"),
    Column("bound", Double),
    Column("spread_to", Integer),
    Column("version", Integer, nullable=False, server_default="1"),
    _now("opened_at"),
    Column("closed_at", DateTime(timezone=True)),
    ForeignKeyConstraint(["follows"], ["cluster_reviews.id"]),
    # a night's error is spent in order, each part once
    UniqueConstraint("workflow", "night", "position"),
    CheckConstraint("position > 0", name="position_counts_from_one"),
    CheckConstraint("cluster <> '' AND decided_by <> ''", name="cluster_and_person_are_named"),
    CheckConstraint("option <> '' AND label <> '' AND reason <> ''", name="answer_is_whole"),
    CheckConstraint("sample_size > 0 AND sample_size < members", name="sample_leaves_members"),
    CheckConstraint("allowed_disagreements >= 0 AND allowed_disagreements < sample_size", name="allowed_below_sample"),
    CheckConstraint(
        "alpha > 0 AND alpha < 1 AND share_limit >= 0 AND share_limit < 1", name="alpha_and_limit_are_shares"
    ),
    CheckConstraint("state IN ('sampling', 'spread', 'split', 'superseded')", name="state_is_known"),
    CheckConstraint("(state = 'sampling') = (closed_at IS NULL)", name="closed_once_decided"),
    CheckConstraint(
        "state NOT IN ('spread', 'superseded') OR "
        "(bound IS NOT NULL AND bound <= share_limit AND disagreements <= allowed_disagreements)",
        name="spread_within_limit",
    ),
    # two people who decide one cluster at once: the second is refused
    Index("uq_cluster_reviews_sampling", "workflow", "cluster", unique=True, postgresql_where="state = 'sampling'"),
    Index("ix_cluster_reviews_workflow_cluster", "workflow", "cluster"),
)

#: Who belonged to a cluster when it was decided, and who of them was drawn.
cluster_members = Table(
    "cluster_members",
    metadata,
    Column("review_id", BigInteger, primary_key=True),
    Column("task_id", BigInteger, primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("case_id", Text, nullable=False),
    Column("sampled", Boolean, nullable=False),
    ForeignKeyConstraint(["review_id"], ["cluster_reviews.id"]),
    UniqueConstraint("review_id", "case_id"),
    Index("ix_cluster_members_task_id", "task_id"),
)

#: What somebody who did not know the cluster's decision made of a drawn member.
cluster_verdicts = Table(
    "cluster_verdicts",
    metadata,
    Column("review_id", BigInteger, primary_key=True),
    Column("task_id", BigInteger, primary_key=True),
    Column("answered_by", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    _now("recorded_at"),
    ForeignKeyConstraint(["review_id", "task_id"], ["cluster_members.review_id", "cluster_members.task_id"]),
    CheckConstraint("verdict IN ('agree', 'disagree')", name="verdict_is_known"),
    CheckConstraint("answered_by <> ''", name="person_is_named"),
)

#: Cases asked a second time, unmarked: the task that was answered first, and the one that asks again.
repeats = Table(
    "repeats",
    metadata,
    Column("task_id", BigInteger, primary_key=True, autoincrement=False),
    Column("first_task_id", BigInteger, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("case_id", Text, nullable=False),
    Column("first_by", Text, nullable=False),
    Column("first_option", Text, nullable=False),
    Column("first_label", Text, nullable=False),
    _now("asked_at"),
    UniqueConstraint("first_task_id"),
    Index("ix_repeats_workflow", "workflow"),
)

#: What came of asking again; it decides nothing.
repeat_answers = Table(
    "repeat_answers",
    metadata,
    Column("task_id", BigInteger, primary_key=True, autoincrement=False),
    Column("answered_by", Text, nullable=False),
    Column("second_option", Text, nullable=False),
    Column("second_label", Text, nullable=False),
    _now("answered_at"),
    ForeignKeyConstraint(["task_id"], ["repeats.task_id"]),
)

#: Tables of this module whose rows never change.
FACTS: tuple[str, ...] = ("cluster_members", "cluster_verdicts", "repeats", "repeat_answers")
