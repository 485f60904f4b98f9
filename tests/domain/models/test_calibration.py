"""Probabilities mean what they say after a map that was fitted on later cases."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.measures.probabilities import ece, log_loss
from pipeline_project.domain.models.calibration import Calibration, fit_calibration


def two(rows: int, seed: int, bend) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted, true labels and groups, where the truth of a predicted p is bend(p)."""
    random = np.random.default_rng(seed)
    p = random.uniform(0.02, 0.98, rows)
    y = (random.random(rows) < bend(p)).astype(np.int64)
    return np.column_stack([1 - p, p]), y, np.arange(rows) * 4 // rows


def several(rows: int, seed: int, sharpness: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    logits = random.normal(size=(rows, 4)) * 2
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    told = np.exp(logits * sharpness) / np.exp(logits * sharpness).sum(axis=1, keepdims=True)
    y = np.array([random.choice(4, p=row) for row in true])
    return told, y, np.arange(rows) * 4 // rows


@pytest.mark.parametrize(
    "bend",
    [
        lambda p: 1 / (1 + np.exp(-0.5 * np.log(p / (1 - p)) + 0.7)),
        lambda p: p**3,
        lambda p: np.where(p < 0.5, 0.1, 0.6),
    ],
)
def test_two_labels_are_bent_back(bend) -> None:
    fitted, crossed = fit_calibration(*two(6000, 1, bend))
    p, y, _ = two(20_000, 2, bend)

    assert ece(p, y) > 0.08
    assert ece(fitted.apply(p), y) < 0.03
    assert crossed.shape == (6000, 2)
    np.testing.assert_allclose(fitted.apply(p).sum(axis=1), 1)


@pytest.mark.parametrize("sharpness", [0.4, 2.5])
def test_several_labels_are_sharpened_or_softened(sharpness: float) -> None:
    fitted, _ = fit_calibration(*several(1500, 1, sharpness))
    p, y, _ = several(5000, 2, sharpness)

    assert fitted.kind in ("temperature", "vector")
    assert ece(p, y) > 0.1
    assert ece(fitted.apply(p), y) < 0.03


def test_what_is_right_already_is_left_alone() -> None:
    assert fit_calibration(*two(4000, 3, lambda p: p))[0].kind == "identity"
    assert fit_calibration(*several(1500, 3, 1.0))[0].kind == "identity"


def test_a_level_that_only_one_stretch_has_is_no_rule() -> None:
    p, y, groups = two(6000, 1, lambda p: p)
    y[groups == 3] |= np.random.default_rng(1).random((groups == 3).sum()) < 0.4
    y[groups == 0] &= np.random.default_rng(2).random((groups == 0).sum()) > 0.4

    assert fit_calibration(p, y, groups)[0].kind == "identity"


def test_too_few_are_no_basis() -> None:
    p, y, groups = two(90, 1, lambda p: p**3)
    assert fit_calibration(p, y, groups)[0].kind == "identity"
    p, y, groups = two(500, 1, lambda p: p * 0)
    assert fit_calibration(p, y, groups)[0].kind == "identity"
    assert fit_calibration(p[:0], y[:0], groups[:0])[0].kind == "identity"


def test_the_crossed_probabilities_come_from_other_folds() -> None:
    p, y, groups = two(400, 1, lambda p: p**3)
    _, crossed = fit_calibration(p, y, groups)
    changed = y.copy()
    changed[groups == 2] = 1 - changed[groups == 2]
    fitted_to_all, _ = fit_calibration(p, y, groups)

    assert log_loss(crossed, y) >= log_loss(fitted_to_all.apply(p), y)


def test_weights_count() -> None:
    p, y, groups = two(8000, 1, lambda p: p)
    weights = np.where(y == 1, 4.0, 1.0)
    fitted, _ = fit_calibration(p, y, groups, weights)

    assert fitted.apply(np.array([[0.5, 0.5]]))[0, 1] == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize("bend", [lambda p: p**3, lambda p: np.where(p < 0.5, 0.1, 0.6)])
def test_a_map_survives_json(bend) -> None:
    p, y, groups = two(3000, 1, bend)
    fitted, _ = fit_calibration(p, y, groups)
    back = Calibration.from_dict(json.loads(json.dumps(fitted.to_dict())))

    np.testing.assert_array_equal(back.apply(p), fitted.apply(p))
    with pytest.raises(ModelUnavailable):
        Calibration.from_dict({"kind": "magic", "values": {}})
    with pytest.raises(ModelUnavailable):
        Calibration.from_dict({"kind": "platt", "values": {"slope": [1.0]}})
