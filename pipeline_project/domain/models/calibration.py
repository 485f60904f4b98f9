"""Maps that make probabilities mean what they say, fitted on later data than the model has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.measures.probabilities import SMALLEST, log_loss, log_scores

_FEWEST_TWO, _FEWEST_OF_ONE = 100, 10
_FEWEST_SEVERAL = 50
#: A richer map must beat the simpler one by this much log-loss, or it is taken for luck.
_MARGIN = 0.001
_FOLDS = 5
_KNOTS = 20


@dataclass(frozen=True)
class Calibration:
    """One fitted map.

    Attributes:
        kind: identity, platt, beta, isotonic (two labels), temperature or vector (several).
        values: its parameters by name.
    """

    kind: str = "identity"
    values: Mapping[str, list[float]] = field(default_factory=dict)

    def apply(self, p: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, shape (n, labels) as given, rows sum to one."""
        if self.kind == "identity" or not len(p):
            return p
        held = {name: np.asarray(values, dtype=np.float64) for name, values in self.values.items()}
        if self.kind in ("temperature", "vector"):
            return _softmax(_logs(p) * held["scale"] + held["shift"])
        if self.kind == "isotonic":
            second = np.interp(p[:, 1], held["x"], held["y"])
        else:
            second = 1 / (1 + np.exp(-(_INPUTS[self.kind](p) @ held["slope"] + held["intercept"])))
        second = np.clip(second, SMALLEST, 1 - SMALLEST)
        return np.column_stack([1 - second, second])

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "values": {name: list(values) for name, values in self.values.items()}}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Calibration:
        """
        Raises:
            ModelUnavailable: of a kind that this version does not know.
        """
        kind = content.get("kind")
        needs = {"identity": set(), "isotonic": {"x", "y"}, "temperature": {"scale", "shift"}} | {
            "vector": {"scale", "shift"},
            "platt": {"slope", "intercept"},
            "beta": {"slope", "intercept"},
        }
        values = content.get("values")
        if kind not in needs or not isinstance(values, dict) or set(values) != needs[kind]:
            raise ModelUnavailable("calibration.json is of a kind that is not known here; train the model again")
        return cls(kind, {name: [float(v) for v in given] for name, given in values.items()})


def fit_calibration(
    p: np.ndarray, y: np.ndarray, groups: np.ndarray, weights: np.ndarray | None = None
) -> tuple[Calibration, np.ndarray]:
    """The map with the lowest cross-validated log-loss, and every case's probabilities from a map that had not seen it.

    Args:
        p: uncalibrated, shape (n, labels), from a model that has seen none of these cases.
        y: index of each case's label, shape (n,).
        groups: the fold of each case, shape (n,): a stretch of nights each, so that a level which only one stretch has
            is not taken for a rule.

    Returns:
        The map fitted on all rows, and the cross-fitted probabilities of shape (n, labels), which give honest metrics.
    """
    weight = np.ones(len(y)) if weights is None else weights
    folds = _folds(groups)
    best, best_loss, best_p = Calibration(), log_loss(p, y, weight) if len(y) else 0.0, p
    for kind in _kinds(y, p.shape[1]):
        crossed = np.array(p, dtype=np.float64)
        for fold in np.unique(folds):
            out = folds == fold
            crossed[out] = _fit(kind, p[~out], y[~out], weight[~out]).apply(p[out])
        loss = log_loss(crossed, y, weight)
        if loss < best_loss - _MARGIN:
            best, best_loss, best_p = _fit(kind, p, y, weight), loss, crossed
    return best, best_p


def _kinds(y: np.ndarray, labels: int) -> tuple[str, ...]:
    if labels == 2:
        counts = np.bincount(y, minlength=2)
        few = len(y) < _FEWEST_TWO or counts.min() < _FEWEST_OF_ONE
        return () if few else ("platt", "beta", "isotonic")
    if len(y) < _FEWEST_SEVERAL:
        return ()
    return ("temperature", "vector") if len(y) >= 20 * labels else ("temperature",)


