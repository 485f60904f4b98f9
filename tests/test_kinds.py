"""Every kind of thing has one registry, and no member of any lacks a word, a line on its page or a check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline_project.domain.clusters.similarity import vectors_of
from pipeline_project.domain.core.reasons import AUTOMATED, Reason, ReasonWords, Trait, words_of
from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType
from pipeline_project.domain.features.building import build_features, no_past
from pipeline_project.domain.features.plan import FeaturePlan
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.intake.parsing import READERS
from pipeline_project.domain.lifecycle.drift.signals import DRIFT_KINDS
from pipeline_project.domain.lifecycle.drift.sketch import sketch_night
from pipeline_project.domain.lifecycle.gates import GATES
from pipeline_project.domain.models import ESTIMATORS
from pipeline_project.domain.models.boosting import BoostedTrees
from pipeline_project.domain.models.estimator import EstimatorSettings
from pipeline_project.domain.models.fusion import FusionNetwork
from pipeline_project.domain.models.out_of_distribution import OutOfDistributionDetector
from pipeline_project.domain.privacy.fields import OPENED
from pipeline_project.domain.vectors.modalities import (
    EMBEDDINGS,
    MODALITIES,
    InlineModality,
    TextTerms,
    file_modalities,
)
from pipeline_project.domain.vectors.stored import unit
from pipeline_project.services.embedding import embed_inline, embeddings_table
from pipeline_project.spec.actions import ActionsSpec
from pipeline_project.spec.docs import workflows_page
from pipeline_project.spec.words import wanted
from resources.destinations import destinations
from resources.encoders import ENCODERS, NAMED, encoder_of


def test_each_reason_has_its_words_and_its_line() -> None:
    page = workflows_page()
    for reason in Reason:
        assert all(astuple(reason.words)), reason
        assert f"\n- `{reason}`: {reason.words.desk}\n" in page


def test_words_of_reasons_tell_them_apart() -> None:
    for name in ReasonWords.__dataclass_fields__:
        said = [getattr(reason.words, name) for reason in Reason]
        assert len(set(said)) == len(said), name


def test_what_follows_from_a_reason_goes_together() -> None:
    assert Reason.having(Trait.AUTOMATED) == AUTOMATED
    assert Reason.having(Trait.TURNED_AWAY) < AUTOMATED
    people = (Trait.BARRED, Trait.UNSCORED, Trait.DOUBT, Trait.INDIVIDUAL)
    assert [(trait, reason) for trait, reason in product(people, AUTOMATED) if trait in reason.traits] == []


def test_a_reason_that_another_version_wrote_is_said_to_be_unknown() -> None:
    assert words_of("doubt") == Reason.DOUBT.words
    assert "'moonlight', a reason that this version does not know" in words_of("moonlight").desk


def test_each_estimator_says_what_it_is_and_sees() -> None:
    page = workflows_page()
    for name, kind in ESTIMATORS.items():
        assert kind.ABOUT and kind.LIBRARY and kind.GRID
        assert kind.REQUIRES <= kind.VECTORS <= {"text", "image"}
        assert f"{name}: {kind.ABOUT}" in page


def test_each_gate_and_each_kind_of_drift_signal_has_its_line_and_its_check() -> None:
    page = workflows_page()
    for name, gate in GATES.items():
        assert f"\n- `{name}`: {gate.asks}\n" in page
    for kind in DRIFT_KINDS.values():
        assert f"`{kind.check}`: {kind.means}\n" in page
    assert len({kind.check for kind in DRIFT_KINDS.values()}) == len(DRIFT_KINDS)


def test_each_destination_that_can_be_declared_can_be_sent_to_and_has_its_page() -> None:
    page, entry = workflows_page(), wanted(ActionsSpec.model_fields["destinations"]).entry
    assert entry is not None
    assert {branch.kind for branch in entry.tagged.values()} == destinations().keys()
    for name in entry.tagged:
        assert f"### `actions.destinations.NAME` with `kind: {name}" in page


def test_each_field_type_is_read_in_its_own_way_and_holds_what_the_rest_knows() -> None:
    page = workflows_page()
    assert READERS.keys() == set(FieldType)
    assert OPENED.keys() == {kind.holds for kind in FieldType} - {FieldType.IMAGE}
    for kind in FieldType:
        assert kind.holds.holds is kind.holds and kind.arrow == kind.holds.arrow
        assert f"\n- `{kind}`: {kind.about}\n" in page


def test_each_modality_has_its_words_its_keys_and_its_default_encoder() -> None:
    page = workflows_page()
    assert list(MODALITIES) == [modality.name for modality in MODALITIES.values()]
    for name, modality in MODALITIES.items():
        assert modality.shows and modality.dimensions > 0 and modality.width >= modality.dimensions
        assert f"| `{name}` | a group of keys | – | {modality.about} |" in page
        assert f"`{name}_dimensions`" in page and f"### `{name}`" in page
        assert modality.terms().encoder in NAMED[name]
        assert {modality.vector_column, *modality.further_columns} <= set(EMBEDDINGS.names)
        assert modality.key_column in modality.further_columns
    for told in ("feature", "singular", "alike", "vector_column", "similarity_column", "key_column", "field_type"):
        assert len({getattr(modality, told) for modality in MODALITIES.values()}) == len(MODALITIES), told
    assert {modality.failure for modality in file_modalities()} <= Reason.having(Trait.UNSCORED)


class Second(InlineModality):
    """A second text with a vector of its own."""

    name = "second"
    terms = TextTerms
    about = reduced = "Of tests."
    field_type = FieldType.IDENTIFIER
    feature, singular, alike = "seconds", "second", "seconds"
    shows = "what the second text says"
    dimensions, width = 2, 4
    key_column = "second_key"


class Letters:
    """One dimension for each of four letters."""

    version, dimension = "letters", 4

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return unit(np.array([[text.count(letter) for letter in "abcd"] for text in texts], dtype=np.float32))


class Kept(dict[str, np.ndarray]):
    """A store of vectors."""

    def get(self, encoder: str, keys: Sequence[str]) -> dict[str, np.ndarray]:  # type: ignore[override]
        return {key: self[key] for key in keys if key in self}

    def put(self, encoder: str, vectors: Mapping[str, np.ndarray]) -> None:
        self.update(vectors)


def test_another_modality_is_one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODALITIES, "second", second := Second())
    schema = CaseSchema((Field("title", FieldType.IDENTIFIER, "title"),), "UTC")
    ids = [f"c{i}" for i in range(60)]
    cases = pa.table({"night": ["2025-03-01"] * 60, "case_id": ids, "title": ["aab", "bcd", "dda"] * 20})
    made = embed_inline(second.contents(cases, schema), Letters(), Kept())
    embeddings = embeddings_table("2025-03-01", ids, {"second": made})
    assert embeddings["second_vector"].null_count == 0 and embeddings["text_vector"].null_count == 60
    plan = FeaturePlan((), ("a", "b"), "UTC", dimensions={"second": 2})
    as_of = {"2025-03-01": datetime(2025, 3, 1, tzinfo=UTC)}
    features = FeatureTable.from_arrow(build_features(cases, plan, no_past(), as_of, embeddings).to_arrow())
    assert features.names[-1] == "seconds" and features.vectors["second"].shape == (60, 4)
    y = np.array([0, 1, 1] * 20)
    for kind in (BoostedTrees, FusionNetwork):
        model = kind(EstimatorSettings(("a", "b"), {"second": 2})).fit(features, y)
        again = kind.from_files(model.files())
        assert (again.probabilities(features).argmax(axis=1) == y).mean() > 0.9
        assert "what the second text says" in str(again.reasons(features, again.probabilities(features), 3))
    strange = OutOfDistributionDetector().fit(features, (), seed=7).limit(features)
    assert strange.limits.keys() == {"second"}
    assert {key.split("/")[1] for key in sketch_night("2025-03-01", cases, schema, embeddings).parts} >= {"second"}
    assert vectors_of(embeddings, ids).kinds["second"].shape == (60, 4)


def test_each_encoder_with_a_name_is_made_by_it_and_named_where_a_name_is_wrong(tmp_path: Path) -> None:
    assert ENCODERS.keys() == NAMED.keys() == MODALITIES.keys()
    for modality, registry in NAMED.items():
        terms = MODALITIES[modality].terms
        assert all(callable(encoder_of(modality, terms(encoder=name)).encode) for name in registry)
        assert all(f"`{name}`" in workflows_page() for name in registry)
        with pytest.raises(ValueError, match="|".join(registry)):
            encoder_of(modality, terms(encoder="nothing"), base=tmp_path)
