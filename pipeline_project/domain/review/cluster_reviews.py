"""A cluster decided once: what is asked, what is answered, what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pipeline_project.domain.core.errors import ClusterRefused
from pipeline_project.domain.review.new_tasks import ReviewTerms
from pipeline_project.domain.review.spread import Member, SpreadPlan, budget, spread_plan

#: Source of the outcomes of members that nobody looked at: one answer, copied.
CLUSTER_REVIEW = "cluster_review"


class ClusterState(StrEnum):
    """`superseded`: it spread, but newcomers did not fit, or a later decision took its place."""

    SAMPLING = "sampling"
    SPREAD = "spread"
    SPLIT = "split"
    SUPERSEDED = "superseded"


@dataclass(frozen=True)
class ClusterAnswer:
    """A person's decision for a whole cluster; `reason` is a code of the workflow's short list."""

    option: str
    label: str
    reason: str


@dataclass(frozen=True)
class ClusterReview:
    """One row of `cluster_reviews`.

    Attributes:
        night: the latest night of its members; its position there fixes alpha.
        follows: the review whose decision is tried on newcomers, or None.
        members, sample_size, allowed_disagreements, alpha, limit: the plan, fixed before anybody looked.
        answered, disagreements: of the sample, so far.
        bound: share that may be decided wrongly among those it spread to; None before, and after a split.
        spread_to: members it spread to.
    """

    id: int
    workflow: str
    cluster: str
    night: str
    position: int
    follows: int | None
    decided_by: str
    option: str
    label: str
    reason: str
    members: int
    members_hash: str
    sample_size: int
    allowed_disagreements: int
    alpha: float
    limit: float
    ceiling: float | None
    state: ClusterState
    answered: int
    disagreements: int
    bound: float | None
    spread_to: int | None
    version: int
    opened_at: datetime
    closed_at: datetime | None

    def plan(self) -> SpreadPlan:
        """What was promised."""
        return SpreadPlan(self.members, self.sample_size, self.allowed_disagreements, self.alpha, self.limit)


@dataclass(frozen=True)
class OpenCluster:
    """A cluster that one answer could decide, or that is being sampled.

    Attributes:
        open, eligible: open tasks in it; those among them that one decision may stand for.
        money: at stake in the eligible ones, in the workflow's currency; unknown amounts count nothing.
        night: the latest of the eligible ones.
        plan: what would be drawn now, or None where nothing would be saved; then its members are decided one by one.
        sampling: id of the review whose sample is under way, or None.
        typical, different: tasks to look at before deciding, most telling first.
    """

    cluster: str
    open: int
    eligible: int
    money: float
    night: str | None
    plan: SpreadPlan | None
    sampling: int | None
    typical: Sequence[int] = ()
    different: Sequence[int] = ()


def check_answer(answer: ClusterAnswer, terms: ReviewTerms) -> None:
    """Refuses what cannot stand for a cluster.

    Raises:
        ClusterRefused: the workflow decides no clusters, a word is none of the workflow's, or the option denies.
    """
    if terms.clusters is None:
        raise ClusterRefused(
            f"{terms.workflow} decides no clusters; set review.clusters in its spec, or decide each case"
        )
    for name, given, choices in (
        ("option", answer.option, terms.options),
        ("label", answer.label, terms.labels),
        ("reason", answer.reason, terms.reasons),
    ):
        if given not in choices:
            raise ClusterRefused(f"the {name} is none of {terms.workflow}; pick one of {', '.join(choices)}")
    if answer.option in terms.denies:
        raise ClusterRefused(
            f"{answer.option} denies a customer something, and nobody would have looked at most of them; decide these "
            "cases one by one"
        )


def planned(members: Sequence[Member], position: int, terms: ReviewTerms) -> SpreadPlan | None:
    """What would be drawn from these eligible members, as the position-th cluster of a night; None if nothing helps."""
    spread = terms.clusters
    if spread is None or len(members) < spread.minimum:
        return None
    return spread_plan(len(members), spread.limit, budget(spread.error, position))


def at_stake(members: Sequence[Member]) -> float:
    """Money, in the workflow's currency."""
    return float(sum(member.amount or 0.0 for member in members))
