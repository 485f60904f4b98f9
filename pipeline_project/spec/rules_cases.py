"""Rules about fields, what a model may know of them, and where cases and outcomes come from."""

from __future__ import annotations

import keyword
from collections.abc import Iterator
from datetime import date
from typing import Any

from pipeline_project.domain.core import schema as domain
from pipeline_project.spec.base import SpecFinding, Where
from pipeline_project.spec.draft import (
    CATEGORY,
    IDENTIFIER,
    IMAGE,
    NUMBER,
    TEXT,
    TIME,
    Draft,
    Rule,
    any_of,
    closest,
    is_field,
    there_are,
    why_not_later,
)
from pipeline_project.spec.options import named_options

_ID_ROLE, _TIME_ROLE, _AMOUNT, _SUBJECT = domain.Role.ID, domain.Role.TIME, domain.Role.AMOUNT, domain.Role.SUBJECT
_TYPES_OF_ROLE: dict[domain.Role, tuple[domain.FieldType, ...]] = {
    _ID_ROLE: (IDENTIFIER,),
    _TIME_ROLE: (TIME,),
    _AMOUNT: (NUMBER,),
    _SUBJECT: (IDENTIFIER, CATEGORY),
    domain.Role.FEATURE: (NUMBER, CATEGORY, TEXT, IMAGE, TIME),
    domain.Role.IGNORE: tuple(domain.FieldType),
}


def _each_field(draft: Draft) -> Iterator[SpecFinding]:
    for name, spec in draft.fields.items():
        here: Where = ("fields", name)
        if name in domain.reserved_names():
            yield SpecFinding(here, f"`{name}` is a name the tables use themselves; rename it and set `column: {name}`")
        if keyword.iskeyword(name):
            yield SpecFinding(here, f"`{name}` cannot stand in an expression; rename it and set `column: {name}`")
        if spec.role is not None and spec.holds not in _TYPES_OF_ROLE[spec.role]:
            wanted = any_of(_TYPES_OF_ROLE[spec.role])
            hint = "; what is known of its past is asked for with `model.history`" if spec.role == "feature" else ""
            yield SpecFinding((*here, "role"), f"the role {spec.role} needs the type {wanted}, not {spec.type}{hint}")
        if spec.parts is not None and (spec.holds != TIME or spec.column is not None):
            timed = "`parts` says which columns there are, and so does `column`; take `column` out"
            other = f"only a time is written in parts, not the type {spec.type}; take it out"
            yield SpecFinding((*here, "parts"), timed if spec.holds == TIME else other)
        if spec.role == _ID_ROLE and not spec.required:
            yield SpecFinding((*here, "required"), "an id is always required; take `required` out")
        yield from _bounds(here, spec)


def _bounds(here: Where, spec: Any) -> Iterator[SpecFinding]:
    kinds: dict[domain.FieldType, tuple[type, str]] = {
        NUMBER: (float, "a number"),
        TIME: (date, "a day such as 2025-01-31"),
    }
    given = {key: getattr(spec, key) for key in ("minimum", "maximum") if getattr(spec, key) is not None}
    for key, value in given.items():
        if spec.holds not in kinds:
            yield SpecFinding(
                (*here, key), f"only numbers and times have bounds, not the type {spec.type}; take it out"
            )
            return
        if not isinstance(value, kinds[spec.holds][0]):
            yield SpecFinding((*here, key), f"must be {kinds[spec.holds][1]}, because the type is {spec.type}")
            return
    if len(given) == 2 and given["minimum"] > given["maximum"]:
        yield SpecFinding((*here, "maximum"), f"is smaller than `minimum` ({given['minimum']}); exchange the two")
    only = (("allowed", CATEGORY, "a category"), ("max_length", TEXT, "a text"), ("many", IMAGE, "an image"))
    for key, kind, description in only:
        if getattr(spec, key) and spec.holds != kind:
            yield SpecFinding((*here, key), f"only {description} has `{key}`, not the type {spec.type}; take it out")


def _roles(draft: Draft) -> Iterator[SpecFinding]:
    for role in (_ID_ROLE, _TIME_ROLE, _AMOUNT, _SUBJECT):
        holders = [name for name, spec in draft.fields.items() if spec.role == role]
        for extra in holders[1:]:
            yield SpecFinding(("fields", extra), f"{' and '.join(holders)} both have the role {role}; keep one")
    if draft.id_from or draft.broken_fields:
        return
    if not any(spec.role == _ID_ROLE for spec in draft.fields.values()):
        yield SpecFinding(
            ("fields",), "give one field `role: id`, or name the columns that tell cases apart in `id_from`"
        )


