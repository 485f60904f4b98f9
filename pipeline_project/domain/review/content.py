"""What a review task shows: everything a person needs to decide one case, as JSON, without a second look elsewhere.

The keys of a task's content, all of them present:

    fields         name -> value, of the fields that are not personal
    masked         names of the personal fields, whose values stand in `sealed`
    sealed         name -> sealed token, or None where the value is missing
    text           [{name, value}], the free texts; the value is None where it is sealed
    photos         references, as the workflow's photo source takes them
    order          {fields, labels, options}: the names of these three in the order in which they are shown
    labels         label -> {probability, best}: `best` is the cheapest option if the label is the true one
    options        option -> {expected, if_true: {label: cost}}, the cheapest first, for the likeliest labels
    cheapest       the machine's cheapest option, or None
    reasons        sentences of the model, the weightiest first
    similar        [{case_id, night, similarity, label, option}], the nearest cases whose outcome was known that night
    history        {cases, by_label, recent: [{case_id, night, amount, label, option}]} of the same customer, or None
    model_version, problem
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from pipeline_project.domain.core.costs import CostMatrix
from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType, Role

#: Labels, options, earlier cases shown at most.
MOST_LABELS, MOST_OPTIONS, RECENT = 8, 8, 8
#: The part of the content that holds photos: seen by whoever holds the task, and each look is kept.
PHOTOS = "photos"


@dataclass(frozen=True)
class EarlierCase:
    """A case of an earlier night, as it was known when this night began; `label` is None while nothing was known."""

    case_id: str
    night: str
    label: str | None
    option: str | None
    amount: float | None = None
    similarity: float | None = None


@dataclass(frozen=True)
class CaseContext:
    """What was known beside a case itself.

    Attributes:
        similar: the nearest first.
        history: of the same customer, the latest first; None where the workflow has no customer.
    """

    similar: Sequence[EarlierCase] = ()
    history: Sequence[EarlierCase] | None = None


@dataclass(frozen=True)
class ModelView:
    """What the machine made of one case.

    Attributes:
        probabilities: in the order of the labels, or None when no model looked.
        costs: shape (options, labels), in the workflow's currency; NaN where a field is missing.
        expected: per option, or None.
    """

    probabilities: Sequence[float] | None
    costs: np.ndarray
    expected: Sequence[float] | None
    cheapest: str | None
    reasons: Sequence[str] = ()
    model_version: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Personal:
    """Sealed tokens of one case's personal fields, by name."""

    sealed: Mapping[str, str | None] = field(default_factory=dict)


def personal_fields(schema: CaseSchema) -> tuple[Field, ...]:
    """The fields whose values a task holds sealed only; of photos it holds references, which name nobody."""
    return tuple(f for f in schema.fields if f.pii and f.role != Role.ID and f.holds != FieldType.IMAGE)


def build(
    case: Mapping[str, Any],
    schema: CaseSchema,
    matrix: CostMatrix,
    looked: ModelView,
    context: CaseContext,
    personal: Personal,
) -> Mapping[str, Any]:
    """The content of one task; see the module's table of keys.

    Args:
        case: the row of the `cases` table.
    """
    masked = [f.name for f in personal_fields(schema)]
    texts = schema.of_type(FieldType.TEXT)
    shown = [
        f
        for f in schema.fields
        if f.role != Role.ID and f.holds not in (FieldType.IMAGE, FieldType.TEXT) and f.name not in masked
    ]
    labels, options = _labels(matrix, looked), _options(matrix, looked)
    return {
        "fields": {f.name: _plain(case.get(f.name)) for f in shown},
        "masked": masked,
        "sealed": {name: personal.sealed.get(name) for name in masked},
        "text": [{"name": f.name, "value": None if f.name in masked else case.get(f.name)} for f in texts],
        "photos": [ref for f in schema.of_type(FieldType.IMAGE) for ref in case.get(f.name) or ()],
        # JSONB sorts the keys of what follows and of `fields`
        "order": {"fields": [f.name for f in shown], "labels": [*labels], "options": [*options]},
        "labels": labels,
        "options": options,
        "cheapest": looked.cheapest,
        "reasons": list(looked.reasons),
        "similar": [
            {
                "case_id": s.case_id,
                "night": s.night,
                "similarity": round(s.similarity or 0.0, 3),
                "label": s.label,
                "option": s.option,
            }
            for s in context.similar
        ],
        "history": _history(context.history),
        "model_version": looked.model_version,
        "problem": looked.problem,
    }


