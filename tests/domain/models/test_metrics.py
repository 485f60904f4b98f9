from __future__ import annotations

import numpy as np
import pytest

from pipeline_project.domain.measures.probabilities import accuracy, all_metrics, auc, brier, ece, log_loss, reliability

P = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]])
Y = np.array([0, 1, 1, 1])


def test_figures_worked_out_by_hand() -> None:
    assert accuracy(P, Y) == 0.75
    assert brier(P, Y) == pytest.approx((0.01 + 0.36 + 0.09 + 0.04) / 4)
    assert log_loss(P, Y) == pytest.approx(-np.log([0.9, 0.4, 0.7, 0.8]).mean())
    assert auc(P, Y) == 1.0
    assert ece(P, Y, bins=2) == pytest.approx((abs(0.25 - 0.5) + abs(0.75 - 1)) / 2)
    assert accuracy(P, Y, weights=np.array([1, 5, 1, 1])) == pytest.approx(3 / 8)


def test_the_worst_answer_costs_a_finite_loss() -> None:
    assert log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-np.log(1e-6))


def test_several_labels_are_judged_by_the_most_probable() -> None:
    p = np.array([[0.8, 0.1, 0.1], [0.1, 0.6, 0.3], [0.2, 0.5, 0.3]])
    y = np.array([0, 1, 2])

    assert reliability(p, y, bins=1).to_dict("records") == [
        {"predicted": pytest.approx(1.9 / 3), "observed": pytest.approx(2 / 3), "cases": 3}
    ]
    assert auc(p, y) == pytest.approx((1 + 1 + 0.75) / 3)
    assert set(all_metrics(p, y)) == {"log_loss", "accuracy", "brier", "auc", "ece"}


def test_one_label_alone_has_no_auc() -> None:
    assert np.isnan(auc(P, np.ones(4, dtype=int)))
