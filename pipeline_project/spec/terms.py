"""A spec in the words of the domain: what clustering, deciding and reporting need of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_project.domain.clustering import ClusterTerms
from pipeline_project.domain.report.facts import ReportTerms

if TYPE_CHECKING:
    from pipeline_project.spec.model import WorkflowSpec


def cluster_terms(spec: WorkflowSpec) -> ClusterTerms:
    """The window and the sizes of the workflow's clusters.

    Raises:
        ValueError: the workflow declares none.
    """
    if spec.clusters is None:
        raise ValueError(f"{spec.name} declares no `clusters`")
    return ClusterTerms(**spec.clusters.model_dump())


def report_terms(spec: WorkflowSpec) -> ReportTerms:
    """What a night report says about the workflow."""
    options = spec.option_specs
    return ReportTerms(
        workflow=spec.name,
        title=spec.title,
        owners=spec.owners,
        currency=spec.currency,
        decide_from=spec.nights.decide_from.isoformat(),
        schema=spec.case_schema,
        labels=spec.labels,
        options={name: option.title for name, option in options.items()},
        acts=frozenset(name for name, option in options.items() if option.action),
        policy=spec.policy_terms,
    )