def _folds(groups: np.ndarray) -> np.ndarray:
    """The groups as folds; every fifth row where there is only one."""
    distinct, of = np.unique(groups, return_inverse=True)
    return np.asarray(of if len(distinct) > 1 else np.arange(len(groups)) % _FOLDS)


def _fit(kind: str, p: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Calibration:
    if kind == "isotonic":
        return _fit_isotonic(p[:, 1], y, weight)
    if kind in ("temperature", "vector"):
        return _fit_scaling(kind, p, y, weight)
    return _fit_curve(kind, p, y, weight)


def _logit(p: np.ndarray) -> np.ndarray:
    second = np.clip(p[:, 1], SMALLEST, 1 - SMALLEST)
    return (np.log(second) - np.log(1 - second))[:, None]


def _two_logs(p: np.ndarray) -> np.ndarray:
    second = np.clip(p[:, 1], SMALLEST, 1 - SMALLEST)
    return np.column_stack([np.log(second), -np.log(1 - second)])


#: Platt scaling is a logistic curve of the log-odds; beta calibration (Kull 2017) of both logarithms.
_INPUTS = {"platt": _logit, "beta": _two_logs}


def _fit_curve(kind: str, p: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Calibration:
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(y)) < 2:
        return Calibration()
    fitted = LogisticRegression(C=100.0, max_iter=200).fit(_INPUTS[kind](p), y, sample_weight=weight)
    slope = fitted.coef_[0]
    if (slope < 0).any():
        return Calibration()
    return Calibration(kind, {"slope": slope.tolist(), "intercept": fitted.intercept_.tolist()})


def _fit_isotonic(second: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Calibration:
    """Rising steps over bins of equal mass, each drawn a little to the base rate, joined by straight lines."""
    from sklearn.isotonic import IsotonicRegression

    order = np.argsort(second, kind="stable")
    bins = [piece for piece in np.array_split(order, min(_KNOTS, max(2, len(y) // 50))) if len(piece)]
    base = np.average(y, weights=weight)
    x = np.array([np.average(second[piece], weights=weight[piece]) for piece in bins])
    mass = np.array([weight[piece].sum() for piece in bins])
    seen = np.array([(weight[piece] @ y[piece] + 2 * base) / (weight[piece].sum() + 2) for piece in bins])
    rising = IsotonicRegression().fit(x, seen, sample_weight=mass).predict(x)
    return Calibration("isotonic", {"x": x.tolist(), "y": rising.tolist()})


def _fit_scaling(kind: str, p: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Calibration:
    """One temperature for all labels, or a scale and a shift for each, held near the temperature's by a penalty."""
    from scipy.optimize import minimize

    logs, labels = _logs(p), p.shape[1]
    truth = np.zeros_like(p)
    truth[np.arange(len(y)), y] = 1
    share = weight / weight.sum()

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        scale, shift = (values[0], np.zeros(labels)) if kind == "temperature" else (values[:labels], values[labels:])
        scaled = _softmax(logs * scale + shift)
        error = (scaled - truth) * share[:, None]
        lost = float(-(share @ log_scores(scaled, y)))
        by_scale = (error * logs).sum(axis=0)
        if kind == "temperature":
            return lost, np.array([by_scale.sum()])
        penalty = 2.0 / len(y)
        lost += penalty * float(((scale - 1) ** 2).sum() + (shift**2).sum())
        return lost, np.concatenate([by_scale + 2 * penalty * (scale - 1), error.sum(axis=0) + 2 * penalty * shift])

    start = np.ones(1) if kind == "temperature" else np.concatenate([np.ones(labels), np.zeros(labels)])
    lowest = [(0.05, 20.0)] * (1 if kind == "temperature" else labels)
    free: list[tuple[float | None, float | None]] = [(None, None)] * (0 if kind == "temperature" else labels)
    solution = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[*lowest, *free]).x
    scale, shift = (solution, np.zeros(1)) if kind == "temperature" else (solution[:labels], solution[labels:])
    return Calibration(kind, {"scale": scale.tolist(), "shift": shift.tolist()})


def _logs(p: np.ndarray) -> np.ndarray:
    return np.log(np.clip(p, SMALLEST, 1))


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
