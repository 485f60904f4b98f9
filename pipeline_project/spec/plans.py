"""What the domain needs of a spec to make features and train on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_project.domain.core import schema as domain
from pipeline_project.domain.features.aggregations import aggregation
from pipeline_project.domain.features.building import FeaturePlan
from pipeline_project.domain.lifecycle.retraining_due import RetrainRule
from pipeline_project.domain.models import ESTIMATORS
from pipeline_project.domain.models.search import Budget
from pipeline_project.domain.models.training import TrainingPlan
from pipeline_project.domain.models.training_guards import GuardTerms

if TYPE_CHECKING:
    from pipeline_project.spec.workflow import WorkflowSpec


def feature_plan(spec: WorkflowSpec) -> FeaturePlan:
    """Which features the workflow's model sees.

    A time field gives an age when `model.features` names it, or names nothing and the field is not said to be ignored.
    """
    schema, model = spec.case_schema, spec.model
    ages = tuple(
        field
        for field in schema.of_type(domain.FieldType.TIME)
        if field.role != domain.Role.TIME
        and not field.known_later
        and (field.name in model.features if model.features else spec.fields[field.name].role != domain.Role.IGNORE)
    )
    # vectors that an estimator cannot do without are there whatever the trees want of them
    seen = frozenset[str]().union(*(ESTIMATORS[name].VECTORS for name in (model.estimator, *model.challengers)))
    return FeaturePlan(
        inputs=tuple(field for field in spec.model_inputs if field.holds != domain.FieldType.TIME),
        labels=spec.labels,
        time_zone=spec.nights.time_zone,
        amount=schema.by_role(domain.Role.AMOUNT),
        time=schema.by_role(domain.Role.TIME),
        ages=ages,
        history=tuple((entity.by, entity.nights) for entity in model.history),
        basket=model.basket,
        dimensions={
            name: max(asked, int(name in seen)) if name in spec.encoders else 0
            for name, asked in model.dimensions.items()
        },
        clusters=spec.clusters is not None,
        late=frozenset(field.name for field in schema.fields if field.known_later),
        aggregations=tuple(aggregation(name, line) for name, line in spec.features.items()),
        series=tuple(series.plan(name) for name, series in spec.series.items()),
    )


def training_plan(
    spec: WorkflowSpec, estimator: str | None = None, search_candidates: int | None = None
) -> TrainingPlan:
    """How one of the workflow's models is trained.

    Args:
        estimator: the spec's, if not given.
        search_candidates: tries exactly so many hyper-parameters, which repeats a search that was bounded in time
            (the run's parameter `search_candidates` says how many it tried).
    """
    model, plan = spec.model, feature_plan(spec)
    chosen = estimator or model.estimator
    return TrainingPlan(
        estimator=chosen,
        labels=spec.labels,
        calibration_share=model.calibration_share,
        seed=model.seed,
        minimum_outcomes=model.retrain.minimum_outcomes,
        minimum_per_label=model.retrain.minimum_per_label,
        dimensions={
            name: _width(name, plan.dimensions[name], asked, chosen) for name, asked in model.dimensions.items()
        },
        masked=plan.masked,
        watched=plan.plain_numbers,
        segments=model.segments,
        search=Budget(model.search_seconds, search_candidates),
        false_alarms=None if model.unseen is None else model.unseen.false_alarms,
    )


def _width(kind: str, there: int, asked: int, estimator: str) -> int:
    """Vectors that are there for another estimator's sake stay away from one that sees what the spec asks for."""
    return there if kind in ESTIMATORS[estimator].VECTORS else min(there, asked)


def guard_terms(spec: WorkflowSpec) -> GuardTerms:
    """What forbids a training of the workflow's model."""
    plan, model = feature_plan(spec), spec.model
    kinds = (domain.FieldType.NUMBER, domain.FieldType.CATEGORY)
    values = [field.name for kind in kinds for field in plan.of_type(kind)]
    return GuardTerms(
        labels=spec.labels,
        late=plan.late,
        content=frozenset([*values, *(f"{field.name}_days_ago" for field in plan.ages)]),
        single_field_limit=model.single_field_limit,
        calibration_share=model.calibration_share,
        learned_after=spec.outcome.learned_after,
        exploration=spec.review.exploration,
    )


def retrain_rule(spec: WorkflowSpec) -> RetrainRule:
    """When the workflow's model is trained again."""
    retrain = spec.model.retrain
    return RetrainRule(
        every=retrain.every,
        after_outcomes=retrain.after_outcomes,
        minimum_outcomes=retrain.minimum_outcomes,
        decide_from=spec.nights.first_decided,
    )
