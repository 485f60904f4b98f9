"""The nearest earlier cases, by vectors where there are any, else by fields."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline_project.domain.core.schema import Field, FieldType
from pipeline_project.domain.review.similar import nearest_by_fields, nearest_by_vectors

FIELDS = (
    Field("price", FieldType.NUMBER, "price"),
    Field("kind", FieldType.CATEGORY, "kind"),
    Field("words", FieldType.TEXT, "words"),
)


def test_the_nearest_vectors_come_first_whatever_their_length() -> None:
    earlier = np.array([[0, 1], [5, 0], [1, 1], [0, 0]], dtype=np.float32)
    found = nearest_by_vectors(np.array([[2, 0], [0, 0]], dtype=np.float32), earlier, 2)

    assert [position for position, _ in found[0]] == [1, 2]
    assert np.allclose([similarity for _, similarity in found[0]], [1, np.sqrt(0.5)])
    assert found[1] == []


def test_more_cases_than_one_block_are_all_answered() -> None:
    vectors = np.eye(700, dtype=np.float32)
    found = nearest_by_vectors(vectors, vectors, 1)

    assert [of_case[0][0] for of_case in found] == list(range(700))


def test_without_vectors_numbers_by_rank_and_categories_decide() -> None:
    earlier = pa.table({"price": [1.0, 2.0, 900.0, None], "kind": ["a", "b", "a", "b"], "words": ["x"] * 4})
    asked = pa.table({"price": [900.0, 1.0], "kind": ["a", "b"], "words": ["y"] * 2})
    found = nearest_by_fields(asked, earlier, FIELDS, 1)

    assert [of_case[0][0] for of_case in found] == [2, 1]
    assert found[0][0][1] == 1.0


def test_with_nothing_earlier_nothing_is_similar() -> None:
    empty = pa.table({"price": pa.array([], pa.float64()), "kind": pa.array([], pa.string())})
    asked = pa.table({"price": [1.0], "kind": ["a"]})

    assert nearest_by_fields(asked, empty, FIELDS) == [[]]
    assert nearest_by_vectors(np.ones((1, 2), dtype=np.float32), np.empty((0, 2), dtype=np.float32)) == [[]]
