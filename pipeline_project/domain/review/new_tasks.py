"""Review tasks before they are rows: what a workflow declares about people, and what one case asks of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from pipeline_project.domain.core.names import FreeText, Slug
from pipeline_project.domain.core.quantities import Capacity, Hours, Minutes, Share
from pipeline_project.domain.delivery.planned_actions import ActionTerms


@dataclass(frozen=True)
class SpreadTerms:
    """When one decision may stand for a whole cluster."""

    limit: Annotated[
        Share, Field(description="Most members that may be decided wrongly by the cluster's decision.")
    ] = 0.1
    error: Annotated[
        Share,
        Field(description="Chance, over all clusters of a night together, that the limit is broken unnoticed."),
    ] = 0.1
    ceiling: Annotated[
        float | None, Field(gt=0, description="Members with more money at stake are decided one by one.")
    ] = None
    minimum: Annotated[int, Field(ge=2, description="Fewest open members for a cluster to be decided at once.")] = 6


def _usual_reasons() -> dict[str, str]:
    return {
        "clear_from_photos": "Clear from the photos",
        "clear_from_words": "Clear from the words",
        "clear_from_history": "Clear from the customer's history",
        "policy": "The house rules say so",
        "goodwill": "Goodwill",
        "other": "Other, see the note",
    }


@dataclass(frozen=True, kw_only=True)
class ReviewRules:
    """What it costs to ask a person, how much of it there is, and by what rules people decide."""

    cost: Annotated[float, Field(ge=0, description="Of one answer, in the workflow's currency.")]
    capacity: Annotated[
        Capacity, Field(description="Answers per night: a number, or a share of the night, written 20% or 0.2.")
    ]
    exploration: Annotated[
        Share,
        Field(description="Share of cases sent to people at random, so that outcomes are not censored by the policy."),
    ] = 0.0
    due_hours: Annotated[Hours, Field(gt=0, description="A task is due this long after its night was decided.")] = 72
    remind_hours: Annotated[
        tuple[Annotated[Hours, Field(gt=0)], ...],
        Field(description="A reminder is written when a task has this many hours left; one row for each level."),
    ] = (24,)
    lapse_hours: Annotated[
        Hours, Field(gt=0, description="An escalated task that is this late lapses; see `safe_default`.")
    ] = 96
    safe_default: Annotated[
        Slug | None,
        Field(description="The option a lapsed task takes, which may not deny; without it the task waits, escalated."),
    ] = None
    lease_minutes: Annotated[
        Minutes, Field(gt=0, description="A claimed task goes back to the queue after this long.")
    ] = 15
    most_tasks: Annotated[int, Field(ge=1, description="Most open tasks assigned to one reviewer.")] = 40
    skill: Annotated[Slug | None, Field(description="Only reviewers with this skill are asked.")] = None
    reasons: Annotated[
        dict[Slug, FreeText],
        Field(min_length=1, description="The short list a reviewer picks a reason from, with the words shown."),
    ] = field(default_factory=_usual_reasons)
    second_above: Annotated[
        float | None,
        Field(gt=0, description="Above this amount, summed over a customer's proposals, a second person must agree."),
    ] = None
    second_nights: Annotated[int, Field(ge=1, description="Nights over which a customer's amounts add up.")] = 30
    repeats: Annotated[
        Share, Field(description="Share of answered tasks shown again, unmarked, to measure agreement.")
    ] = 0.0
    clusters: Annotated[SpreadTerms | None, Field(description="When one decision may stand for a whole cluster.")] = (
        None
    )


@dataclass(frozen=True, kw_only=True)
class ReviewTerms(ReviewRules):
    """By what rules people decide a workflow's cases, and between what.

    Attributes:
        options: name -> title, in the spec's order.
        denies: the options that refuse a customer something.
        labels: what can turn out to be true, in the spec's order.
        acts: the options that lead to actions.
    """

    workflow: str
    title: str
    currency: str
    options: Mapping[str, str]
    denies: frozenset[str]
    labels: tuple[str, ...]
    acts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class DeskRules:
    """By what a workflow's people decide, what their options lead to, and who they are.

    Attributes:
        reviewers: names of those who may answer the workflow's tasks; who is asked again, or blind, is chosen of them.
    """

    terms: ReviewTerms
    actions: ActionTerms
    reviewers: Collection[str] = ()

    def others(self, person: str) -> bool:
        """Whether there is anybody but this person."""
        return bool(set(self.reviewers) - {person})


@dataclass(frozen=True)
class NewTask:
    """One decision asked of a person, before it is a row.

    Attributes:
        why: why the case is here, a `policy.Reason` value.
        benefit: money a person's answer saves over the machine's best option, at least 0; None when no model looked.
        amount: money at stake, or None.
        information: 0 to 1, how little the model knows: 1 minus its confidence, 1 without a model.
        subject: the customer's pseudonym, or None.
        content: what the page shows, as JSON; see `content.build`. Personal values stand in it sealed only.
    """

    case_id: str
    why: str
    benefit: float | None
    amount: float | None
    information: float
    subject: str | None
    cluster: str | None
    content: Mapping[str, Any] = field(default_factory=dict)
