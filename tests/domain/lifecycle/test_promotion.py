"""A challenger must know more than how often each label occurs, on the same rows with the same weights."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from pipeline_project.domain.features.timeline import delay_weights, later_share
from pipeline_project.domain.lifecycle.promotion import ignorance, judge

LABELS = ("kept", "worn")
#: three nights: the rates of the first two are 3 to 1, the last one is later
NIGHTS = ["2024-05-01"] * 2 + ["2024-05-02"] * 2 + ["2024-05-03"] * 2
TRUE = ["kept", "kept", "kept", "worn", "kept", "worn"]
RATES = -(math.log(4 / 6) + math.log(2 / 6)) / 2


def training_set(true: list[str], nights: list[str], days: list[int] | None = None) -> pa.Table:
    """Labels with the night of their case and how many days later they became known; at once without any."""
    begun = [datetime.fromisoformat(night).replace(tzinfo=UTC) for night in nights]
    known = [at + timedelta(days=d) for at, d in zip(begun, days or [0] * len(begun), strict=True)]
    return pa.table({"case_night": nights, "label": true, "known_at": pa.array(known, pa.timestamp("us", tz="UTC"))})


def slow() -> tuple[list[str], list[str], list[int]]:
    """Forty nights of which what is worn is known after 1 to 20 days, what is kept after one, seen on the last."""
    rng = np.random.default_rng(5)
    rows = []
    for n in range(40):
        for _ in range(30):
            label = LABELS[int(rng.random() < 0.4)]
            days = 1 if label == "kept" else int(rng.integers(1, 21))
            if n + days <= 40:
                rows.append((label, f"2024-05-{n + 1:02d}" if n < 31 else f"2024-06-{n - 30:02d}", days))
    true, nights, after = zip(*rows, strict=True)
    return list(true), list(nights), list(after)


def test_ignorance_by_hand() -> None:
    index = np.array([LABELS.index(t) for t in TRUE])
    assert ignorance(index, np.array(NIGHTS), np.ones(6), 2, 0.25) == pytest.approx(RATES)
    # twice the worn of the earlier nights, three times the worn of the later one
    weighted = np.array([1.0, 1.0, 1.0, 2.0, 1.0, 3.0])
    by_hand = -(math.log(4 / 7) + 3 * math.log(3 / 7)) / 4
    assert ignorance(index, np.array(NIGHTS), weighted, 2, 0.25) == pytest.approx(by_hand)


@pytest.mark.parametrize(("log_loss", "promoted"), [(RATES - 0.01, True), (RATES, False), (RATES + 0.01, False)])
def test_it_decides_only_if_it_knows_more(log_loss: float, promoted: bool) -> None:
    verdict = judge({"log_loss": log_loss}, training_set(TRUE, NIGHTS), LABELS, 0.25)
    assert verdict.promote is promoted
    assert verdict.figures["log_loss_of_ignorance"] == pytest.approx(RATES)
    assert f"{log_loss:.4f}" in verdict.reason


def test_slow_outcomes_weigh_in_the_rates_as_they_do_in_the_model() -> None:
    true, nights, days = slow()
    y, at = np.array([LABELS.index(t) for t in true]), np.array(nights).astype("datetime64[D]").astype(int)
    late = np.array(days)
    weights = delay_weights(y, late, (at + late).max() - at)
    assert weights.max() > 3 and weights.min() == 0.0
    kept = weights > 0
    later = later_share(np.array(nights)[kept], 0.25)
    y, weights = y[kept], weights[kept]
    rates = np.array([weights[~later & (y == i)].sum() + 1 for i in (0, 1)])
    rates /= rates.sum()
    # a model that says exactly what the weighted rates say, measured as `train` measures
    same = float(np.average(-np.log(rates[y[later]]), weights=weights[later]))
    plainly = float(np.average(-np.log(rates[y[later]])))
    assert abs(same - plainly) > 0.04

    table = training_set(true, nights, days)
    verdict = judge({"log_loss": same}, table, LABELS, 0.25)
    assert verdict.figures["log_loss_of_ignorance"] == pytest.approx(same)
    assert not verdict.promote
    # between the two figures lies what was decided the wrong way round
    assert judge({"log_loss": same - 1e-6}, table, LABELS, 0.25).promote


@pytest.mark.parametrize("metrics", [{}, {"log_loss": math.nan}, {"log_loss": math.inf}])
def test_without_a_figure_nothing_is_promoted(metrics: dict[str, float]) -> None:
    assert not judge(metrics, training_set(TRUE, NIGHTS), LABELS, 0.25).promote


def test_labels_that_the_spec_no_longer_has_do_not_count() -> None:
    table = training_set([*TRUE, "lost", "lost"], [*NIGHTS, NIGHTS[0], NIGHTS[-1]])
    verdict = judge({"log_loss": 0.1}, table, LABELS, 0.25)
    assert verdict.figures["log_loss_of_ignorance"] == pytest.approx(RATES)


def test_one_night_alone_leaves_nothing_to_beat() -> None:
    assert judge({"log_loss": 5.0}, training_set(TRUE, NIGHTS[:1] * 6), LABELS, 0.25).promote
