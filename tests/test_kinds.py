"""Every kind of thing has one registry, and no member of any lacks a word, a line on its page or a check."""

from __future__ import annotations

from dataclasses import astuple
from itertools import product
from pathlib import Path

import pytest

from pipeline_project.domain.core.reasons import ALONE, Reason, ReasonWords, Trait, words_of
from pipeline_project.domain.core.schema import FieldType
from pipeline_project.domain.intake.parsing import READERS
from pipeline_project.domain.lifecycle.drift.signals import DRIFT_KINDS
from pipeline_project.domain.lifecycle.gates import GATES
from pipeline_project.domain.models import ESTIMATORS
from pipeline_project.domain.privacy.fields import OPENED
from pipeline_project.spec.actions import ActionsSpec
from pipeline_project.spec.docs import workflows_page
from pipeline_project.spec.words import wanted
from resources.destinations import destinations
from resources.encoders import IMAGE_ENCODERS, TEXT_ENCODERS, image_encoder, text_encoder


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
    assert Reason.having(Trait.ALONE) == ALONE
    assert Reason.having(Trait.TURNED_AWAY) < ALONE
    people = (Trait.BARRED, Trait.UNSCORED, Trait.DOUBT, Trait.INDIVIDUAL)
    assert [(trait, reason) for trait, reason in product(people, ALONE) if trait in reason.traits] == []


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


def test_each_encoder_with_a_name_is_made_by_it_and_named_where_a_name_is_wrong(tmp_path: Path) -> None:
    for registry, made in ((TEXT_ENCODERS, text_encoder), (IMAGE_ENCODERS, image_encoder)):
        assert all(callable(made(name).encode) and f"`{name}`" in workflows_page() for name in registry)
        with pytest.raises(ValueError, match="|".join(registry)):
            made("nothing", base=tmp_path)
