"""Rules about labels, options and their costs, the contract, vectors and reviews."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from pipeline_project.domain.core import schema as domain
from pipeline_project.domain.core.expressions import ExpressionError, evaluate, names_in
from pipeline_project.domain.models import ESTIMATORS
from pipeline_project.domain.vectors.modalities import MODALITIES
from pipeline_project.spec.base import SpecFinding, Where
from pipeline_project.spec.draft import (
    CATEGORY,
    NUMBER,
    TIME,
    Draft,
    Rule,
    any_of,
    closest,
    is_field,
    there_are,
    why_not_later,
)
from pipeline_project.spec.options import OTHERS, RIGHT, WRONG, Alternatives, full_costs

#: The name of asking a person, which is an option of every workflow.
ASK_PERSON = "ask_person"


def _labels(draft: Draft) -> Iterator[SpecFinding]:
    seen: Counter[str] = Counter()
    for i, label in enumerate(draft.labels):
        seen[label] += 1
        if seen[label] == 2:
            yield SpecFinding(("labels", i), f"{label} is written twice; keep one")
        if label in (ASK_PERSON, RIGHT, WRONG, OTHERS):
            yield SpecFinding(("labels", i), f"`{label}` has a meaning of its own here; choose another name")


def _options(draft: Draft) -> Iterator[SpecFinding]:
    if isinstance(draft.options, Alternatives):
        for label in draft.options.exceptions:
            if label not in draft.labels:
                near = closest(label, draft.labels)
                yield SpecFinding(
                    ("options", "exceptions", label), f"{label} is no label{near or there_are(draft.labels)}"
                )
        return
    if ASK_PERSON in draft.options:
        yield SpecFinding(
            ("options", ASK_PERSON), "asking a person is always possible and its cost is review.cost; take it out"
        )
    if all(option.denies for option in draft.options.values()):
        yield SpecFinding(("options",), "every option denies; at least one must be open to the policy")
    for name, option in draft.options.items():
        here: Where = ("options", name, "costs")
        stand_ins = {OTHERS, *((RIGHT, WRONG) if name in draft.labels else ())}
        for label in option.costs:
            if label not in draft.labels and label not in stand_ins:
                near = closest(label, draft.labels)
                yield SpecFinding((*here, label), f"{label} is no label{near or there_are(draft.labels)}")
        missing = [label for label in draft.labels if label not in full_costs(name, option.costs, draft.labels)]
        if missing:
            yield SpecFinding(
                here, f"no cost for {', '.join(missing)}; every label needs one (`others: 0` stands for the rest)"
            )


def _costs(draft: Draft) -> Iterator[SpecFinding]:
    for where, cell in _cells(draft.options):
        if not isinstance(cell, str):
            continue
        try:
            names = names_in(cell)
        except ExpressionError as error:
            yield SpecFinding(where, str(error))
            continue
        mistakes = [finding for name in names for finding in cost_name(draft, where, name)]
        yield from mistakes or works(where, cell, names)


def _cells(options: Any) -> Iterator[tuple[Where, float | str]]:
    if isinstance(options, Alternatives):
        yield ("options", RIGHT), options.right
        yield ("options", WRONG), options.wrong
        for label, exception in options.exceptions.items():
            for key in type(exception).model_fields:
                if (cell := getattr(exception, key)) is not None:
                    yield ("options", "exceptions", label, key), cell
        return
    for name, option in options.items():
        for label, cell in option.costs.items():
            yield ("options", name, "costs", label), cell


def cost_name(draft: Draft, where: Where, name: str) -> Iterator[SpecFinding]:
    yield from is_field(draft, where, name)
    spec = draft.fields.get(name)
    if spec and spec.holds != NUMBER:
        yield SpecFinding(where, f"{name} has the type {spec.type}; only numbers have a place in a cost")
    if spec and spec.known_later:
        reason = why_not_later(name, "a decision cannot rest on it")
        yield SpecFinding(where, f"{reason}. Use another field")


def works(where: Where, expression: str, names: Iterable[str], comparison: bool = False) -> Iterator[SpecFinding]:
    try:
        value = evaluate(expression, {name: np.ones(2) for name in names}, 2)
    except ExpressionError as error:
        yield SpecFinding(where, str(error))
        return
    if comparison and value.dtype != bool:
        yield SpecFinding(
            where, f"`{expression}` is neither true nor false; write a comparison such as `price >= discount`"
        )
    if not names and not np.isfinite(value).all():
        yield SpecFinding(where, f"`{expression}` divides by zero; write a number")
    if not comparison and value.dtype == bool:
        yield SpecFinding(where, f"`{expression}` is true or false, no cost; write `where({expression}, 10, 0)`")


def _contract(draft: Draft) -> Iterator[SpecFinding]:
    for i, group in enumerate(draft.contract.unique):
        for j, name in enumerate(group):
            yield from is_field(draft, ("contract", "unique", i, j), name)
    for i, rule in enumerate(draft.contract.compare):
        where: Where = ("contract", "compare", i)
        try:
            names = names_in(rule)
        except ExpressionError as error:
            yield SpecFinding(where, str(error))
            continue
        mistakes = [finding for name in names for finding in _compare_name(draft, where, name)]
        yield from mistakes or works(where, rule, names, comparison=True)


def _compare_name(draft: Draft, where: Where, name: str) -> Iterator[SpecFinding]:
    yield from is_field(draft, where, name)
    spec = draft.fields.get(name)
    if spec and spec.holds not in (NUMBER, TIME):
        yield SpecFinding(where, f"{name} has the type {spec.type}; only numbers and times can be compared")


def _vectors(draft: Draft) -> Iterator[SpecFinding]:
    if draft.broken_fields:
        return
    types = {spec.holds for spec in draft.fields.values()}
    features = {spec.holds for spec in draft.fields.values() if spec.effective_role == domain.Role.FEATURE}
    for name, modality in MODALITIES.items():
        if getattr(draft, name) and modality.field_type not in types:
            yield SpecFinding(
                (name,), f"there is no field of type {modality.field_type}; take `{name}` out or add the field"
            )
    there = {name for name, modality in MODALITIES.items() if getattr(draft, name) or modality.field_type in features}
    if draft.clusters and not there:
        kinds = any_of(modality.field_type for modality in MODALITIES.values())
        yield SpecFinding(("clusters",), f"there is nothing to cluster without a field of type {kinds}; take it out")
    trained: list[tuple[Where, str, str]] = [
        (("model", "estimator"), draft.model.estimator, f"write {next(iter(ESTIMATORS))}")
    ]
    trained += [(("model", "challengers", i), name, "take it out") for i, name in enumerate(draft.model.challengers)]
    for where, name, advice in trained:
        needed = ESTIMATORS[name].REQUIRES
        if needed and not needed & there:
            kinds = " or ".join(_a(vectors) for vectors in MODALITIES if vectors in needed)
            yield SpecFinding(where, f"{name} works on the vectors of {kinds} field; {advice}")


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _segments(draft: Draft) -> Iterator[SpecFinding]:
    """A model is calibrated by a segment's values, and its figures are shown by them."""
    seen: set[str] = set()
    for i, name in enumerate(draft.model.segments):
        where: Where = ("model", "segments", i)
        yield from is_field(draft, where, name)
        spec = draft.fields.get(name)
        if name in seen:
            yield SpecFinding(where, f"{name} is written twice; keep one")
        seen.add(name)
        if spec is None:
            continue
        feature = spec.holds == CATEGORY and spec.effective_role == domain.Role.FEATURE
        if not feature or (draft.model.features and name not in draft.model.features):
            yield SpecFinding(where, f"{name} is no category that the model sees; segments are values of such a field")
        elif spec.pii:
            yield SpecFinding(where, f"{name} is personal and a segment's values are shown; use another field")


def _review(draft: Draft) -> Iterator[SpecFinding]:
    capacity, exploration = draft.review.capacity, draft.review.exploration
    share = float(capacity.rstrip("%")) / 100 if isinstance(capacity, str) else None
    if exploration and (capacity == 0 or (share is not None and exploration > share)):
        yield SpecFinding(
            ("review", "exploration"),
            f"the random share does not fit into the capacity ({capacity}); raise `capacity` or lower this",
        )


DECISION_RULES: tuple[Rule, ...] = (_labels, _options, _costs, _contract, _vectors, _segments, _review)
