"""A task shows everything a person needs, and no personal value in the open."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from pipeline_project.domain.core.costs import CostMatrix
from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType, Role
from pipeline_project.domain.review.content import (
    MOST_LABELS,
    CaseContext,
    EarlierCase,
    ModelView,
    Personal,
    build,
    in_order,
    personal_fields,
)

SCHEMA = CaseSchema(
    (
        Field("claim", FieldType.IDENTIFIER, "claim", Role.ID, pii=True),
        Field("customer", FieldType.IDENTIFIER, "customer", Role.SUBJECT, pii=True),
        Field("price", FieldType.NUMBER, "price", Role.AMOUNT),
        Field("at", FieldType.TIME, "at", Role.TIME),
        Field("kind", FieldType.CATEGORY, "kind"),
        Field("message", FieldType.TEXT, "message", pii=True),
        Field("remark", FieldType.TEXT, "remark"),
        Field("photos", FieldType.IMAGE, "photos", pii=True),
    ),
    "UTC",
)
CASE = {
    "case_id": "C1",
    "customer": "s-1",
    "price": 30.0,
    "at": datetime(2025, 3, 1, 9, tzinfo=UTC),
    "kind": None,
    "message": "my name is Ada",
    "remark": "torn",
    "photos": ["a.jpg", "b.jpg"],
}
MATRIX = CostMatrix(("fine", "worn"), ("refund", "reject"), ((0, 20), (50, 0)))
COSTS = np.array([[0.0, 20.0], [50.0, 0.0]])
LOOKED = ModelView([0.3, 0.7], COSTS, [14.0, 15.0], "refund", ["worn soles"], "7")


def test_what_is_personal_is_sealed_or_absent() -> None:
    known = CaseContext(history=[EarlierCase("C0", "2025-02-01", "fine", "refund", 5.0)])
    shown = build(CASE, SCHEMA, MATRIX, LOOKED, known, Personal({"message": "sealed:1", "customer": "sealed:2"}))

    assert [f.name for f in personal_fields(SCHEMA)] == ["customer", "message"]
    assert "Ada" not in json.dumps(shown)
    assert shown["masked"] == ["customer", "message"]
    assert shown["sealed"] == {"customer": "sealed:2", "message": "sealed:1"}
    assert shown["fields"] == {"price": 30.0, "at": "2025-03-01T09:00:00+00:00", "kind": None}
    assert shown["text"] == [{"name": "message", "value": None}, {"name": "remark", "value": "torn"}]
    assert shown["photos"] == ["a.jpg", "b.jpg"]
    assert shown["history"]["by_label"] == {"fine": 1}
    assert shown["history"]["recent"][0]["option"] == "refund"


def test_the_likeliest_label_and_the_cheapest_option_come_first() -> None:
    shown = build(CASE, SCHEMA, MATRIX, LOOKED, CaseContext(), Personal())

    assert list(shown["labels"]) == ["worn", "fine"]
    assert shown["labels"]["worn"] == {"probability": 0.7, "best": "reject"}
    assert list(shown["options"]) == ["refund", "reject"]
    assert shown["options"]["reject"] == {"expected": 15.0, "if_true": {"worn": 0.0, "fine": 50.0}}
    assert shown["history"] is None


def test_without_a_model_labels_stand_as_declared_and_costs_are_still_shown() -> None:
    shown = build(
        CASE, SCHEMA, MATRIX, ModelView(None, COSTS, None, None, problem="no_model"), CaseContext(), Personal()
    )

    assert list(shown["labels"]) == ["fine", "worn"]
    assert shown["labels"]["fine"] == {"probability": None, "best": "refund"}
    assert shown["options"]["refund"]["if_true"] == {"fine": 0.0, "worn": 20.0}
    assert shown["problem"] == "no_model"


def test_with_many_labels_only_the_likeliest_have_their_costs_listed() -> None:
    names = tuple(f"l{i}" for i in range(30))
    matrix = CostMatrix(names, names, tuple(tuple(0 if i == j else 1 for j in range(30)) for i in range(30)))
    likely = np.arange(30) / 435
    looked = ModelView(likely.tolist(), 1 - np.eye(30), (1 - likely).tolist(), "l29")
    shown = build(CASE, SCHEMA, matrix, looked, CaseContext(), Personal())

    assert len(shown["labels"]) == 30
    assert shown["labels"]["l3"]["best"] == "l3"
    assert len(shown["options"]) == MOST_LABELS
    assert next(iter(shown["options"]["l29"]["if_true"])) == "l29"


@pytest.mark.parametrize("missing", [float("nan"), float("inf")])
def test_the_content_is_json(missing: float) -> None:
    costs = np.array([[missing, missing], [1.0, missing]])
    shown = build(
        {**CASE, "price": missing}, SCHEMA, MATRIX, ModelView(None, costs, None, None), CaseContext(), Personal()
    )

    json.dumps(shown, allow_nan=False)
    assert shown["fields"]["price"] is None
    assert shown["labels"]["fine"]["best"] == "reject" or np.isinf(missing)
    assert shown["options"]["reject"]["if_true"]["worn"] is None


def test_a_content_that_lost_its_order_gets_it_back() -> None:
    shown = build(CASE, SCHEMA, MATRIX, LOOKED, CaseContext(), Personal())
    lost = {
        **shown,
        "labels": dict(sorted(shown["labels"].items())),
        "options": dict(reversed(shown["options"].items())),
    }
    found = in_order(lost)

    assert list(found["labels"]) == ["worn", "fine"]
    assert list(found["options"]) == ["refund", "reject"]
    assert list(found["options"]["refund"]["if_true"]) == ["worn", "fine"]
    assert set(in_order({"fields": {"price": 3}})) == set(shown)
