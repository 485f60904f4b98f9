"""Mistakes in what a model is trained and calibrated with are told where they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline_project.spec import check_file, load_spec
from tests.spec.test_mistakes import GOOD

MODEL = "  features: [price, kind, words]\n"

#: what stands in place of the model's features, a part of the mistake's place, a part of its sentence
BROKEN = [
    ("  segments: [kind, kinds]\n", "model.segments[1]", "did you mean `kind`?"),
    ("  segments: [kind, kind]\n", "model.segments[1]", "written twice"),
    ("  segments: [price]\n", "model.segments[0]", "no category that the model sees"),
    ("  segments: [customer]\n", "model.segments[0]", "no category that the model sees"),
    ("  features: [price, words]\n  segments: [kind]\n", "model.segments[0]", "no category that the model sees"),
    ("  challengers: [boosting, forest]\n", "model.challengers[1]", "one of boosting, logistic, fusion"),
    ("  features: [price]\n  search_seconds: -1\n", "model.search_seconds", "at least 0"),
]


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "claims.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(("model", "place", "sentence"), BROKEN)
def test_a_mistake_in_the_model_is_told(tmp_path: Path, model: str, place: str, sentence: str) -> None:
    found = [str(m) for m in check_file(written(tmp_path, GOOD.replace(MODEL, model)))]
    assert [m for m in found if place in m and sentence in m], found


def test_a_personal_field_is_no_segment(tmp_path: Path) -> None:
    personal = GOOD.replace("kind: {type: category,", "kind: {type: category, pii: true,")
    found = [str(m) for m in check_file(written(tmp_path, personal.replace(MODEL, f"{MODEL}  segments: [kind]\n")))]
    assert [m for m in found if "model.segments[0]" in m and "kind is personal" in m], found


def test_logistic_needs_a_text_or_photos_also_as_a_challenger(tmp_path: Path) -> None:
    bare = GOOD.replace("  words: {type: text, required: false}\n", "")
    found = [str(m) for m in check_file(written(tmp_path, bare.replace(MODEL, "  challengers: [fusion, logistic]\n")))]
    asked = "works on the vectors of a text or an image field; take it out"
    assert [m for m in found if "model.challengers[1]" in m and asked in m], found
    photos = bare.replace("fields:\n", "fields:\n  photos: {type: image, required: false}\n", 1)
    assert not check_file(written(tmp_path, photos.replace(MODEL, "  challengers: [fusion, logistic]\n")))


@pytest.mark.parametrize("encoder", ["[photo-statistics-v1]", "[]"])
def test_a_list_of_encoders_names_several(tmp_path: Path, encoder: str) -> None:
    photos = GOOD.replace("fields:\n", "fields:\n  photos: {type: image, required: false}\n", 1)
    found = [str(m) for m in check_file(written(tmp_path, f"{photos}\nimage: {{encoder: {encoder}}}\n"))]
    assert [m for m in found if "image.encoder: must be text, or a list of at least 2 texts" in m], found
    both = "[efficientnet-lite0, photo-statistics-v1]"
    spec = load_spec(written(tmp_path, f"{photos}\nimage: {{encoder: {both}}}\n"))
    assert spec.encoders["image"].encoder == ("efficientnet-lite0", "photo-statistics-v1")


def test_segments_and_challengers_that_are_right_pass(tmp_path: Path) -> None:
    spec = load_spec(written(tmp_path, GOOD.replace(MODEL, f"{MODEL}  segments: [kind]\n  challengers: [fusion]\n")))
    assert spec.training_plan_of("fusion").segments == ("kind",)