def _nothing_known_early(draft: Draft) -> Iterator[SpecFinding]:
    later = {name for name, spec in draft.fields.items() if spec.known_later}
    for name in sorted(later):
        role = draft.fields[name].role
        if role not in (None, domain.Role.IGNORE):
            use = "no model may use it" if role == domain.Role.FEATURE else f"it cannot be the {role}"
            yield SpecFinding(("fields", name), f"{why_not_later(name, use)}. Take `role: {role}` out")
    for where, name in _named_by_model(draft):
        if name in later:
            reason = why_not_later(name, "no model may use it")
            yield SpecFinding(where, f"{reason}. Take it out of {where[0]}.{where[1]}")


def _named_by_model(draft: Draft) -> Iterator[tuple[Where, str]]:
    model = draft.model
    for i, name in enumerate(model.features):
        yield ("model", "features", i), name
    for i, entry in enumerate(model.history):
        yield ("model", "history", i, "by"), entry.by
    for i, group in enumerate(model.basket):
        for j, name in enumerate(group):
            yield ("model", "basket", i, j), name


def _model_names(draft: Draft) -> Iterator[SpecFinding]:
    for where, name in _named_by_model(draft):
        yield from is_field(draft, where, name)
    for i, name in enumerate(draft.model.features):
        spec = draft.fields.get(name)
        # A time field gives an age; the case's own time does not.
        seen = spec is None or spec.effective_role in (domain.Role.FEATURE, _AMOUNT)
        if spec and not seen and not spec.known_later and (spec.holds != TIME or spec.role == _TIME_ROLE):
            yield SpecFinding(
                ("model", "features", i),
                f"{name} has the role {spec.effective_role}, so a model does not see it; take it out, or ask for its "
                "past with `model.history`",
            )


def _rows_find_their_night(draft: Draft) -> Iterator[SpecFinding]:
    if draft.source.kind != "table":
        return
    timed = any(spec.role == _TIME_ROLE for spec in draft.fields.values()) or draft.broken_fields
    for i, file in enumerate(draft.source.files):
        here: Where = ("source", "files", i)
        if file.spread is None and not timed:
            yield SpecFinding(
                here,
                "nothing says to which night a row belongs; give a field `role: time`, or spread the rows over nights "
                "with `spread: {first: 2025-01-01, last: 2025-03-31}`",
            )
        if file.spread is not None and file.spread.first < draft.nights.first:
            yield SpecFinding(
                (*here, "spread", "first"),
                f"comes before the first night there is, nights.first ({draft.nights.first})",
            )


def _marks_differ(draft: Draft) -> Iterator[SpecFinding]:
    marks = (draft.thousands,) if isinstance(draft.thousands, str) else draft.thousands
    if draft.decimal in marks:
        other = "," if draft.decimal == "." else "."
        yield SpecFinding(
            ("thousands",), f"`{draft.decimal}` is the decimal mark already; set `decimal: '{other}'` or take it out"
        )


def _outcome(draft: Draft) -> Iterator[SpecFinding]:
    outcome = draft.outcome
    for value, label in outcome.values.items():
        if label not in draft.labels:
            near = closest(label, draft.labels)
            yield SpecFinding(("outcome", "values", value), f"{label} is no label{near or there_are(draft.labels)}")
    if outcome.kind != "column":
        return
    for name, spec in draft.fields.items():
        columns = spec.parts.columns if spec.parts else (spec.column or name,)
        if outcome.column in columns and not spec.known_later:
            yield SpecFinding(
                ("fields", name),
                f"the column {outcome.column} is the outcome itself, so no field may show it; take the field out",
            )
    times = [name for name, spec in draft.fields.items() if spec.holds == TIME]
    if outcome.true_at is not None and outcome.true_at not in (*times, *draft.broken_fields):
        yield SpecFinding(
            ("outcome", "true_at"), f"{outcome.true_at} is no field of type time{there_are(times) if times else ''}"
        )
    for i, moment in enumerate(outcome.known_at):
        if moment.field not in (*times, domain.NIGHT, *draft.broken_fields):
            yield SpecFinding(
                ("outcome", "known_at", i, "field"),
                f"{moment.field} is neither `night` nor a field of type time{there_are(times)}",
            )


def _learned_after(draft: Draft) -> Iterator[SpecFinding]:
    asked = draft.outcome.learned_after
    options = list(named_options(draft.options, draft.labels)) if asked else []
    for i, option in enumerate(asked):
        if option not in options:
            near = closest(option, options)
            yield SpecFinding(("outcome", "learned_after", i), f"{option} is no option{near or there_are(options)}")


CASE_RULES: tuple[Rule, ...] = (
    _each_field,
    _roles,
    _nothing_known_early,
    _model_names,
    _rows_find_their_night,
    _marks_differ,
    _outcome,
    _learned_after,
)
