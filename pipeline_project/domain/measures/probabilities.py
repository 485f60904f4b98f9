"""How good probabilities are: of labels with the index y, shape (n,), and p of shape (n, labels)."""

from __future__ import annotations

import numpy as np
import pandas as pd

#: A probability below this counts as this, wherever its logarithm is taken: one that was 0 would cost without end.
SMALLEST = 1e-6
BINS = 10


def log_scores(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """ln p of the true label, shape (n,), in nats."""
    return np.asarray(np.log(np.clip(p[np.arange(len(y)), y], SMALLEST, 1)))


def log_loss(p: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean of -ln p of the true label, in nats."""
    return float(np.average(-log_scores(p, y), weights=weights))


def accuracy(p: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Share of cases whose most probable label is the true one."""
    return float(np.average(p.argmax(axis=1) == y, weights=weights))


def brier(p: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean squared distance to the truth, summed over labels and halved, so that two labels give the usual figure."""
    truth = np.zeros_like(p)
    truth[np.arange(len(y)), y] = 1
    return float(np.average(((p - truth) ** 2).sum(axis=1) / 2, weights=weights))


def auc(p: np.ndarray, y: np.ndarray) -> float:
    """Area under the curve; of several labels the plain mean of each against the rest. NaN when only one occurs."""
    from sklearn.metrics import roc_auc_score

    occurring = np.unique(y)
    if len(occurring) < 2:
        return float("nan")
    if p.shape[1] == 2:
        return float(roc_auc_score(y, p[:, 1]))
    return float(np.mean([roc_auc_score(y == label, p[:, label]) for label in occurring]))


def reliability(p: np.ndarray, y: np.ndarray, bins: int = BINS, weights: np.ndarray | None = None) -> pd.DataFrame:
    """Predicted and observed by bins of equally many cases: columns predicted, observed, cases.

    Of two labels the second one's probability; of several the most probable label's, and how often it is right.
    """
    predicted = p[:, 1] if p.shape[1] == 2 else p.max(axis=1)
    true = (y == 1) if p.shape[1] == 2 else (p.argmax(axis=1) == y)
    mass = np.ones(len(y)) if weights is None else weights
    order = np.argsort(predicted, kind="stable")
    pieces = [piece for piece in np.array_split(order, bins) if len(piece) and mass[piece].sum() > 0]
    return pd.DataFrame(
        {
            "predicted": [float(np.average(predicted[piece], weights=mass[piece])) for piece in pieces],
            "observed": [float(np.average(true[piece], weights=mass[piece])) for piece in pieces],
            "cases": [len(piece) for piece in pieces],
        }
    )


def ece(p: np.ndarray, y: np.ndarray, bins: int = BINS, weights: np.ndarray | None = None) -> float:
    """Expected calibration error: the mean distance of predicted from observed over bins of equally many cases."""
    table = reliability(p, y, bins, weights)
    if table.empty:
        return float("nan")
    return float(np.average((table["predicted"] - table["observed"]).abs(), weights=table["cases"]))


def all_metrics(p: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    """log_loss, accuracy, brier, auc and ece, by name."""
    return {
        "log_loss": log_loss(p, y, weights),
        "accuracy": accuracy(p, y, weights),
        "brier": brier(p, y, weights),
        "auc": auc(p, y),
        "ece": ece(p, y, weights=weights),
    }
