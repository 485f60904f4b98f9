"""How unlike everything seen in training a case is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.vectors.modalities import MODALITIES

#: About two normal cases in a thousand are flagged.
_QUANTILE = 0.998
#: The limit lies this much above that quantile, more where few cases were there to find it.
_SLACK, _SLACK_WHEN_FEW, _FEW = 1.1, 1.5, 500
_REFERENCES = 512
#: A number further outside its range than this share of the range's width counts, a smaller step never does.
_LEAST_STEP = 0.25
_LEAST_DISTANCE = 0.05


@dataclass
class OutOfDistributionDetector:
    """Distances of a case from what was seen, each with its own limit.

    Attributes:
        values: per category, every value seen.
        ranges: per watched number, the ends of its usual range (after asinh, so that money's long tail is no news).
        references: per kind of vector, unit-length rows drawn from training, shape (r, d).
        always: kinds of vector that nearly every training case had.
        limits: largest distance that is still familiar: categories, numbers, each modality.
    """

    values: dict[str, list[str]] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    references: dict[str, np.ndarray] = field(default_factory=dict)
    always: list[str] = field(default_factory=list)
    limits: dict[str, float] = field(default_factory=dict)

    def fit(self, table: FeatureTable, watched: Sequence[str], seed: int) -> OutOfDistributionDetector:
        """Remembers what training looked like; the limits are found by `limit`, on later cases."""
        for name, column in zip(table.category_names, table.categories.T, strict=True):
            self.values[name] = sorted({str(value) for value in column if value is not None})
        for name in watched:
            seen = np.arcsinh(table.number(name))
            seen = seen[np.isfinite(seen)]
            if len(seen):
                low, high = np.quantile(seen, [0.001, 0.999])
                self.ranges[name] = (float(low), float(high))
        for kind, vectors in table.vectors.items():
            there = np.flatnonzero(vectors.any(axis=1))
            if len(there):
                if len(there) >= _QUANTILE * len(vectors):
                    self.always.append(kind)
                chosen = np.random.default_rng(seed).choice(there, min(_REFERENCES, len(there)), replace=False)
                self.references[kind] = vectors[np.sort(chosen)].astype(np.float16)
        return self

    def limit(self, table: FeatureTable) -> OutOfDistributionDetector:
        """Sets the limits so that about two in a thousand of these normal cases pass one of them."""
        slack = _SLACK if len(table) >= _FEW else _SLACK_WHEN_FEW
        least = {"categories": 1.0, "numbers": _LEAST_STEP}
        distances = self.distances(table)
        quantile = 1 - (1 - _QUANTILE) / max(len(distances), 1)
        for kind, distance in distances.items():
            bound = float(np.quantile(distance, quantile)) if len(distance) else 0.0
            self.limits[kind] = max(bound * (1.0 if kind == "categories" else slack), least.get(kind, _LEAST_DISTANCE))
        return self

    def distances(self, table: FeatureTable) -> dict[str, np.ndarray]:
        """Per part, shape (n,): values never seen, steps outside the range, distance to the nearest reference."""
        distances: dict[str, np.ndarray] = {}
        if self.values:
            distances["categories"] = np.zeros(len(table))
            for name, values in self.values.items():
                seen = {*values, None}
                column = table.categories[:, table.category_names.index(name)]
                distances["categories"] += np.array([value not in seen for value in column], dtype=np.float64)
        if self.ranges:
            outside = [self._outside(np.arcsinh(table.number(name)), name) for name in self.ranges]
            distances["numbers"] = np.max(outside, axis=0)
        for kind, vectors in table.vectors.items():
            if kind in self.references:
                distances[kind] = self._apart(vectors, kind)
        return distances

    def _outside(self, numbers: np.ndarray, name: str) -> np.ndarray:
        low, high = self.ranges[name]
        width = max(high - low, 0.1 * max(abs(high), 1.0))
        return np.nan_to_num(np.maximum(np.maximum(low - numbers, numbers - high), 0) / width, nan=0.0)

    def _apart(self, vectors: np.ndarray, kind: str) -> np.ndarray:
        references = self.references[kind].astype(np.float32)
        missing = 1.0 if kind in self.always else 0.0
        if vectors.shape[1] != references.shape[1]:
            return np.full(len(vectors), missing)
        nearest = (vectors @ references.T).max(axis=1, initial=-1.0)
        return np.where(vectors.any(axis=1), 1 - nearest, missing)

    def score(self, table: FeatureTable) -> np.ndarray:
        """How far each case lies from what was seen, shape (n,): 0 is within, 1 at the first limit it reaches."""
        parts = [d / self.limits[kind] for kind, d in self.distances(table).items() if kind in self.limits]
        return np.max(parts, axis=0) if parts else np.zeros(len(table))

    def strange(self, table: FeatureTable) -> np.ndarray:
        """Mask of the cases that pass a limit, shape (n,)."""
        return np.asarray(self.score(table) > 1)

    def to_dict(self) -> dict[str, Any]:
        return {"values": self.values, "ranges": self.ranges, "limits": self.limits, "always": self.always}

    def tensors(self) -> dict[str, np.ndarray]:
        return {**self.references, "format": np.ones(1, dtype=np.float32)}

    @classmethod
    def from_parts(cls, content: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> OutOfDistributionDetector:
        return cls(
            values={name: list(values) for name, values in content["values"].items()},
            ranges={name: (low, high) for name, (low, high) in content["ranges"].items()},
            references={kind: tensors[kind] for kind in MODALITIES if kind in tensors},
            always=list(content["always"]),
            limits=dict(content["limits"]),
        )
