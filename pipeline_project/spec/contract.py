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
    found = [
        Rule("rows_whole", None, "every line can be split into the columns of its header", "whole"),
        Rule("columns_present", None, "every required column is there", "columns", fields=required),
    ]
    if optional:
        words = "every optional column is there"
        found.append(Rule("optional_columns_present", None, words, "optional_columns", fields=optional))
    found.append(Rule("id_usable", None, "every case has an id that can be used", "id"))
    for field in fields:
        if field.role != Role.ID:
            found += _field_rules(field)
    for number, expression in enumerate(spec.contract.compare, start=1):
        found.append(Rule(f"compare_{number}", None, expression, "compare", expression=expression))
    for number, group in enumerate(spec.contract.unique, start=1):
        words = f"{', '.join(group)} together do not repeat in a night"
        found.append(Rule(f"unique_{number}", None, words, "unique", fields=group))
    return found


def _field_rules(field: Field) -> list[Rule]:
    name = field.name
    found = []
    if field.required:
        found.append(Rule(f"{name}_has_value", name, "has a value that can be read", "value"))
    elif field.holds in (FieldType.NUMBER, FieldType.TIME):
        found.append(
            Rule(f"{name}_readable", name, f"can be read as a {field.type.value} where it is given", "readable")
        )
    bounds = [f"at least {field.minimum}"] * (field.minimum is not None)
    bounds += [f"at most {field.maximum}"] * (field.maximum is not None)
    if bounds and field.holds in (FieldType.NUMBER, FieldType.TIME):
        found.append(Rule(f"{name}_within_bounds", name, f"is {' and '.join(bounds)}", "bounds"))
    if field.allowed:
        found.append(Rule(f"{name}_allowed", name, f"is one of {', '.join(field.allowed)}", "allowed"))
    if field.max_length is not None and field.holds != FieldType.IMAGE:
        found.append(Rule(f"{name}_length", name, f"has at most {field.max_length} characters", "length"))
    return found
