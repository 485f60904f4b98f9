"""Sketches merge to the last count in whatever order, stay small, and say nothing about a person."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_project.domain.core.schema import (
    CASE_ID,
    CONTENT,
    NIGHT,
    CaseSchema,
    Field,
    FieldType,
    Role,
    cases_schema,
)
from pipeline_project.domain.lifecycle.drift.counts import (
    ROOM_NAMES,
    ROOM_NUMBERS,
    Counts,
    count_names,
    count_numbers,
    count_places,
    empty,
    merge_counts,
)
from pipeline_project.domain.lifecycle.drift.sketch import Sketch, merge, sketch_cases, sketch_night, sketch_scores
from pipeline_project.domain.models.scores import SCORES
from pipeline_project.domain.vectors.stored import pack

NIGHT_1 = "2026-03-01"
SCHEMA = CaseSchema(
    fields=(
        Field("id", FieldType.IDENTIFIER, "id", Role.ID),
        Field("amount", FieldType.NUMBER, "amount", Role.AMOUNT),
        Field("kind", FieldType.CATEGORY, "kind"),
        Field("words", FieldType.TEXT, "words", required=False),
        Field("photos", FieldType.IMAGE, "photos", many=True),
        Field("bought", FieldType.TIME, "bought"),
        Field("name", FieldType.CATEGORY, "name", pii=True),
        Field("paid", FieldType.NUMBER, "paid", known_later=True),
        Field("clerk", FieldType.CATEGORY, "clerk", Role.IGNORE),
    ),
    time_zone="UTC",
)

numbers = st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), max_size=60)
names = st.lists(st.tuples(st.none() | st.text(max_size=3), st.integers(1, 50)), max_size=40)


def small(counts: Counts) -> Counts:
    """The same counts with room for few keys, so that merging drops bits."""
    return merge_counts([empty(4), Counts(4, np.empty(0, np.int64), np.empty(0, np.int64)), _squeezed(counts)])


def _squeezed(counts: Counts) -> Counts:
    level = counts.level
    made = counts
    while len(made.keys) > 4:
        level += 1
        made = counts.at(level)
    return Counts(4, made.keys, made.counts, made.level, made.missing)


@given(numbers, numbers, numbers)
def test_numbers_merge_in_any_order_and_grouping(a, b, c):
    one, two, three = (small(count_numbers(np.array(v, dtype=float))) for v in (a, b, c))
    whole = small(count_numbers(np.array([*a, *b, *c], dtype=float)))
    left = merge_counts([merge_counts([one, two]), three])
    right = merge_counts([three, merge_counts([two, one])])
    assert left == right == merge_counts([two, three, one]) == whole
    assert left.total == len(a) + len(b) + len(c)


@given(names, names)
def test_names_merge_like_counting_them_together(a, b):
    assert merge_counts([count_names(a), count_names(b)]) == count_names([*b, *a])


@given(numbers)
def test_counts_survive_json(a):
    counts = count_numbers(np.array(a, dtype=float))
    assert Counts.from_dict(json.loads(json.dumps(counts.to_dict()))) == counts


def test_the_order_of_numbers_is_the_order_of_their_keys():
    values = [-np.inf, -1e300, -5.0, -1.0, -1e-300, 0.0, 1e-300, 1.0, 1.01, 5.0, 1e300, np.inf]
    keys = [int(count_numbers(np.array([value])).keys[0]) for value in values]
    assert keys == sorted(keys)
    assert count_numbers(np.array([0.0])) == count_numbers(np.array([-0.0]))


def test_sketches_stay_small_whatever_is_counted():
    random = np.random.default_rng(1)
    many = count_numbers(random.standard_cauchy(200_000) * 10 ** random.uniform(-200, 200, 200_000))
    assert 0 < len(many.keys) <= ROOM_NUMBERS
    assert many.present == 200_000
    thousand = count_names((f"name {n}", 1) for n in range(5_000))
    assert 0 < len(thousand.keys) <= ROOM_NAMES
    assert thousand.present == 5_000


def test_counts_of_different_room_do_not_merge():
    with pytest.raises(ValueError, match="same room"):
        merge_counts([count_numbers(np.array([1.0])), count_places(np.array([1.0]))])
    with pytest.raises(ValueError, match="at least one"):
        merge_counts([])


def cases(n: int, seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    columns = {
        NIGHT: [NIGHT_1] * n,
        CASE_ID: [f"{seed}/{i}" for i in range(n)],
        "row_sha256": ["0" * 64] * n,
        CONTENT: ["0" * 32] * n,
        "amount": random.lognormal(3, 1, n),
        "kind": random.choice(np.array(["shoe", "shirt", None], dtype=object), n).tolist(),
        "words": [None if i % 5 == 0 else "x" * (i % 7) for i in range(n)],
        "photos": [["a"] * (i % 3) for i in range(n)],
        "bought": [datetime(2026, 2, 1 + i % 28, tzinfo=UTC) for i in range(n)],
        "name": ["Erika Mustermann"] * n,
        "paid": random.uniform(0, 1, n),
        "clerk": ["somebody"] * n,
    }
    return pa.table(columns, schema=cases_schema(SCHEMA))


def scores(n: int, confidence: float | None = 0.9) -> pa.Table:
    rows: list[dict[str, Any]] = [
        {
            NIGHT: NIGHT_1,
            CASE_ID: str(i),
            "probabilities": None,
            "confidence": confidence,
            "reasons": [],
            "problem": None,
            "model_version": "1",
            "model_night": NIGHT_1,
        }
        for i in range(n)
    ]
    return pa.Table.from_pylist(rows, schema=SCORES)


def test_a_night_is_the_same_in_one_piece_and_in_many():
    table = cases(1_000)
    whole = sketch_cases(NIGHT_1, table.to_batches(), SCHEMA)
    pieces = sketch_cases(NIGHT_1, table.to_batches(7), SCHEMA)
    parts = merge(*(sketch_cases(NIGHT_1, table.slice(at, 100).to_batches(), SCHEMA) for at in range(900, -1, -100)))
    assert whole == pieces == parts
    assert whole.cases == 1_000


def test_only_fields_that_decide_are_sketched_and_nobody_is_named():
    sketch = sketch_cases(NIGHT_1, cases(50).to_batches(), SCHEMA)
    assert sorted(sketch.parts) == ["field/amount", "field/bought", "field/kind", "field/photos", "field/words"]
    assert "Mustermann" not in json.dumps(sketch.to_dict())
    assert sketch.parts["field/words"].missing == 10


def test_a_date_counts_as_days_from_its_night():
    table = cases(28)
    later = sketch_cases("2026-03-11", table.to_batches(), SCHEMA).parts["field/bought"]
    first = sketch_cases(NIGHT_1, table.to_batches(), SCHEMA).parts["field/bought"]
    assert first != later
    assert first.total == later.total == 28


def test_vectors_clusters_and_scores_of_a_night():
    n = 40
    vectors = np.random.default_rng(3).normal(size=(n, 12)).astype(np.float32)
    vectors[0] = 0
    embeddings = pa.table({"text_vector": pack(vectors), "image_vector": pa.nulls(n, pa.binary())})
    clusters = pa.table({"cluster": ["a"] * 30 + [None] * 10})
    made = sketch_night(NIGHT_1, cases(n), SCHEMA, embeddings, clusters, scores(n), {"kept": 3})
    assert len([name for name in made.parts if name.startswith("embedding/text/")]) == 16
    assert not [name for name in made.parts if name.startswith("embedding/image/")]
    assert made.parts["embedding/text/0"].missing == 1
    assert (made.parts["clusters"].present, made.parts["clusters"].missing) == (30, 10)
    assert made.expected_error == pytest.approx(0.1)
    assert made.outcomes == {"kept": 3}
    assert Sketch.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert merge(made, Sketch()) == made == merge(Sketch(), made)


def test_cases_without_a_score_are_missing_and_expect_nothing():
    made = sketch_scores(scores(5, None).to_batches())
    assert made.expected_error is None
    assert made.parts["confidence"].missing == 5
