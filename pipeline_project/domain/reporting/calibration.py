"""Whether the probabilities meant what they said, from earlier decisions whose outcome is known by now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline_project.domain.measures.probabilities import accuracy, ece, log_loss

FEWEST = 20
MOST_BINS = 10


@dataclass(frozen=True)
class ReliabilityBin:
    """Cases with about the same probability: what was said, what came true, and its 95 % interval (Wilson)."""

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
        error: expected calibration error, as everywhere: `metrics.ece`.
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
        low, high = wilson(round(self.came_true * self.cases), self.cases)
        said, true = f"{self.said * 100:.1f} %", f"{self.came_true * 100:.1f} %"
        text = f"On average the model gave {self.event} {said}; it came true in {true} of {self.cases:,} cases"
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
    top = probability.argmax(axis=1)
    if len(labels) == 2:
        said, event_true, event = probability[:, 1], truth == 1, f"“{labels[1]}”"
    else:
        said, event_true, event = probability.max(axis=1), top == truth, "the likeliest label"
    bins = reliability(said, event_true)
    return CalibrationReport(
        cases=len(truth),
        nights=int(usable["night"].nunique()),
        event=event,
        bins=bins,
        error=ece(probability, truth),
        accuracy=accuracy(probability, truth),
        log_loss=log_loss(probability, truth),
        labels=tuple(
            LabelLine(label, float(probability[:, i].mean()), float((truth == i).mean()))
            for i, label in enumerate(labels)
        ),
    )


def reliability(said: np.ndarray, came_true: np.ndarray) -> tuple[ReliabilityBin, ...]:
    """At most ten bins of equal count, of at least twenty cases each, in order of what was said.

    Args:
        said: probabilities, shape (cases,).
        came_true: bool, shape (cases,).
    """
    order = np.argsort(said, kind="stable")
    groups = np.array_split(order, max(1, min(MOST_BINS, len(said) // FEWEST)))
    bins = []
    for group in groups:
        hits = int(came_true[group].sum())
        low, high = wilson(hits, len(group))
        bins.append(ReliabilityBin(len(group), float(said[group].mean()), hits / len(group), low, high))
    return tuple(bins)


def wilson(hits: int, cases: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927)."""
    share, shrink = hits / cases, 1 + z * z / cases
    centre = (share + z * z / (2 * cases)) / shrink
    half = z / shrink * (share * (1 - share) / cases + z * z / (4 * cases * cases)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)
