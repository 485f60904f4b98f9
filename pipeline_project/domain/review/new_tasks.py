"""Review tasks before they are rows: what a workflow declares about people, and what one case asks of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class SpreadTerms:
    """When one decision may stand for a cluster; see `spec.reviewing.ClusterReviewSpec`."""

    limit: float
    error: float
    ceiling: float | None
    minimum: int


@dataclass(frozen=True)
class ReviewTerms:
    """By what rules people decide a workflow's cases; the attributes are those of `spec.reviewing.ReviewSpec`.

    Attributes:
        options: name -> title, in the spec's order.
        denies: the options that refuse a customer something.
        labels: what can turn out to be true, in the spec's order.
        reasons: code -> words.
        acts: the options that lead to actions.
    """

    workflow: str
    title: str
    currency: str
    options: Mapping[str, str]
    denies: frozenset[str]
    labels: tuple[str, ...]
    cost: float
    due_hours: float
    remind_hours: tuple[float, ...]
    lapse_hours: float
    safe_default: str | None
    lease_minutes: float
    most_tasks: int
    skill: str | None
    reasons: Mapping[str, str]
    second_above: float | None
    second_nights: int
    repeats: float
    clusters: SpreadTerms | None = None
    acts: frozenset[str] = frozenset()


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
