"""A spec in the words of the domain: what clustering, deciding and reporting need of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline_project.domain.clusters.terms import ClusterTerms
from pipeline_project.domain.delivery.planned_actions import ActionKind, ActionTerms
from pipeline_project.domain.reporting.facts import ReportTerms
from pipeline_project.domain.review.new_tasks import ReviewTerms

if TYPE_CHECKING:
    from pipeline_project.spec.workflow import WorkflowSpec


def cluster_terms(spec: WorkflowSpec) -> ClusterTerms:
    """How the workflow's cases are clustered.

    Raises:
        ValueError: the workflow declares no clusters.
    """
    if spec.clusters is None:
        raise ValueError(f"{spec.name} declares no `clusters`")
    return spec.clusters


def report_terms(spec: WorkflowSpec) -> ReportTerms:
    """What a night report says about the workflow."""
    options = spec.option_specs
    return ReportTerms(
        workflow=spec.name,
        title=spec.title,
        owners=spec.owners,
        currency=spec.currency,
        decide_from=spec.nights.first_decided,
        schema=spec.case_schema,
        labels=spec.labels,
        options={name: option.title for name, option in options.items()},
        acts=frozenset(name for name, option in options.items() if option.actions),
        policy=spec.policy_terms,
        prices=spec.prices,
    )


def review_terms(spec: WorkflowSpec) -> ReviewTerms:
    """By what rules people decide the workflow's cases."""
    options = spec.option_specs
    return ReviewTerms(
        **vars(spec.review),
        workflow=spec.name,
        title=spec.title,
        currency=spec.currency,
        options={name: option.title for name, option in options.items()},
        denies=frozenset(name for name, option in options.items() if option.denies),
        labels=spec.labels,
        acts=frozenset(name for name, option in options.items() if option.actions),
    )


def action_terms(spec: WorkflowSpec) -> ActionTerms:
    """What the workflow's actions are bound by; without `actions` no option leads to any."""
    bounds = ActionTerms(spec.name, "default", live=False, spend_cap=None, currency=spec.currency)
    if spec.actions is None:
        return bounds
    return replace(
        bounds,
        tenant=spec.actions.tenant,
        live=spec.actions.live,
        spend_cap=spec.actions.spend_cap,
        kinds={name: ActionKind(name=name, **kind.model_dump()) for name, kind in spec.actions.kinds.items()},
        by_option={name: option.actions for name, option in spec.option_specs.items()},
    )
