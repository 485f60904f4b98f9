"""The estimate of money, against a simulated truth: coverage, two ways of being right, and when it refuses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.lifecycle.replay.money import (
    Estimate,
    chances_of_truth,
    doubly_robust,
    effective_sample,
    over_the_draw,
    without_the_draw,
)
from pipeline_project.domain.measures.intervals import mean_intervals

ROUNDS, CUSTOMERS, CASES, DRAWN = 200, 150, 1200, 0.15
LEARNED = ("assess",)


@dataclass(frozen=True)
class World:
    """Cases of which the truth comes only after `assess`, or when the random share draws them.

    Attributes:
        right: probabilities of the two labels, as they are.
        difference: candidate minus base, by label.
        label: the truth, also where nobody will ever learn it; `seen` says where somebody does.
        chance: of learning it.
    """

    right: np.ndarray
    difference: np.ndarray
    label: np.ndarray
    seen: np.ndarray
    chance: np.ndarray
    customers: np.ndarray

    def estimate(self, expected: np.ndarray, chance: np.ndarray, fewest: float = 0) -> Estimate:
        return doubly_robust(self.difference, expected, np.where(self.seen, self.label, -1), chance, fewest)


def world(seed: int) -> World:
    """A world in which the base pays what looks honest, and the candidate assesses half of that."""
    draw = np.random.default_rng(seed)
    customers = draw.integers(0, CUSTOMERS, CASES)
    habit = draw.normal(0, 0.5, CUSTOMERS)[customers]
    amount = draw.uniform(50, 400, CASES)
    fraud = 1 / (1 + np.exp(2.2 - amount / 200 - habit))
    label = (draw.random(CASES) < fraud).astype(int)
    pays = fraud < 0.3
    drawn = draw.random(CASES) < DRAWN
    pay = np.column_stack([np.zeros(CASES), amount])
    assess = np.column_stack([np.full(CASES, 30.0), 30 + 0.1 * amount])
    base = np.where(pays[:, None], pay, assess)
    candidate = np.where((pays & (amount < 150))[:, None], pay, assess)
    asked = 15 + np.minimum(pay, assess)
    chance = np.full(CASES, DRAWN)
    return World(
        right=np.column_stack([1 - fraud, fraud]),
        difference=over_the_draw(candidate, asked, chance) - over_the_draw(base, asked, chance),
        label=label,
        seen=~pays | drawn,
        chance=np.where(pays, DRAWN, 1.0),
        customers=customers,
    )


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [world(seed) for seed in range(ROUNDS)]


@pytest.fixture(scope="module")
def truth() -> float:
    """The mean difference of this kind of case, from many more of them than any estimate sees."""
    many = [world(seed) for seed in range(10_000, 10_600)]
    return float(np.mean([(w.right * w.difference).sum(axis=1).mean() for w in many]))


def _wrong_model(w: World) -> np.ndarray:
    return np.broadcast_to([0.95, 0.05], w.right.shape)


def _off(estimates: list[float], truth: float) -> float:
    """How many standard errors the mean of many estimates lies from the truth."""
    return float(abs(np.mean(estimates) - truth) / (np.std(estimates) / math.sqrt(len(estimates))))


def test_the_interval_holds_the_truth_as_often_as_it_says(worlds: list[World], truth: float) -> None:
    held = 0
    for seed, w in enumerate(worlds):
        each = w.estimate(_wrong_model(w), w.chance).each
        found = mean_intervals(each, [np.ones(CASES, dtype=bool)], w.customers, seed)[0]
        assert found.low < found.value < found.high
        held += found.low <= truth <= found.high
    assert 0.90 <= held / ROUNDS <= 0.99


def test_with_wrong_probabilities_the_chances_make_it_right(worlds: list[World], truth: float) -> None:
    told = [float(w.estimate(_wrong_model(w), w.chance).each.mean()) for w in worlds]
    assert _off(told, truth) < 3.5


def test_with_wrong_chances_the_probabilities_make_it_right(worlds: list[World], truth: float) -> None:
    told = [float(w.estimate(w.right, np.minimum(1.0, w.chance * 3)).each.mean()) for w in worlds]
    assert _off(told, truth) < 3.5


def test_with_both_wrong_it_is_wrong(worlds: list[World], truth: float) -> None:
    told = [float(w.estimate(_wrong_model(w), np.minimum(1.0, w.chance * 3)).each.mean()) for w in worlds]
    assert _off(told, truth) > 10


def test_where_every_outcome_is_known_it_is_a_plain_count() -> None:
    w = world(1)
    seen = w.difference[np.arange(CASES), w.label]
    found = doubly_robust(w.difference, _wrong_model(w), w.label, np.ones(CASES), 10)
    assert found.each == pytest.approx(seen)
    assert found.effective == pytest.approx(CASES)
    assert found.refused is None


def test_outcomes_that_are_late_by_chance_change_nothing_on_average() -> None:
    told, plain = [], []
    for seed in range(100):
        w = world(seed)
        late = np.random.default_rng(seed).random(CASES) < 0.2
        found = doubly_robust(w.difference, _wrong_model(w), np.where(late, -1, w.label), np.ones(CASES), 10, 0.8)
        told.append(float(found.each.mean()))
        plain.append(float(w.difference[np.arange(CASES), w.label].mean()))
    assert _off(list(np.array(told) - np.array(plain)), 0.0) < 3.5


def test_a_small_effective_sample_is_refused_with_the_figures() -> None:
    w = world(2)
    found = w.estimate(w.right, w.chance, fewest=CASES)
    assert found.refused is not None
    assert f"{found.effective:,.0f} cases" in found.refused
    assert f"{CASES:,}" in found.refused
    assert w.estimate(w.right, w.chance, fewest=100).refused is None


def test_without_a_random_share_nothing_is_said_of_cases_whose_truth_never_comes() -> None:
    w = world(3)
    never = np.where(w.chance < 1, 0.0, 1.0)
    found = doubly_robust(w.difference, w.right, np.where(never > 0, w.label, -1), never, 10)
    assert found.refused is not None
    assert "never learned" in found.refused


def test_without_any_outcome_nothing_is_said() -> None:
    w = world(4)
    found = doubly_robust(w.difference, w.right, np.full(CASES, -1), w.chance, 0)
    assert found.refused is not None
    assert "no outcome" in found.refused


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=50))
def test_the_effective_sample_is_never_larger_than_the_sample(weights: list[float]) -> None:
    found = effective_sample(np.array(weights))
    assert 1 - 1e-9 <= found <= len(weights) + 1e-9


class TestWithoutTheDraw:
    def of(self, option: str, reason: str, alone: str | None = "pay", benefit: float = -1.0) -> str:
        return without_the_draw([option], [reason], [alone], np.array([benefit]), ["n"])[0]

    def test_what_was_not_drawn_is_what_it_is(self) -> None:
        assert self.of("pay", "cheapest") == "pay"
        assert self.of(ASK_PERSON, "doubt", benefit=5.0) == ASK_PERSON
        assert self.of(ASK_PERSON, "failed_photo", alone=None, benefit=math.nan) == ASK_PERSON

    def test_a_drawn_case_gets_what_it_gets_alone(self) -> None:
        assert self.of(ASK_PERSON, "random_share") == "pay"
        assert self.of(ASK_PERSON, "random_share", alone="assess") == "assess"

    def test_a_drawn_case_in_doubt_is_asked_anyway(self) -> None:
        assert self.of(ASK_PERSON, "random_share", benefit=5.0) == ASK_PERSON

    def test_on_a_full_night_doubt_alone_gives_no_place(self) -> None:
        told = without_the_draw(
            [ASK_PERSON, "pay", ASK_PERSON], ["random_share", "no_place_left", "random_share"],
            ["pay"] * 3, np.array([5.0, 7.0, 5.0]), ["one", "one", "two"],
        )  # fmt: skip
        assert told == ["pay", "pay", ASK_PERSON]


def test_chances_are_those_of_the_options() -> None:
    undrawn, drawn = ["assess", "pay", ASK_PERSON, "pay"], np.array([0.1, 0.1, 0.1, math.nan])
    assert chances_of_truth(undrawn, drawn, LEARNED).tolist() == [1.0, 0.1, 1.0, 0.0]
    assert chances_of_truth(undrawn, drawn, ()).tolist() == [1.0] * 4
