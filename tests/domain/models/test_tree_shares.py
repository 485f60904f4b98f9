"""Shares from tables are those that XGBoost computes by walking every tree."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost

from pipeline_project.domain.models import boosting
from pipeline_project.domain.models.boosting import BoostedTrees
from pipeline_project.domain.models.estimator import EstimatorSettings
from pipeline_project.domain.models.tree_shares import TreeShares
from tests.domain.models.test_training import table

KINDS = ["float"] * 4 + ["c", "c"]


def matrix(rows: int, seed: int) -> np.ndarray:
    """Numbers and codes, a sixth of them missing; some of the codes occur in no training."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(rows, 4)).round(1)
    codes = random.integers(0, (5, 90), size=(rows, 2)) + (seed > 0)
    values = np.hstack([numbers, codes]).astype(np.float32)
    values[random.random(values.shape) < 1 / 6] = np.nan
    return values


def booster(labels: int, depth: int, rounds: int = 6, **more: float) -> xgboost.Booster:
    random, values = np.random.default_rng(3), matrix(900, 0)
    score = np.nan_to_num(values[:, 0] * values[:, 1]) + (values[:, 4] == 2) + (np.nan_to_num(values[:, 5]) % 3 == 1)
    y = (score + random.normal(size=900) > 0.4).astype(int) + (labels > 2) * (np.nan_to_num(values[:, 2]) > 0.5)
    goal = {"objective": "multi:softprob", "num_class": labels} if labels > 2 else {"objective": "binary:logistic"}
    data = xgboost.DMatrix(values, label=y, feature_types=KINDS, enable_categorical=True)
    given = {
        **goal,
        "max_depth": depth,
        "tree_method": "hist",
        "max_cat_to_onehot": 8,
        "eta": 0.3,
        "nthread": 1,
        **more,
    }
    return xgboost.train(given, data, rounds)


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("depth", [1, 3, 5, 7, 9])
def test_shares_are_those_of_xgboost(labels: int, depth: int) -> None:
    trained, values = booster(labels, depth), matrix(200, 1)
    data = xgboost.DMatrix(values, feature_types=KINDS, enable_categorical=True)
    expected = trained.predict(data, pred_contribs=True, strict_shape=True)[:, :, :-1].transpose(1, 2, 0)
    shares = TreeShares(trained).of(values)
    np.testing.assert_allclose(shares, expected, atol=2e-5)
    assert np.abs(expected).max() > 0.1


def test_trees_that_are_only_a_leaf_say_nothing() -> None:
    shares = TreeShares(booster(2, 3, min_child_weight=1e6)).of(matrix(5, 1))
    assert shares.shape == (1, 6, 5) and not shares.any()


def test_trees_that_are_too_deep_are_left_to_xgboost() -> None:
    with pytest.raises(ValueError, match="more than 9 levels"):
        TreeShares(booster(2, 12, rounds=2, min_child_weight=0.0))


def test_reasons_are_the_same_whichever_way_the_shares_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    for labels in (2, 3):
        features, y = table(1500, 1, labels)
        model = BoostedTrees(EstimatorSettings(tuple(f"label_{i}" for i in range(labels)))).fit(features, y)
        probabilities = model.probabilities(features)
        told = model.reasons(features, probabilities, 3)
        monkeypatch.setattr(boosting, "_ROWS", 400)
        np.testing.assert_array_equal(model.probabilities(features), probabilities)
        assert model.reasons(features, probabilities, 3) == told
        monkeypatch.setattr(boosting, "_TABLED", len(features) + 1)
        walked = model.reasons(features, probabilities, 3)
        monkeypatch.undo()
        assert [len(row) for row in told] == [len(row) for row in walked] and max(map(len, told)) == 3
        # A share that lies at a border of its rounding may be written either way.
        assert sum(row == other for row, other in zip(told, walked, strict=True)) >= len(told) - 1
