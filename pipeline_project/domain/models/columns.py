"""Features as one matrix for trees: numbers, coded categories and reduced vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.vectors.modalities import MODALITIES

#: A category value seen less often than this shares one code with values never seen.
RARE = 20
_MOST_VALUES = 200
OTHER = 0.0
#: What is larger would be infinite as float32, which trees refuse.
_LARGEST = 3e38
#: Of reduced vectors, whose originals have length one.
_DECIMALS = 6


@dataclass
class Columns:
    """How a feature table becomes a matrix; learned once, applied the same way ever after.

    Attributes:
        numbers: names of the numbers used; constant ones are left out.
        values: per category, the values with a code of their own; code i + 1 is values[i], code 0 all others.
        quartiles: per number, the lower and upper quartile seen in training.
        means, components: per kind of vector (modality), what reduces it; shapes (d,) and (kept, d).
    """

    numbers: list[str] = field(default_factory=list)
    values: dict[str, list[str]] = field(default_factory=dict)
    quartiles: dict[str, tuple[float, float]] = field(default_factory=dict)
    means: dict[str, np.ndarray] = field(default_factory=dict)
    components: dict[str, np.ndarray] = field(default_factory=dict)

    def fit(self, table: FeatureTable, dimensions: Mapping[str, int]) -> Columns:
        for name, column in zip(table.number_names, table.numbers.T, strict=True):
            seen = column[np.isfinite(column)]
            if len(seen) and (len(seen) < len(column) or seen.min() < seen.max()):
                self.numbers.append(name)
                low, high = np.quantile(seen, [0.25, 0.75])
                self.quartiles[name] = (float(low), float(high))
        for name, column in zip(table.category_names, table.categories.T, strict=True):
            values, counts = np.unique(column[column != np.array(None)].astype(str), return_counts=True)
            often = sorted(zip(-counts, values, strict=True))[:_MOST_VALUES]
            self.values[name] = sorted(str(value) for count, value in often if -count >= RARE)
        for kind, vectors in table.vectors.items():
            present = vectors[vectors.any(axis=1)]
            width = min(dimensions.get(kind, 0), len(present) - 1, vectors.shape[1])
            if width >= 1:
                self.means[kind], self.components[kind] = _reduce(present, width)
        return self

    @property
    def names(self) -> list[str]:
        """Of the matrix's columns; every component of a vector carries its kind's name."""
        reduced = [kind for kind, rows in self.components.items() for _ in range(len(rows))]
        return [*self.numbers, *self.values, *reduced]

    @property
    def types(self) -> list[str]:
        """As XGBoost calls them: `c` for a category, `float` else."""
        reduced = sum(len(rows) for rows in self.components.values())
        return ["float"] * len(self.numbers) + ["c"] * len(self.values) + ["float"] * reduced

    def matrix(self, table: FeatureTable) -> np.ndarray:
        """Float32 of shape (n, columns).

        Raises:
            ModelUnavailable: the table lacks a feature.
        """
        lacking = [n for n in self.numbers if n not in table.number_names]
        lacking += [n for n in self.values if n not in table.category_names]
        vectors = table.vectors
        lacking += [kind for kind in self.components if kind not in vectors]
        if lacking:
            raise ModelUnavailable(
                f"the model was trained on {', '.join(lacking)}, which these cases do not have; the spec has changed "
                "since, so train a model for it"
            )
        parts = [table.numbers[:, [table.number_names.index(name) for name in self.numbers]]]
        for name, values in self.values.items():
            parts.append(_codes(table.categories[:, table.category_names.index(name)], values)[:, None])
        for kind, components in self.components.items():
            parts.append(_reduced(vectors[kind], self.means[kind], components))
        return np.clip(np.hstack(parts), -_LARGEST, _LARGEST).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        # A list of pairs: the order of the columns is part of the model, and JSON's objects are sorted when written.
        return {"numbers": self.numbers, "values": list(self.values.items()), "quartiles": self.quartiles}

    def tensors(self) -> dict[str, np.ndarray]:
        """`{kind}.mean` and `{kind}.components`, plus a mark so that the file is never empty."""
        held = {f"{kind}.mean": mean for kind, mean in self.means.items()}
        held |= {f"{kind}.components": components for kind, components in self.components.items()}
        return held | {"format": np.ones(1, dtype=np.float32)}

    @classmethod
    def from_parts(cls, content: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> Columns:
        kinds = [kind for kind in MODALITIES if f"{kind}.mean" in tensors]
        return cls(
            numbers=list(content["numbers"]),
            values={name: list(values) for name, values in content["values"]},
            quartiles={name: (low, high) for name, (low, high) in content["quartiles"].items()},
            means={kind: tensors[f"{kind}.mean"] for kind in kinds},
            components={kind: tensors[f"{kind}.components"] for kind in kinds},
        )


def _reduce(vectors: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.decomposition import PCA

    fitted = PCA(n_components=width, svd_solver="covariance_eigh").fit(vectors.astype(np.float64))
    return fitted.mean_.astype(np.float32), fitted.components_.astype(np.float32)


def _reduced(vectors: np.ndarray, mean: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Reduced vectors; a zero row, which stands for no text or photo, becomes missing."""
    if vectors.shape[1] == 0:
        return np.full((len(vectors), len(components)), np.nan, dtype=np.float32)
    if vectors.shape[1] != len(mean):
        raise ModelUnavailable(
            f"the model was trained on vectors of {len(mean)} values and these have {vectors.shape[1]}; the encoder "
            "has changed since, so train a model for it"
        )
    # float32 products differ in their last bits with the number of rows, and a tree may split there: rounded, a case is
    # the same case alone, in its night, and among all nights of a replay
    reduced = np.round((vectors.astype(np.float64) - mean) @ components.T.astype(np.float64), _DECIMALS)
    reduced[~vectors.any(axis=1)] = np.nan
    return np.asarray(reduced, dtype=np.float32)


def _codes(column: np.ndarray, values: list[str]) -> np.ndarray:
    places = pd.Index(values, dtype=object).get_indexer(pd.Index(column, dtype=object))
    return np.where(pd.isna(column), np.nan, np.where(places < 0, OTHER, places + 1.0))
