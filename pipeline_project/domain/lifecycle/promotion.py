"""Whether a challenger may decide: it must know something. Gates on past nights come with the models' lifecycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline_project.domain.features.timeline import later_share
from pipeline_project.domain.measures.probabilities import log_loss
from pipeline_project.domain.models.training import learned_from


@dataclass(frozen=True)
class PromotionVerdict:
    """Whether a challenger becomes champion, why, and the figures behind it."""

    promote: bool
    reason: str
    figures: Mapping[str, float] = field(default_factory=dict)


def ignorance(label_index: np.ndarray, nights: np.ndarray, weights: np.ndarray, labels: int, share: float) -> float:
    """Log-loss on the later nights of a model that knows only how often each label occurred before.

    Weighted as the model's own figure is, in what it learns and in what it is measured on: outcomes that are slow to
    become known are too few among those that are, and rates that do not know it would look better or worse than a
    model that does.

    Args:
        label_index: shape (cases,).
        nights: ISO dates, shape (cases,).
        weights: as `training.learned_from` gives them, shape (cases,).
        labels: how many there are.
        share: of the cases that the later nights hold.

    Returns:
        In nats; infinite when there is one night alone, so that nothing is to be beaten.
    """
    later = later_share(nights, share)
    if not later.any():
        return float("inf")
    rates = np.bincount(label_index[~later], weights[~later], minlength=labels) + 1.0
    predicted = np.tile(rates / rates.sum(), (int(later.sum()), 1))
    return log_loss(predicted, label_index[later], weights[later])


def judge(
    metrics: Mapping[str, float], training_set: pa.Table, labels: Sequence[str], share: float
) -> PromotionVerdict:
    """The challenger decides if, on nights it was not fitted on, it knew more than how often each label occurs.

    Args:
        metrics: the challenger's, from `training.train`.
        training_set: what it was trained on; the rates are of the same rows with the same weights.
        labels: in the spec's order.
        share: the calibration share, which are the later nights.
    """
    learned = learned_from(training_set, labels)
    plain = ignorance(learned.y, learned.nights, learned.weights, len(labels), share)
    own = metrics.get("log_loss", float("inf"))
    figures = {"log_loss": own, "log_loss_of_ignorance": plain}
    if own < plain:
        return PromotionVerdict(
            True, f"log-loss {own:.4f} on later nights, against {plain:.4f} of the bare rates", figures
        )
    return PromotionVerdict(
        False, f"log-loss {own:.4f} on later nights is no better than {plain:.4f} of the bare rates", figures
    )
