"""Many nights at once give what each night gave: a case's features and probabilities hang on nothing beside it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline_project.domain.core.schema import Field, FieldType, Role
from pipeline_project.domain.features.building import Past, build_features
from pipeline_project.domain.features.plan import FeaturePlan
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.lifecycle.replay.decide import PastNights, decide_again
from pipeline_project.domain.models.columns import Columns
from pipeline_project.domain.models.trained import TrainedModel
from pipeline_project.domain.models.training import TrainingPlan, train, training_set
from pipeline_project.domain.vectors.modalities import EMBEDDINGS
from pipeline_project.domain.vectors.stored import pack
from tests.domain.lifecycle.replay.replay_nights import MATRIX, policy

NIGHTS = [f"2025-03-{day:02}" for day in range(1, 25)]
START = {night: datetime.fromisoformat(night).replace(tzinfo=UTC) for night in NIGHTS}
AMOUNT = Field("amount", FieldType.NUMBER, "amount", Role.AMOUNT)
KINDS = (("kind", FieldType.CATEGORY), ("note", FieldType.TEXT))
PLAN = FeaturePlan(
    inputs=(AMOUNT, *(Field(name, kind, name, Role.FEATURE) for name, kind in KINDS)),
    labels=MATRIX.labels, time_zone="UTC", amount=AMOUNT, history=(("customer", None),), dimensions={"text": 8},
)  # fmt: skip
PER_NIGHT = 16


@pytest.fixture(scope="module")
def past() -> PastNights:
    draw = np.random.default_rng(3)
    count = len(NIGHTS) * PER_NIGHT
    nights = [night for night in NIGHTS for _ in range(PER_NIGHT)]
    ids = [f"C{i}" for i in range(count)]
    kinds = draw.choice(["glass", "theft"], count)
    cases = pa.table(
        {
            "night": nights, "case_id": ids, "amount": draw.uniform(10, 900, count), "kind": kinds.tolist(),
            "customer": [f"K{i}" for i in draw.integers(0, 9, count)], "note": ["words"] * count,
        }
    )  # fmt: skip
    # four different texts: their reduction leaves directions in which there is nothing but rounding
    texts = draw.normal(size=(4, 32)).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    vectors = pack(texts[draw.integers(0, 4, count)])
    nothing = {field.name: pa.nulls(count, field.type) for field in EMBEDDINGS}
    held = nothing | {"night": pa.array(nights), "case_id": pa.array(ids), "text_vector": vectors}
    embeddings = pa.table({name: held[name] for name in EMBEDDINGS.names})
    fraud = (kinds == "theft") != (draw.random(count) < 0.2)
    known = pd.DataFrame(
        {
            "case_id": ids,
            "label": np.where(fraud, "fraud", "honest"),
            "known_at": pd.to_datetime([START[night] + timedelta(days=2) for night in nights], utc=True),
        }
    )
    standing = pd.DataFrame(
        {
            "night": nights, "case_id": ids, "option": "pay", "reason": "cheapest", "probabilities": None,
            "propensity": 0.0, "model_version": None,
        }
    )  # fmt: skip
    return PastNights(tuple(NIGHTS), cases, standing, Past(cases, known), START, embeddings)


@pytest.fixture(scope="module")
def model(past: PastNights) -> TrainedModel:
    features = build_features(past.cases, PLAN, past.past, past.as_of, past.embeddings)
    plan = TrainingPlan("boosting", MATRIX.labels, dimensions={"text": 8, "image": 16}, minimum_outcomes=50)
    return train(training_set(features, past.past.outcomes), plan)


def one_night(past: PastNights, night: str) -> PastNights:
    """That night as it was scored: with what was known when it began."""
    rows = [i for i, of in enumerate(past.cases["night"].to_pylist()) if of == night]
    before = pa.table(past.cases).filter(pa.array([of < night for of in past.cases["night"].to_pylist()]))
    told = past.past.outcomes
    return PastNights(
        (night,),
        past.cases.take(pa.array(rows)),
        past.standing.iloc[rows].reset_index(drop=True),
        Past(before, told[told["known_at"] < START[night]]),
        {night: START[night]},
        past.embeddings.take(pa.array(rows)) if past.embeddings is not None else None,
    )


def test_all_nights_at_once_are_what_each_was_alone(past: PastNights, model: TrainedModel) -> None:
    whole = decide_again(past, policy(capacity="20%"), PLAN, model, "7")
    assert whole.models == ("7",)
    for number, night in enumerate(NIGHTS[3:], start=3):
        alone = decide_again(one_night(past, night), policy(capacity="20%"), PLAN, model, "7")
        rows = slice(number * PER_NIGHT, (number + 1) * PER_NIGHT)
        np.testing.assert_array_equal(whole.probabilities[rows], alone.probabilities)
        assert (whole.option[rows], whole.reason[rows]) == (alone.option, alone.reason)


def test_an_outcome_known_only_later_is_not_known_then(past: PastNights, model: TrainedModel) -> None:
    late = past.past.outcomes.copy()
    changed = late.index[:PER_NIGHT]
    corrected = late.loc[changed].assign(label="fraud", known_at=pd.Timestamp(START[NIGHTS[-1]]) - timedelta(hours=1))
    told = replace(past, past=Past(past.past.cases, pd.concat([late, corrected], ignore_index=True)))
    before, after = (decide_again(each, policy(), PLAN, model, "7") for each in (past, told))
    until = (len(NIGHTS) - 1) * PER_NIGHT
    np.testing.assert_array_equal(before.probabilities[:until], after.probabilities[:until])
    assert not np.array_equal(before.probabilities[until:], after.probabilities[until:])


def test_photos_that_failed_go_to_people_whatever_the_model_says(past: PastNights, model: TrainedModel) -> None:
    assert past.embeddings is not None
    failed = past.embeddings.set_column(
        past.embeddings.column_names.index("image_problem"), "image_problem",
        pa.array(["torn" if i == 5 else None for i in range(len(past.embeddings))]),
    )  # fmt: skip
    told = decide_again(replace(past, embeddings=failed), policy(), PLAN, model, "7")
    assert [i for i, why in enumerate(told.reason) if why == "failed_photo"] == [5]
    assert np.isnan(told.probabilities[5]).all()


def test_reduced_vectors_of_a_case_do_not_hang_on_how_many_others_there_are() -> None:
    draw = np.random.default_rng(5)
    vectors = draw.normal(size=(600, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = np.array([f"C{i}" for i in range(600)], dtype=object)
    numbers, nights = draw.normal(size=(600, 1)), np.array(["2025-03-01"] * 600, dtype=object)
    nothing = np.empty((600, 0), dtype=object)
    table = FeatureTable(names, nights, ("x",), numbers, (), nothing, {"text": vectors})
    columns = Columns().fit(table, {"text": 24, "image": 0})
    whole = columns.matrix(table)
    for first, last in ((0, 1), (3, 20), (100, 333)):
        rows = np.arange(600)
        np.testing.assert_array_equal(columns.matrix(table.select((rows >= first) & (rows < last))), whole[first:last])
