"""The part of a spec about people: what asking them costs, how much of it there is, and by what rules they decide."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from pipeline_project.spec.base import Part, Share, Slug, Words
from pipeline_project.spec.quantities import PLACES, Hours, Minutes

PERCENT = r"^(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)%$"
_Answers = Annotated[int, Field(ge=0)] | Annotated[str, StringConstraints(pattern=PERCENT)]
#: Answers per night: a number of them, or a share of the night.
Capacity = Annotated[_Answers, PLACES]
#: The same where none need be given.
OptionalCapacity = Annotated[_Answers | None, PLACES]


class ClusterReviewSpec(Part):
    """When one decision may stand for a whole cluster."""

    limit: Share = Field(0.1, description="Most members that may be decided wrongly by the cluster's decision.")
    error: Share = Field(
        0.1, description="Chance, over all clusters of a night together, that the limit is broken unnoticed."
    )
    ceiling: float | None = Field(None, gt=0, description="Members with more money at stake are decided one by one.")
    minimum: int = Field(6, ge=2, description="Fewest open members for a cluster to be decided at once.")


class ReviewSpec(Part):
    """What it costs to ask a person, how much of it there is, and by what rules people decide."""

    cost: float = Field(ge=0, description="Of one answer, in the workflow's currency.")
    capacity: Capacity = Field(description="Answers per night: a number, or a share of the night, written 20% or 0.2.")
    exploration: Share = Field(
        0.0,
        description="Share of cases sent to people at random, so that outcomes are not censored by the policy.",
    )
    due_hours: Hours = Field(72, gt=0, description="A task is due this long after its night was decided.")
    remind_hours: tuple[Annotated[Hours, Field(gt=0)], ...] = Field(
        (24,), description="A reminder is written when a task has this many hours left; one row for each level."
    )
    lapse_hours: Hours = Field(96, gt=0, description="An escalated task that is this late lapses; see `safe_default`.")
    safe_default: Slug | None = Field(
        None, description="The option a lapsed task takes, which may not deny; without it the task waits, escalated."
    )
    lease_minutes: Minutes = Field(15, gt=0, description="A claimed task goes back to the queue after this long.")
    most_tasks: int = Field(40, ge=1, description="Most open tasks assigned to one reviewer.")
    skill: Slug | None = Field(None, description="Only reviewers with this skill are asked.")
    reasons: dict[Slug, Words] = Field(
        default_factory=lambda: {
            "clear_from_photos": "Clear from the photos",
            "clear_from_words": "Clear from the words",
            "clear_from_history": "Clear from the customer's history",
            "policy": "The house rules say so",
            "goodwill": "Goodwill",
            "other": "Other, see the note",
        },
        min_length=1,
        description="The short list a reviewer picks a reason from, with the words shown.",
    )
    second_above: float | None = Field(
        None,
        gt=0,
        description="Above this amount, summed over a customer's proposals, a second person must agree.",
    )
    second_nights: int = Field(30, ge=1, description="Nights over which a customer's amounts add up.")
    repeats: Share = Field(0.0, description="Share of answered tasks shown again, unmarked, to measure agreement.")
    clusters: ClusterReviewSpec | None = Field(None, description="When one decision may stand for a whole cluster.")
