"""What a spec says to features, training and retraining."""

from __future__ import annotations

from pathlib import Path

from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.plans import feature_plan, training_plan

WORKFLOWS = Path(__file__).parents[2] / "pipeline_project" / "workflows"


def shipped(name: str) -> WorkflowSpec:
    from ruamel.yaml import YAML

    return WorkflowSpec.model_validate(YAML(typ="safe").load((WORKFLOWS / f"{name}.yaml").read_text()))


def test_fields_known_later_or_ignored_are_in_no_plan() -> None:
    plan = shipped("order_returns").feature_plan

    used = {field.name for field in (*plan.inputs, *plan.ages)} | {by for by, _ in plan.history}
    assert "delivered_at" not in used
    assert "delivered_at" in plan.late
    assert plan.amount is not None
    assert plan.amount.name == "price"


def test_times_are_ages_unless_the_features_are_named_without_them() -> None:
    returns = shipped("returns")
    named = returns.model.model_copy(update={"features": ("price", "reason")})

    assert [field.name for field in returns.feature_plan.ages] == ["ordered_at"]
    assert feature_plan(returns.model_copy(update={"model": named})).ages == ()


def test_vectors_only_where_they_are_declared() -> None:
    tickets = shipped("support_tickets")

    assert tickets.feature_plan.dimensions["text"] > 0 == tickets.feature_plan.dimensions["image"]
    assert tickets.training_plan.estimator == "logistic"
    assert shipped("order_returns").feature_plan.dimensions == {"text": 0, "image": 0}


def test_the_rule_for_retraining_starts_with_the_first_decided_night() -> None:
    rule = shipped("returns").retrain_rule
    assert (rule.decide_from, rule.every, rule.after_outcomes) == ("2025-03-01", "month", 3000)


def test_every_estimator_has_a_plan_of_its_own() -> None:
    returns = shipped("returns")
    changed = {"text_dimensions": 0, "image_dimensions": 0, "challengers": ("fusion",), "segments": ("channel",)}
    spec = returns.model_copy(update={"model": returns.model.model_copy(update={**changed, "search_seconds": 60})})
    alone = {"text_dimensions": 0, "challengers": ()}
    plain = returns.model_copy(update={"model": returns.model.model_copy(update=alone)})

    trees, joined = spec.training_plan, spec.training_plan_of("fusion")
    assert (trees.estimator, joined.estimator) == ("boosting", "fusion")
    # the vectors that the network needs are there, and the trees, which were told to leave them out, do
    assert min(spec.feature_plan.dimensions.values()) > 0
    assert trees.dimensions == {"text": 0, "image": 0}
    assert min(joined.dimensions.values()) > 0
    assert plain.feature_plan.dimensions["text"] == 0
    assert trees.segments == joined.segments == ("channel",)
    assert (trees.search.seconds, trees.search.candidates) == (60, None)
    assert training_plan(spec, "fusion", search_candidates=4).search.candidates == 4
