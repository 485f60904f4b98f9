"""Calibration and figures by segment: one for each value of a category that the spec names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.measures.probabilities import accuracy, ece, log_loss, log_scores
from pipeline_project.domain.models.calibration import Calibration, fit_calibration

#: With fewer later cases a segment takes the common map, whatever its own would say.
_FEWEST = 200
#: How far its own map must be ahead of the common one, in standard errors of the difference and in nats.
_ERRORS_AHEAD, _MARGIN = 2.0, 0.001
_FEWEST_SHOWN, _MOST_SHOWN = 50, 30

#: Figures of a slice by name: field, value, figure.
Slices = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True)
class SegmentMaps:
    """Maps of segments whose probabilities mean something else than the others' do.

    Attributes:
        maps: by field and value, in the spec's order of fields; a case takes the first that fits, else the common map.
    """

    maps: Mapping[str, Mapping[str, Calibration]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """`field=value` of every segment with a map of its own."""
        return [f"{name}={value}" for name, own in self.maps.items() for value in own]

    def apply(self, uncalibrated: np.ndarray, common: np.ndarray, table: FeatureTable) -> np.ndarray:
        """Calibrated probabilities.

        Args:
            uncalibrated: not calibrated, shape (n, labels).
            common: the same, calibrated by the common map.
        """
        calibrated, open_ = np.array(common, dtype=np.float64), np.ones(len(uncalibrated), dtype=bool)
        for name, own in self.maps.items():
            column = _category(table, name)
            for value, calibration in own.items():
                rows = open_ & (column == value)
                calibrated[rows] = calibration.apply(uncalibrated[rows])
                open_ &= ~rows
        return calibrated

    def to_dict(self) -> list[list[Any]]:
        """Pairs of field and maps: the order of the fields is part of the model."""
        return [
            [name, {value: calibration.to_dict() for value, calibration in own.items()}]
            for name, own in self.maps.items()
        ]

    @classmethod
    def from_dict(cls, content: Any) -> SegmentMaps:
        """
        Raises:
            ModelUnavailable: not what `to_dict` gives.
        """
        try:
            maps = {
                str(name): {str(value): Calibration.from_dict(held) for value, held in own.items()}
                for name, own in content
            }
        except (AttributeError, TypeError, ValueError) as problem:
            raise ModelUnavailable("calibration.json's segments are damaged; train the model again") from problem
        return cls(maps)


def fit_segments(
    table: FeatureTable,
    fields: Sequence[str],
    uncalibrated: np.ndarray,
    crossed: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    weights: np.ndarray,
) -> tuple[SegmentMaps, np.ndarray]:
    """Maps for the segments that are better off with their own, and every case's cross-fitted probabilities.

    Both a segment's own map and the common one are judged on cases that they had not seen. Chance favours one of many
    maps, so a segment's own must be ahead by more than the error of the difference.

    Args:
        uncalibrated: not calibrated, shape (n, labels).
        crossed: cross-fitted by the common map, shape (n, labels).
        groups: the fold of each case, shape (n,).

    Raises:
        KeyError: a field is no category among the features.
    """
    cross_fitted, open_ = np.array(crossed, dtype=np.float64), np.ones(len(y), dtype=bool)
    maps: dict[str, dict[str, Calibration]] = {}
    for name in fields:
        column, own = _category(table, name), {}
        for value in sorted({str(value) for value in column[open_] if value is not None}):
            rows = open_ & (column == value)
            if rows.sum() < _FEWEST:
                continue
            calibration, own_crossed = fit_calibration(uncalibrated[rows], y[rows], groups[rows], weights[rows])
            if _ahead(own_crossed, crossed[rows], y[rows], weights[rows]):
                own[value], cross_fitted[rows] = calibration, own_crossed
                open_ &= ~rows
        if own:
            maps[name] = own
    return SegmentMaps(maps), cross_fitted


def _ahead(own: np.ndarray, common: np.ndarray, y: np.ndarray, weights: np.ndarray) -> bool:
    gains = log_scores(own, y) - log_scores(common, y)
    share = weights / weights.sum()
    mean = float(share @ gains)
    error = float(np.sqrt((share**2 * (gains - mean) ** 2).sum()))
    return mean > _MARGIN and mean > _ERRORS_AHEAD * error


def slices(table: FeatureTable, fields: Sequence[str], p: np.ndarray, y: np.ndarray, weights: np.ndarray) -> Slices:
    """cases, log_loss, accuracy and ece of each value with at least 50 cases; of many values the 30 most frequent."""
    by_field: dict[str, dict[str, dict[str, float]]] = {}
    for name in fields:
        column = _category(table, name)
        values, counts = np.unique(column[column != np.array(None)].astype(str), return_counts=True)
        often = sorted(zip(-counts, values.tolist(), strict=True))[:_MOST_SHOWN]
        by_field[name] = {
            value: {
                "cases": float(-count),
                "log_loss": log_loss(p[column == value], y[column == value], weights[column == value]),
                "accuracy": accuracy(p[column == value], y[column == value], weights[column == value]),
                "ece": ece(p[column == value], y[column == value], weights=weights[column == value]),
            }
            for count, value in often
            if -count >= _FEWEST_SHOWN
        }
    return by_field


def slice_metrics(of: Slices) -> dict[str, float]:
    """`ece.<field>.<value>` of every slice, in letters that a metric's name may have; equal names get a number."""
    metrics: dict[str, float] = {}
    for name, values in of.items():
        for value in sorted(values):
            plain = f"ece.{_safe(name)}.{_safe(value)}"
            same = sum(metric == plain or metric.startswith(f"{plain}__") for metric in metrics)
            metrics[f"{plain}__{same + 1}" if same else plain] = values[value]["ece"]
    return metrics


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text)[:60] or "_"


def _category(table: FeatureTable, name: str) -> np.ndarray:
    if name not in table.category_names:
        raise KeyError(f"no category {name!r} among the features; segments may be {', '.join(table.category_names)}")
    return np.asarray(table.categories[:, table.category_names.index(name)], dtype=object)
