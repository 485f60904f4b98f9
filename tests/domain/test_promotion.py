"""A challenger must know more than how often each label occurs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline_project.domain.promotion import ignorance, judge

LABELS = ("kept", "worn")
#: three nights: the rates of the first two are 3 to 1, the last one is later
NIGHTS = ["n1"] * 2 + ["n2"] * 2 + ["n3"] * 2
TRUE = ["kept", "kept", "kept", "worn", "kept", "worn"]
RATES = -(math.log(4 / 6) + math.log(2 / 6)) / 2


def test_ignorance_by_hand() -> None:
    index = np.array([LABELS.index(t) for t in TRUE])
    assert ignorance(index, np.array(NIGHTS), 2, 0.25) == pytest.approx(RATES)


@pytest.mark.parametrize(("log_loss", "promoted"), [(RATES - 0.01, True), (RATES, False), (RATES + 0.01, False)])
def test_it_decides_only_if_it_knows_more(log_loss: float, promoted: bool) -> None:
    verdict = judge({"log_loss": log_loss}, TRUE, NIGHTS, LABELS, 0.25)
    assert verdict.promote is promoted
    assert verdict.figures["log_loss_of_ignorance"] == pytest.approx(RATES)
    assert f"{log_loss:.4f}" in verdict.reason


@pytest.mark.parametrize("metrics", [{}, {"log_loss": math.nan}, {"log_loss": math.inf}])
def test_without_a_figure_nothing_is_promoted(metrics: dict[str, float]) -> None:
    assert not judge(metrics, TRUE, NIGHTS, LABELS, 0.25).promote


def test_labels_that_the_spec_no_longer_has_do_not_count() -> None:
    verdict = judge({"log_loss": 0.1}, [*TRUE, "lost", "lost"], [*NIGHTS, "n1", "n3"], LABELS, 0.25)
    assert verdict.figures["log_loss_of_ignorance"] == pytest.approx(RATES)


def test_one_night_alone_leaves_nothing_to_beat() -> None:
    assert judge({"log_loss": 5.0}, TRUE, ["n1"] * 6, LABELS, 0.25).promote
