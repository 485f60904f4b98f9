"""Features as the groups a network joins: numbers, categories and the vectors of each modality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.models.columns import Columns
from pipeline_project.domain.vectors.modalities import MODALITIES

#: Standardized numbers further out than this say no more.
_FURTHEST = 4.0


@dataclass
class FusionInputs:
    """How a feature table becomes a network's groups; learned once, applied the same way ever after.

    Attributes:
        columns: which features there are, the codes of categories and what reduces the vectors.
        centres, scales: per number, after asinh, shape (numbers,).
        spreads: per kind of vector, what its components are divided by.
    """

    columns: Columns = field(default_factory=Columns)
    centres: np.ndarray = field(default_factory=lambda: np.empty(0))
    scales: np.ndarray = field(default_factory=lambda: np.empty(0))
    spreads: dict[str, float] = field(default_factory=dict)

    def fit(self, table: FeatureTable, dimensions: Mapping[str, int]) -> FusionInputs:
        """
        Args:
            dimensions: of each kind of vector; 0 leaves it out, another number is the least that is kept.
        """
        # vectors keep more of themselves here than for trees, which look at one component at a time
        widths = {kind: max(width, MODALITIES[kind].width) if width else 0 for kind, width in dimensions.items()}
        self.columns = Columns().fit(table, widths)
        matrix = self.columns.matrix(table).astype(np.float64)
        numbers = np.arcsinh(matrix[:, : len(self.columns.numbers)])
        self.centres, self.scales = np.zeros(numbers.shape[1]), np.ones(numbers.shape[1])
        for i, column in enumerate(numbers.T):
            seen = column[np.isfinite(column)]
            self.centres[i] = seen.mean()
            self.scales[i] = seen.std() or 1.0
        for kind, part in self._vectors(matrix).items():
            seen = part[np.isfinite(part).all(axis=1)]
            self.spreads[kind] = float(np.sqrt((seen**2).mean())) or 1.0
        return self

    @property
    def kinds(self) -> list[str]:
        """Of the dense groups that there are, in order."""
        return [*(["numbers"] if self.columns.numbers else []), *self.columns.components]

    @property
    def sizes(self) -> dict[str, int]:
        """How many codes each category has: others (0), its values, and missing (the last)."""
        return {name: len(values) + 2 for name, values in self.columns.values.items()}

    def owners(self, kind: str) -> list[str]:
        """The feature that each column of a dense group belongs to."""
        if kind == "numbers":
            return [*self.columns.numbers, *self.columns.numbers]
        return [kind] * (len(self.columns.components[kind]) + 1)

    def groups(self, table: FeatureTable) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Dense groups of shape (n, width), float64 around zero, and codes of shape (n, categories).

        The last columns of a group are 1 where something is missing, whose own columns are 0 then.

        Raises:
            ModelUnavailable: the table lacks a feature, or its vectors are of another width.
        """
        matrix = self.columns.matrix(table).astype(np.float64)
        dense: dict[str, np.ndarray] = {}
        many = len(self.columns.numbers)
        if many:
            numbers = (np.arcsinh(matrix[:, :many]) - self.centres) / self.scales
            missing = ~np.isfinite(numbers)
            numbers = np.where(missing, 0.0, np.clip(numbers, -_FURTHEST, _FURTHEST))
            dense["numbers"] = np.hstack([numbers, missing.astype(np.float64)])
        for kind, part in self._vectors(matrix).items():
            missing = ~np.isfinite(part).all(axis=1, keepdims=True)
            scaled = np.where(missing, 0.0, part / self.spreads.get(kind, 1.0))
            dense[kind] = np.hstack([scaled, missing.astype(np.float64)])
        codes = matrix[:, many : many + len(self.columns.values)]
        last = np.array([size - 1.0 for size in self.sizes.values()])
        return dense, np.where(np.isnan(codes), last, codes).astype(np.int64)

    def _vectors(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        vectors, start = {}, len(self.columns.numbers) + len(self.columns.values)
        for kind, components in self.columns.components.items():
            vectors[kind] = matrix[:, start : start + len(components)]
            start += len(components)
        return vectors

    def to_dict(self) -> dict[str, Any]:
        return {
            "columns": self.columns.to_dict(),
            "centres": self.centres.tolist(),
            "scales": self.scales.tolist(),
            "spreads": self.spreads,
        }

    @classmethod
    def from_parts(cls, content: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> FusionInputs:
        return cls(
            columns=Columns.from_parts(content["columns"], tensors),
            centres=np.array(content["centres"], dtype=np.float64),
            scales=np.array(content["scales"], dtype=np.float64),
            spreads={kind: float(spread) for kind, spread in content["spreads"].items()},
        )
