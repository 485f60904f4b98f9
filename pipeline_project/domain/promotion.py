"""Whether a challenger may decide: it must know something. Gates on past nights come with the models' lifecycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline_project.domain.models.metrics import log_loss
from pipeline_project.domain.timeline import later_share


@dataclass(frozen=True)
class Verdict:
    """Whether a challenger becomes champion, why, and the figures behind it."""

    promote: bool
    reason: str
    figures: Mapping[str, float] = field(default_factory=dict)


def ignorance(label_index: np.ndarray, nights: np.ndarray, labels: int, share: float) -> float:
    """Log-loss on the later nights of a model that knows only how often each label occurred before.

    Args:
        label_index: shape (cases,).
        nights: ISO dates, shape (cases,).
        labels: how many there are.
        share: of the cases that the later nights hold.

    Returns:
        In nats; infinite when there is one night alone, so that nothing is to be beaten.
    """
    later = later_share(nights, share)
    if not later.any():
        return float("inf")
    rates = np.bincount(label_index[~later], minlength=labels) + 1.0
    return log_loss(np.tile(rates / rates.sum(), (int(later.sum()), 1)), label_index[later])


def judge(
    metrics: Mapping[str, float], label: Sequence[str], nights: Sequence[str], labels: Sequence[str], share: float
) -> Verdict:
    """The challenger decides if, on nights it was not fitted on, it knew more than how often each label occurs.

    Args:
        metrics: the challenger's, from `training.train`.
        label, nights: of its training set.
        labels: in the spec's order.
        share: the calibration share, which are the later nights.
    """
    known = [(labels.index(name), night) for name, night in zip(label, nights, strict=True) if name in labels]
    index, of = np.array([i for i, _ in known], dtype=int), np.array([night for _, night in known], dtype=str)
    plain = ignorance(index, of, len(labels), share)
    own = metrics.get("log_loss", float("inf"))
    figures = {"log_loss": own, "log_loss_of_ignorance": plain}
    if own < plain:
        return Verdict(True, f"log-loss {own:.4f} on later nights, against {plain:.4f} of the bare rates", figures)
    return Verdict(
        False, f"log-loss {own:.4f} on later nights is no better than {plain:.4f} of the bare rates", figures
    )