def _labels(matrix: CostMatrix, looked: ModelView) -> Mapping[str, Mapping[str, object]]:
    """Every label; the likeliest first."""
    best = [_best(matrix, looked.costs[:, i]) for i in range(len(matrix.labels))]
    likely = looked.probabilities
    order = range(len(matrix.labels)) if likely is None else sorted(range(len(likely)), key=lambda i: -likely[i])
    return {
        matrix.labels[i]: {"probability": None if likely is None else round(float(likely[i]), 4), "best": best[i]}
        for i in order
    }


def _best(matrix: CostMatrix, costs: np.ndarray) -> str | None:
    return matrix.options[int(np.nanargmin(costs))] if np.isfinite(costs).any() else None


def _options(matrix: CostMatrix, looked: ModelView) -> Mapping[str, Mapping[str, object]]:
    """The cheapest options first, with their costs under the likeliest labels; where there are many, not all."""
    likely = looked.probabilities
    labels = range(len(matrix.labels)) if likely is None else sorted(range(len(likely)), key=lambda i: -likely[i])
    expected = looked.expected
    order = range(len(matrix.options)) if expected is None else sorted(range(len(expected)), key=lambda i: expected[i])
    return {
        matrix.options[o]: {
            "expected": None if expected is None else _money(expected[o]),
            "if_true": {matrix.labels[i]: _money(looked.costs[o, i]) for i in list(labels)[:MOST_LABELS]},
        }
        for o in list(order)[:MOST_OPTIONS]
    }


def _history(earlier: Sequence[EarlierCase] | None) -> Mapping[str, object] | None:
    if earlier is None:
        return None
    labels = Counter(case.label for case in earlier if case.label is not None)
    return {
        "cases": len(earlier),
        "by_label": dict(labels.most_common()),
        "recent": [
            {
                "case_id": case.case_id,
                "night": case.night,
                "amount": case.amount,
                "label": case.label,
                "option": case.option,
            }
            for case in earlier[:RECENT]
        ],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.isoformat() if isinstance(value, datetime) else value


def _money(value: float) -> float | None:
    return round(float(value), 2) if math.isfinite(value) else None


#: A content with nothing in it.
NOTHING: Mapping[str, Any] = {
    "fields": {}, "masked": [], "sealed": {}, "text": [], "photos": [], "order": {}, "labels": {}, "options": {},
    "cheapest": None, "reasons": [], "similar": [], "history": None, "model_version": None, "problem": None,
}  # fmt: skip


def in_order(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """A content read back: whole, and in the order in which it was built, which JSONB forgets.

    Tasks of an early version kept no order; of them labels stand by probability and options by cost.
    """
    labels, options, fields = (content.get(part) or {} for part in ("labels", "options", "fields"))
    order = content.get("order") or {}
    by_cost = _ordered(
        options,
        order.get("options"),
        lambda name: (options[name].get("expected") is None, options[name].get("expected") or 0),
    )
    likely = _ordered(labels, order.get("labels"), lambda name: -(labels[name].get("probability") or 0))
    place = {name: i for i, name in enumerate(likely)}

    def ordered(costs: Mapping[str, float | None]) -> Mapping[str, float | None]:
        return {name: costs[name] for name in sorted(costs, key=lambda name: place.get(name, len(place)))}

    return {
        **NOTHING,
        **content,
        "fields": {name: fields[name] for name in _ordered(fields, order.get("fields"), lambda name: 0)},
        "labels": {name: labels[name] for name in likely},
        "options": {
            name: {**options[name], "if_true": ordered(options[name].get("if_true") or {})} for name in by_cost
        },
    }


def _ordered(names: Iterable[str], order: Sequence[str] | None, otherwise: Callable[[str], Any]) -> list[str]:
    place = {name: i for i, name in enumerate(order or ())}
    return sorted(names, key=lambda name: (place.get(name, len(place)), otherwise(name)))
