"""Whether the probabilities meant what they said, from earlier decisions whose outcome is known by now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline_project.domain.measures.intervals import share_interval
from pipeline_project.domain.measures.probabilities import BINS, accuracy, ece, log_loss, reliability

FEWEST = 20


@dataclass(frozen=True)
class ReliabilityBin:
    """Cases with about the same probability: what was said, what came true, and its 95 % interval."""

    cases: int
    said: float
    came_true: float
    low: float
    high: float


@dataclass(frozen=True)
class LabelLine:
    """One label over all cases: mean probability, and share of cases it was true of."""

    label: str
    said: float
    came_true: float


@dataclass(frozen=True)
class CalibrationReport:
    """Probabilities against outcomes.

    Attributes:
        event: what the plotted probability is of: one label when there are two, else "the likeliest label".
        error: expected calibration error, as everywhere: `probabilities.ece`.
        accuracy: share of cases whose likeliest label was the true one.
        log_loss: mean, in nats.
        nights: how many nights the cases come from.
    """

    cases: int
    nights: int
    event: str
    bins: tuple[ReliabilityBin, ...]
    error: float
    accuracy: float
    log_loss: float
    labels: tuple[LabelLine, ...]

    @property
    def said(self) -> float:
        return sum(b.said * b.cases for b in self.bins) / self.cases

    @property
    def came_true(self) -> float:
        return sum(b.came_true * b.cases for b in self.bins) / self.cases

    @property
    def sentence(self) -> str:
        low, high = share_interval(round(self.came_true * self.cases), self.cases)
        predicted, true = f"{self.said * 100:.1f} %", f"{self.came_true * 100:.1f} %"
        text = f"On average the model gave {self.event} {predicted}; it came true in {true} of {self.cases:,} cases"
        if low <= self.said <= high:
            return f"{text}, within what chance allows."
        side, points = "high" if self.said > high else "low", abs(self.said - self.came_true) * 100
        return f"{text}: too {side} by {points:.1f} points."


def calibration(matured: pd.DataFrame, labels: tuple[str, ...]) -> CalibrationReport | None:
    """The calibration over matured decisions, None with fewer than 20 that have probabilities.

    Args:
        matured: night, label, probabilities (list in the order of `labels`, or None).
    """
    positions = {label: i for i, label in enumerate(labels)}
    usable = matured[matured["label"].isin(labels) & matured["probabilities"].notna()]
    if len(usable) < FEWEST:
        return None
    probability = np.array([np.asarray(row, dtype=float) for row in usable["probabilities"]])
    truth = usable["label"].map(positions).to_numpy(dtype=int)
    return CalibrationReport(
        cases=len(truth),
        nights=int(usable["night"].nunique()),
        event=f"“{labels[1]}”" if len(labels) == 2 else "the likeliest label",
        bins=_bins(probability, truth),
        error=ece(probability, truth),
        accuracy=accuracy(probability, truth),
        log_loss=log_loss(probability, truth),
        labels=tuple(
            LabelLine(label, float(probability[:, i].mean()), float((truth == i).mean()))
            for i, label in enumerate(labels)
        ),
    )


def _bins(probability: np.ndarray, truth: np.ndarray) -> tuple[ReliabilityBin, ...]:
    """At most ten bins of equally many cases, of at least twenty each, in order of what was said."""
    table = reliability(probability, truth, max(1, min(BINS, len(truth) // FEWEST)))
    bins = []
    for predicted, came_true, cases in table.itertuples(index=False):
        low, high = share_interval(round(came_true * cases), int(cases))
        bins.append(ReliabilityBin(int(cases), predicted, came_true, low, high))
    return tuple(bins)
