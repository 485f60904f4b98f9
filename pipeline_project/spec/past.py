"""A decision of the past read by the spec it was made under, as the ledger keeps both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline_project.domain.core.named_values import by_name, option_order
from pipeline_project.domain.core.schema import Role
from pipeline_project.domain.deciding.recorded import RecordedDecision
from pipeline_project.spec.options import RIGHT, WRONG, full_costs


@dataclass(frozen=True)
class DecisionFigures:
    """What a decision said, by name.

    Attributes:
        probabilities: by label; empty where no model looked.
        costs: expected, by option; empty where they are unknown, or `unordered`.
        unordered: costs of an early decision whose options nobody can tell any more.
    """

    probabilities: Mapping[str, float]
    costs: Mapping[str, float]
    unordered: tuple[float, ...] = ()


def figures_of(decision: RecordedDecision, spec: Mapping[str, Any]) -> DecisionFigures:
    """Probabilities and expected costs of a decision, by name.

    Args:
        spec: the one it was made under; the order of its options may be any, that of its labels is the declared one.
    """
    labels, recorded_costs = list(spec.get("labels") or ()), decision.expected_costs
    probabilities = by_name(labels, decision.probabilities)
    if recorded_costs is None:
        return DecisionFigures(probabilities, {})
    costs = [math.nan if cost is None else float(cost) for cost in recorded_costs]
    order = decision.option_order or _order(decision, spec, labels)
    if order is None:
        unordered = tuple(sorted(cost for cost in costs if math.isfinite(cost)))
        return DecisionFigures(probabilities, {}, unordered)
    return DecisionFigures(
        probabilities, {name: cost for name, cost in by_name(order, costs).items() if math.isfinite(cost)}
    )


def _order(decision: RecordedDecision, spec: Mapping[str, Any], labels: list[str]) -> list[str] | None:
    """The order of the options where the decision does not say it itself."""
    options = spec.get("options") or {}
    if {RIGHT, WRONG} & options.keys():
        return labels
    if len(options) == 1:
        return list(options)
    cells = {name: full_costs(name, option["costs"], labels) for name, option in options.items()}
    field_values: dict[str, float] = {}
    amount = next((name for name, f in (spec.get("fields") or {}).items() if f.get("role") == Role.AMOUNT), None)
    if amount is not None and decision.amount is not None:
        field_values[amount] = float(decision.amount)
    order = option_order(
        tuple(options),
        [math.nan if cost is None else float(cost) for cost in decision.expected_costs or ()],
        decision.probabilities or (),
        {name: [row[label] for label in labels] for name, row in cells.items()},
        field_values,
    )
    return None if order is None else list(order)
