"""What can be done with a case, and what it costs under each label."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, field_validator

from pipeline_project.domain.core.costs import CostMatrix
from pipeline_project.domain.core.names import FreeText, Slug
from pipeline_project.spec.base import Part

RIGHT, WRONG, OTHERS = "right", "wrong", "others"

Cost = float | str


class OptionSpec(Part):
    """One thing the workflow can do with a case."""

    title: FreeText = Field(description="In words, for people.")
    costs: dict[str, Cost] = Field(
        description="Label -> cost in the workflow's currency: a number, or an expression over the case's fields "
        "(`0.5 * price`). `others` stands for every label that is not named; in an option that is named after a "
        "label, `right` and `wrong` stand for that label and all others."
    )
    denies: bool = Field(False, description="Refuses a customer something; only a person may choose it.")
    actions: tuple[Slug, ...] = Field(
        (), description="The kinds of action (`actions.kinds`) that carry it out, in the order in which they are sent."
    )


class AlternativeException(Part):
    """A label that costs otherwise than the rest, such as `other`."""

    right: Cost | None = Field(None, description="Cost of its option when it is the true one; as the rest without it.")
    wrong: Cost | None = Field(None, description="Cost of its option when it is not; as the rest without it.")
    missed: Cost | None = Field(
        None, description="Cost of every other option when this label is the true one; their `wrong` without it."
    )


class Alternatives(Part):
    """Options made from the labels: one per label, right or wrong."""

    title: FreeText = Field("Route to {label}", description="With `{label}`.")
    right: Cost = Field(0, description="Cost when the label is the true one.")
    wrong: Cost = Field(description="Cost when it is not.")
    exceptions: dict[Slug, AlternativeException] = Field(
        {}, exclude_if=operator.not_, description="Labels that cost otherwise, such as `other: {wrong: 5, missed: 60}`."
    )

    @field_validator("title")
    @classmethod
    def _names_label(cls, value: str) -> str:
        if "{label}" not in value or set("{}") & set(value.replace("{label}", "")):
            raise ValueError("must contain {label} and no other braces, for instance Route to {label}")
        return value


def _shape(value: Any) -> str:
    if isinstance(value, Alternatives):
        return "alternatives"
    if isinstance(value, Mapping) and (RIGHT in value or WRONG in value):
        return "alternatives"
    return "by_name"


Options = Annotated[
    Annotated[dict[Slug, OptionSpec], Tag("by_name"), Field(min_length=1)]
    | Annotated[Alternatives, Tag("alternatives")],
    Discriminator(_shape),
]


def named_options(options: dict[str, OptionSpec] | Alternatives, labels: Sequence[str]) -> dict[str, OptionSpec]:
    """The options by name, also when they are made from the labels."""
    if not isinstance(options, Alternatives):
        return dict(options)
    return {
        label: OptionSpec(title=options.title.format(label=label), costs=_alternative_costs(options, label))
        for label in labels
    }


def _alternative_costs(options: Alternatives, label: str) -> dict[str, Cost]:
    own = options.exceptions.get(label, AlternativeException())
    costs: dict[str, Cost] = {
        RIGHT: options.right if own.right is None else own.right,
        WRONG: options.wrong if own.wrong is None else own.wrong,
    }
    missed = {name: other.missed for name, other in options.exceptions.items() if name != label}
    return costs | {name: cost for name, cost in missed.items() if cost is not None}


def full_costs(name: str, costs: Mapping[str, Cost], labels: Sequence[str]) -> dict[str, Cost]:
    """One cost per label, with `right`, `wrong` and `others` written out; labels without a cost are left out."""
    shorthand = dict(costs)
    if name in labels and {RIGHT, WRONG} & set(costs):
        for label in labels:
            stand_in = RIGHT if label == name else WRONG
            if stand_in in costs:
                shorthand.setdefault(label, costs[stand_in])
    if OTHERS in costs:
        for label in labels:
            shorthand.setdefault(label, costs[OTHERS])
    return {label: shorthand[label] for label in labels if label in shorthand}


def cost_matrix(options: Mapping[str, OptionSpec], labels: Sequence[str]) -> CostMatrix:
    """The matrix the policy reads, options and labels in the spec's order."""
    rows = [full_costs(name, option.costs, labels) for name, option in options.items()]
    return CostMatrix(
        labels=tuple(labels),
        options=tuple(options),
        cells=tuple(tuple(row[label] for label in labels) for row in rows),
    )
