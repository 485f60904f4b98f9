"""What a cluster's decision would pay, and whose money keeps a case from being decided with others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row

from pipeline_project.domain.core.errors import AnswerRefused
from pipeline_project.domain.delivery.planned_actions import PlannedAction
from pipeline_project.domain.review.answers import at_stake
from pipeline_project.domain.review.new_tasks import DeskRules
from pipeline_project.domain.review.spread import Member, eligible
from resources.ledger.review import proposals
from resources.ledger.review.cluster_tasks import member_of
from resources.ledger.review.deciding import payout, planned


@dataclass(frozen=True)
class WeighedCluster:
    """Members that one decision may stand for, by case, and the actions it would lead to, by task."""

    members: list[Member]
    actions: dict[int, list[PlannedAction]]


def weighed(connection: Connection, rows: Sequence[Row[Any]], option: str, rules: DeskRules) -> WeighedCluster:
    """Those of some open tasks that a decision for `option` may stand for.

    A customer's amounts add up with what people decided before, as for a single answer, and stay locked until the
    transaction ends. A case for which the option cannot be carried out is left for a person of its own.

    Args:
        rows: of `review_tasks`, with `epoch` and `content`.
    """
    actions: dict[int, list[PlannedAction]] = {}
    members = []
    for row in rows:
        try:
            actions[row.id] = planned(row, option, rules.actions)
        except AnswerRefused:
            continue
        members.append(replace(member_of(row), amount=at_stake(row.amount, payout(actions[row.id]))))
    terms = rules.terms
    if option not in terms.acts and option not in terms.denies:
        terms = replace(terms, second_above=None)
    if terms.second_above is None:
        return WeighedCluster(eligible(members, terms), actions)
    for subject in sorted({member.subject for member in members if member.subject is not None}):
        proposals.lock_subject(connection, terms.workflow, subject)
    earlier: dict[str, float] = {}
    for row in rows:
        if row.subject is not None:
            amount = proposals.earlier_amounts(connection, row, terms)
            earlier[row.subject] = max(earlier.get(row.subject, 0.0), amount)
    return WeighedCluster(eligible(members, terms, earlier), actions)
