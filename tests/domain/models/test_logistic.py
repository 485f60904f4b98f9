"""Logistic regression on the vectors that a workflow has: of texts, of photos, or of both."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pytest

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.models import LogisticOnEmbeddings
from pipeline_project.domain.models.estimator import EstimatorSettings
from pipeline_project.domain.vectors.stored import unit

LABELS = ("fine", "torn")


def table(vectors: Mapping[str, np.ndarray]) -> FeatureTable:
    rows = len(next(iter(vectors.values()))) if vectors else 4
    return FeatureTable(
        np.array([str(row) for row in range(rows)]), np.array(["2025-03-01"] * rows), (), np.zeros((rows, 0)),
        (), np.zeros((rows, 0), object), vectors,
    )  # fmt: skip


def vectors(y: np.ndarray, width: int, seed: int) -> np.ndarray:
    """Of which the first value says the label, as often as not."""
    made = np.random.default_rng(seed).normal(0, 1, (len(y), width)).astype(np.float32)
    made[:, 0] += 2 * y - 1
    return unit(made)


Y = np.random.default_rng(1).integers(0, 2, 400)
TEXT, IMAGE = vectors(Y, 12, 2), vectors(Y, 8, 3)


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ({"text": TEXT}, "the text is close to"),
        ({"image": IMAGE}, "the photos are close to"),
        ({"text": TEXT, "image": IMAGE}, "the text and the photos are close to"),
        ({"image": IMAGE, "text": TEXT}, "the text and the photos are close to"),
    ],
)
def test_it_learns_from_what_there_is_and_says_what_of(held, says):
    learned = LogisticOnEmbeddings(EstimatorSettings(LABELS)).fit(table(held), Y)
    again = LogisticOnEmbeddings.from_files(learned.files())
    probabilities = again.probabilities(table(held))
    assert (probabilities.argmax(axis=1) == Y).mean() > 0.8
    assert again.reasons(table(held), probabilities, 1)[0][0].startswith(says)


def test_what_texts_and_photos_say_together_is_learned():
    """Of four labels texts tell one half and photos the other."""
    first, second = np.random.default_rng(4).integers(0, 2, (2, 400))
    held = {"text": vectors(first, 12, 5), "image": vectors(second, 8, 6)}
    y, half = 2 * first + second, np.arange(400) < 200

    def right(names: tuple[str, ...]) -> float:
        rows = table({name: held[name] for name in names})
        learned = LogisticOnEmbeddings(EstimatorSettings(("a", "b", "c", "d"))).fit(rows.select(half), y[half])
        return float((learned.probabilities(rows.select(~half)).argmax(axis=1) == y[~half]).mean())

    assert right(("text", "image")) > max(right(("text",)), right(("image",))) + 0.15


def test_a_model_of_before_photos_were_learned_from_reads_texts_alone():
    learned = LogisticOnEmbeddings(EstimatorSettings(LABELS)).fit(table({"text": TEXT}), Y)
    files = learned.files()
    settings = json.loads(files["logistic.json"])
    assert settings.pop("vectors") == {"text": 12}
    earlier = LogisticOnEmbeddings.from_files({**files, "logistic.json": json.dumps(settings).encode()})
    both = table({"text": TEXT, "image": IMAGE})
    np.testing.assert_array_equal(earlier.probabilities(both), learned.probabilities(both))


def test_cases_without_those_vectors_are_an_error_that_says_what_to_set():
    learned = LogisticOnEmbeddings(EstimatorSettings(LABELS)).fit(table({"text": TEXT, "image": IMAGE}), Y)
    with pytest.raises(ModelUnavailable, match="vectors of image and these cases have none; set `image`"):
        learned.probabilities(table({"text": TEXT}))
    with pytest.raises(ModelUnavailable, match="vectors of texts or photos"):
        LogisticOnEmbeddings(EstimatorSettings(LABELS)).fit(table({}), Y[:4])
    with pytest.raises(ModelUnavailable, match="vectors of 12 values and these have 16"):
        learned.probabilities(table({"text": np.hstack([TEXT, TEXT[:, :4]]), "image": IMAGE}))


def test_a_night_or_a_training_in_which_no_case_has_a_photo_is_like_any_other():
    """Then the photos' vectors have no width, because nothing tells it."""
    none, some = np.zeros((len(Y), 0), np.float32), np.zeros_like(IMAGE)
    learned = LogisticOnEmbeddings(EstimatorSettings(LABELS)).fit(table({"text": TEXT, "image": IMAGE}), Y)
    np.testing.assert_array_equal(
        learned.probabilities(table({"text": TEXT, "image": none})),
        learned.probabilities(table({"text": TEXT, "image": some})),
    )
    texts = LogisticOnEmbeddings(EstimatorSettings(LABELS)).fit(table({"text": TEXT, "image": none}), Y)
    alone = LogisticOnEmbeddings(EstimatorSettings(LABELS)).fit(table({"text": TEXT}), Y)
    both = table({"text": TEXT, "image": IMAGE})
    np.testing.assert_array_equal(texts.probabilities(both), alone.probabilities(both))
