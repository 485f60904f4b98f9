"""What the champion makes of a night."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.core.nights import window_of
from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType, cases_schema
from pipeline_project.domain.features.building import FeaturePlan, Past, build_features
from pipeline_project.domain.models.scores import SCORES
from pipeline_project.domain.models.scoring import score_features
from pipeline_project.domain.models.trained import Prediction, TrainedModel
from pipeline_project.domain.vectors.modalities import EMBEDDINGS, PhotoModality, TextModality

SCHEMA = CaseSchema(
    fields=(
        Field("title", FieldType.TEXT, "title"),
        Field("price", FieldType.NUMBER, "price"),
        Field("front", FieldType.IMAGE, "front"),
        Field("message", FieldType.TEXT, "message"),
        Field("rest", FieldType.IMAGE, "rest", many=True),
    ),
    time_zone="UTC",
)
NIGHT = window_of("2025-03-01", "UTC")
VERSION = ModelVersion("claims", "7", "2025-02-01", "d", "r", {})
NOTHING = Past(None, pd.DataFrame({"case_id": [], "label": [], "known_at": pd.to_datetime([], utc=True)}))
PLAN = FeaturePlan(inputs=(SCHEMA.field("price"),), labels=("kept", "worn"), time_zone="UTC")


def cases(*rows: dict[str, Any]) -> pa.Table:
    given = [{"night": NIGHT.night, "case_id": f"c{i}", "row_sha256": "x", **row} for i, row in enumerate(rows)]
    return pa.Table.from_pylist(given, schema=cases_schema(SCHEMA))


@dataclass
class Model:
    """Says what it is told to, and remembers what it was asked."""

    prediction: Prediction
    seen: list[float] = field(default_factory=list)

    def predict(self, table: Any) -> Prediction:
        self.seen = table.number("price").tolist()
        return self.prediction


def scored(prediction: Prediction, of: pa.Table, embeddings: pa.Table | None = None) -> pa.Table:
    model = Model(prediction)
    features = build_features(of, PLAN, NOTHING, {NIGHT.night: NIGHT.start}, embeddings, None)
    table = score_features(NIGHT.night, features, embeddings, cast("TrainedModel", model), VERSION)
    assert model.seen == of["price"].to_pylist()
    return table


def test_words_in_the_order_of_the_spec() -> None:
    told = cases({"title": "a", "message": "b"}, {"message": "b"}, {}, {"title": "", "message": "c"})
    assert TextModality().contents(told, SCHEMA) == ["a\nb", "b", None, "c"]


def test_photos_of_all_fields() -> None:
    told = cases({"front": ["1"], "rest": ["2", "3"]}, {"rest": []}, {"front": ["4"]})
    assert PhotoModality().paths(told, SCHEMA) == [["1", "2", "3"], [], ["4"]]


def test_each_case_says_who_scored_it_and_why_not() -> None:
    prediction = Prediction(
        np.array([[0.25, 0.75], [0.5, 0.5], [0.1, 0.9]]), [["old"], [], ["new"]], [None, "out_of_distribution", None]
    )
    failed = [{"night": NIGHT.night, "case_id": f"c{i}", "image_problem": p} for i, p in enumerate([None, None, "cut"])]
    table = scored(
        prediction,
        cases({"price": 1.0}, {"price": 2.0}, {"price": 3.0}),
        pa.Table.from_pylist(failed, schema=EMBEDDINGS).take([2, 0, 1]),
    )
    assert table.schema.equals(SCORES)
    assert table["problem"].to_pylist() == [None, "out_of_distribution", "failed_photo"]
    assert table["probabilities"].to_pylist() == [[0.25, 0.75], None, None]
    assert table["confidence"].to_pylist() == [0.75, None, None]
    assert table["reasons"].to_pylist() == [["old"], [], ["new"]]
    assert set(table["model_version"].to_pylist()) == {"7"}
    assert set(table["model_night"].to_pylist()) == {"2025-02-01"}


def test_probabilities_sum_to_one() -> None:
    table = scored(Prediction(np.array([[0.2, 0.6]]), [[]], [None]), cases({"price": 1.0}))
    assert table["probabilities"].to_pylist() == [pytest.approx([0.25, 0.75])]


def test_no_cases() -> None:
    table = scored(Prediction(np.empty((0, 2)), [], []), cases())
    assert (table.num_rows, table.schema) == (0, SCORES)
