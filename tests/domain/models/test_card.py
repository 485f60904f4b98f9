"""A model's card says what it learned from, how good it is where, and what it is not for."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from pipeline_project.domain.core.model_terms import PromiseTerms
from pipeline_project.domain.models.card import CardFacts, model_card
from pipeline_project.domain.models.trained import TrainedModel
from pipeline_project.domain.models.training import train
from tests.domain.models.test_training import NIGHTS, TWO, known, table

FACTS = CardFacts(
    workflow="returns",
    title="Return claims",
    night="2024-04-12",
    knows_until="2024-04-10",
    lake_versions={"training_set": 3, "cases": 41},
    cases=2000,
    decides=("refund", "ask_person"),
    currency="EUR",
    masked=frozenset({"age"}),
    promise=PromiseTerms(0.02, 0.9),
    spec_hash="abc123",
)


@lru_cache(maxsize=1)
def learned() -> TrainedModel:
    features, y = table(1800, 1, 2)
    features.categories[::3, 0] = "a|b <i>*"
    # in one size the label is chance, so that its figures stand out
    chance = np.flatnonzero(features.categories[:, 0] == "size1")
    y[chance] = np.random.default_rng(2).integers(0, 2, len(chance))
    plan = replace(TWO, segments=("size",))
    return train(known(features, y, plan), plan)


def test_a_card_says_what_the_model_learned_from() -> None:
    card = model_card(learned(), FACTS)
    kept = learned().outcomes["kept"]

    assert card.startswith("# Model card: Return claims, boosting\n")
    assert f"1,800 cases with a known outcome: kept {kept} ({kept / 1800:.1%}), returned {1800 - kept}" in card
    assert f"{len(NIGHTS)} nights from {NIGHTS[0]} to {NIGHTS[-1]}" in card
    assert "knows nothing of the night of 2024-04-10 and later ones" in card
    assert "lake: cases 41, training_set 3" in card
    assert "age (personal, never shown)" in card
    assert learned().digest in card
    assert "abc123" in card
    assert "between refund, ask_person, by expected cost in EUR" in card


def test_a_card_says_how_good_the_model_is_overall_and_by_slice() -> None:
    card, model = model_card(learned(), FACTS), learned()

    assert f"| calibration error | {model.metrics['ece']:.4f} |" in card
    assert f"| rounds | {model.parameters['rounds']} |" in card
    assert "| trained_on | cpu |" in card
    of = model.slices["size"]["size1"]
    assert (
        f"| size1 | {of['cases']:.0f} | {of['log_loss']:.4f} | {of['accuracy']:.4f} | {of['ece']:.4f} | common |"
        in card
    )
    # values of the data are words, not Markdown or HTML
    assert "| a\\|b \\<i\\>\\* |" in card
    lengths = [line.replace("\\|", "").count("|") for line in card.splitlines() if line.startswith("| ")]
    assert set(lengths) == {3, 7}


def test_a_card_says_the_limits_and_the_promise() -> None:
    card = model_card(learned(), FACTS)

    assert "nor for anything but `returns`" in card
    assert f"of the later nights' cases that were {learned().metrics['unfamiliar_share']:.2%}" in card
    assert "200 of 2,000 cases had no outcome yet (10.0%)" in card
    assert "Worst calibrated where it matters to look: size size1 (" in card
    assert "At most 2.0% of what is decided without people is wrong, with 90% confidence" in card
    assert "Rarely seen" not in card

    plain = model_card(
        replace(learned(), outcomes={"kept": 890, "returned": 10}), replace(FACTS, promise=None, cases=None)
    )
    assert "Rarely seen labels: returned;" in plain
    assert "None is declared" in plain
    assert "had no outcome yet" not in plain


def test_a_model_without_later_nights_has_a_card_too() -> None:
    features, y = table(400, 1, 2)
    features.nights[:] = NIGHTS[0]
    card = model_card(train(known(features, y, TWO), TWO), FACTS)

    assert "None: there is only one night" in card
    assert "by slice" not in card


def test_the_same_model_read_back_has_the_same_card() -> None:
    assert model_card(TrainedModel.from_files(learned().files()), FACTS) == model_card(learned(), FACTS)
