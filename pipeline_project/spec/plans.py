"""What the domain needs of a spec to make features and train on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_project.domain import schema as domain
from pipeline_project.domain.features import FeaturePlan
from pipeline_project.domain.retraining import RetrainRule
from pipeline_project.domain.training import TrainingPlan

if TYPE_CHECKING:
    from pipeline_project.spec.model import WorkflowSpec


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
    least_text = 1 if model.estimator == "logistic" else 0
    return FeaturePlan(
        inputs=tuple(field for field in spec.model_inputs if field.type != domain.FieldType.TIME),
        labels=spec.labels,
        time_zone=spec.nights.time_zone,
        amount=schema.by_role(domain.Role.AMOUNT),
        time=schema.by_role(domain.Role.TIME),
        ages=ages,
        history=tuple((entity.by, entity.nights) for entity in model.history),
        basket=model.basket,
        text_dimensions=max(model.text_dimensions, least_text) if spec.text else 0,
        image_dimensions=model.image_dimensions if spec.image else 0,
        clusters=spec.clusters is not None,
        late=frozenset(field.name for field in schema.fields if field.known_later),
    )


def training_plan(spec: WorkflowSpec) -> TrainingPlan:
    """How the workflow's model is trained."""
    model, plan = spec.model, feature_plan(spec)
    return TrainingPlan(
        estimator=model.estimator,
        labels=spec.labels,
        calibration_share=model.calibration_share,
        seed=model.seed,
        minimum_outcomes=model.retrain.minimum_outcomes,
        minimum_per_label=model.retrain.minimum_per_label,
        text_dimensions=plan.text_dimensions,
        image_dimensions=plan.image_dimensions,
        masked=plan.masked,
        watched=plan.plain_numbers,
    )


def retrain_rule(spec: WorkflowSpec) -> RetrainRule:
    """When the workflow's model is trained again."""
    retrain = spec.model.retrain
    return RetrainRule(
        every=retrain.every,
        after_outcomes=retrain.after_outcomes,
        minimum_outcomes=retrain.minimum_outcomes,
        decide_from=spec.nights.decide_from.isoformat(),
    )
