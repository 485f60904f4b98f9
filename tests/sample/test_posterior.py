"""The chances by which claims are made, against claims that were made by them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import date, timedelta

import numpy as np
import pytest

from pipeline_project.sample import posterior as rules
from pipeline_project.sample.claims import LABELS, Claim, claims_of, kind_chances
from pipeline_project.sample.posterior import posterior
from pipeline_project.sample.shots import shots_of
from pipeline_project.sample.words import plan_of, write_message

FIRST = date(2025, 3, 3)


@pytest.fixture(scope="module")
def claims() -> list[Claim]:
    nights = [FIRST + timedelta(days=day) for day in range(12)]
    return [claim for night in nights for claim in claims_of(11, 500, night)]


def posteriors(claims: list[Claim]) -> np.ndarray:
    """Shape (claims, labels)."""
    return np.array([[chance[label] for label in LABELS] for chance in map(posterior, claims)])


@pytest.fixture(scope="module")
def chances(claims: list[Claim]) -> np.ndarray:
    return posteriors(claims)


def test_chances_are_chances(claims: list[Claim], chances: np.ndarray) -> None:
    assert chances.shape == (len(claims), len(LABELS))
    assert chances.min() >= 0
    assert chances.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("label", LABELS)
def test_of_claims_with_a_chance_of_so_much_so_many_are(label: str, claims: list[Claim], chances: np.ndarray) -> None:
    """Calibrated, bin by bin, to what so many claims leave open (4.5 standard deviations)."""
    ordinary = np.array([claim.kind != "ring" for claim in claims])
    told, true = chances[ordinary, LABELS.index(label)], np.array([claim.label == label for claim in claims])[ordinary]
    bins = np.digitize(told, [0.002, 0.02, 0.1, 0.3, 0.7, 0.95, 0.995])
    looked_at = 0
    for number in range(8):
        inside = bins == number
        if inside.sum() < 40:
            continue
        looked_at += 1
        open_still = np.sqrt((told[inside] * (1 - told[inside])).sum()) + 1
        assert abs(true[inside].sum() - told[inside].sum()) < 4.5 * open_still, number
    assert looked_at >= 4


def test_nothing_true_is_told_to_be_impossible(claims: list[Claim], chances: np.ndarray) -> None:
    true = [LABELS.index(claim.label) for claim in claims]
    assert chances[np.arange(len(true)), true].min() > 1e-5


def loss(told: np.ndarray, claims: list[Claim]) -> float:
    true = [LABELS.index(claim.label) for claim in claims]
    return float(-np.log(told[np.arange(len(true)), true]).mean())


@pytest.mark.parametrize("part", ["_reason", "_days", "_message_chance", "_shot"])
def test_each_part_tells_something(
    part: str, claims: list[Claim], chances: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chances that leave something out are calibrated as well; but they know less."""
    monkeypatch.setattr(rules, part, lambda *_: 1.0)
    assert loss(posteriors(claims), claims) > 1.01 * loss(chances, claims)


def test_kinds_come_as_often_as_their_chances(claims: list[Claim]) -> None:
    ordinary = [claim for claim in claims if claim.kind != "ring"]
    expected: Counter[str] = Counter()
    for claim in ordinary:
        expected.update(kind_chances(claim.customer, claim.item, claim.night))
    counted = Counter(claim.kind for claim in ordinary)
    assert sum(expected.values()) == pytest.approx(len(ordinary))
    for kind, count in expected.items():
        assert abs(counted[kind] - count) < 4.5 * np.sqrt(count)


def test_what_is_read_is_what_was_written(claims: list[Claim]) -> None:
    """The plan and the shots are those of the message and the photos, not others."""
    seen = Counter(plan_of(claim).core for claim in claims if claim.kind == "empty_box")
    assert seen["empty"] > seen["wrong"] > 0
    silent = [claim for claim in claims if claim.kind != "ring" and plan_of(claim).moves is None]
    wordy = [claim for claim in claims if claim.kind != "ring" and len(plan_of(claim).moves or ()) > 5]
    words = [np.mean([len(write_message(claim).split()) for claim in some]) for some in (silent, wordy)]
    assert words[0] < 0.5 * words[1]
    assert all(len(shots_of(claim)) == claim.photos for claim in claims if claim.kind != "ring")
    with pytest.raises(ValueError, match="script"):
        plan_of(dataclasses.replace(claims[0], kind="ring"))
