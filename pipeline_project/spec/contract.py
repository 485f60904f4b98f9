"""The rules that a spec's contract holds, without the library that checks them: checks are declared from these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline_project.domain.core.schema import Field, FieldType, Role
from pipeline_project.spec.workflow import WorkflowSpec

RuleKind = Literal[
    "whole",
    "columns",
    "optional_columns",
    "id",
    "value",
    "readable",
    "bounds",
    "allowed",
    "length",
    "compare",
    "unique",
]


@dataclass(frozen=True)
class Rule:
    """One rule of a contract.

    Attributes:
        name: unique within the contract, letters, digits and underscores; it names the asset check.
        column: the field it looks at, or None for a rule over rows or the table.
        rule: in words.
        expression: of a comparison.
        fields: what a rule over several fields looks at.
    """

    name: str
    column: str | None
    rule: str
    kind: RuleKind
    expression: str = ""
    fields: tuple[str, ...] = ()


def rules(spec: WorkflowSpec) -> list[Rule]:
    """Every rule over a night's arrivals, in a fixed order."""
    fields = spec.case_schema.fields
    required = tuple(field.name for field in fields if field.required)
    optional = tuple(field.name for field in fields if not field.required)
    night_rules = [
        Rule("rows_whole", None, "every line can be split into the columns of its header", "whole"),
        Rule("columns_present", None, "every required column is there", "columns", fields=required),
    ]
    if optional:
        requirement = "every optional column is there"
        night_rules.append(Rule("optional_columns_present", None, requirement, "optional_columns", fields=optional))
    night_rules.append(Rule("id_usable", None, "every case has an id that can be used", "id"))
    for field in fields:
        if field.role != Role.ID:
            night_rules += _field_rules(field)
    for number, expression in enumerate(spec.contract.compare, start=1):
        night_rules.append(Rule(f"compare_{number}", None, expression, "compare", expression=expression))
    for number, group in enumerate(spec.contract.unique, start=1):
        requirement = f"{', '.join(group)} together do not repeat in a night"
        night_rules.append(Rule(f"unique_{number}", None, requirement, "unique", fields=group))
    return night_rules


def _field_rules(field: Field) -> list[Rule]:
    name = field.name
    field_rules = []
    if field.required:
        field_rules.append(Rule(f"{name}_has_value", name, "has a value that can be read", "value"))
    elif field.holds in (FieldType.NUMBER, FieldType.TIME):
        field_rules.append(
            Rule(f"{name}_readable", name, f"can be read as a {field.type.value} where it is given", "readable")
        )
    bounds = [f"at least {field.minimum}"] * (field.minimum is not None)
    bounds += [f"at most {field.maximum}"] * (field.maximum is not None)
    if bounds and field.holds in (FieldType.NUMBER, FieldType.TIME):
        field_rules.append(Rule(f"{name}_within_bounds", name, f"is {' and '.join(bounds)}", "bounds"))
    if field.allowed:
        field_rules.append(Rule(f"{name}_allowed", name, f"is one of {', '.join(field.allowed)}", "allowed"))
    if field.max_length is not None and field.holds != FieldType.IMAGE:
        field_rules.append(Rule(f"{name}_length", name, f"has at most {field.max_length} characters", "length"))
    return field_rules
