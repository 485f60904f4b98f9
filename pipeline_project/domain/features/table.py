"""What a model sees of each case: numbers, categories and vectors, aligned row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from pipeline_project.domain.core.schema import CASE_ID
from pipeline_project.domain.vectors.modalities import MODALITIES
from pipeline_project.domain.vectors.stored import pack, unpack

#: The night of the case; in the lake's `training_set` the column `night` is the night of the training.
CASE_NIGHT = "case_night"
_NUMBER, _CATEGORY = "number_", "category_"


@dataclass(frozen=True)
class FeatureTable:
    """Features of n cases.

    Attributes:
        case_ids, nights: shape (n,), strings.
        number_names, numbers: float64 of shape (n, numbers); a missing number is NaN.
        category_names, categories: objects of shape (n, categories), strings or None.
        vectors: of the modalities that the workflow has, by name, float32 of shape (n, dimension), a zero row where
            there is none.
        phrases: what features are called whose names do not say it, by name; for reasons, not kept in the lake.
    """

    case_ids: np.ndarray
    nights: np.ndarray
    number_names: tuple[str, ...]
    numbers: np.ndarray
    category_names: tuple[str, ...]
    categories: np.ndarray
    vectors: Mapping[str, np.ndarray] = field(default_factory=dict)
    phrases: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.case_ids)

    @property
    def names(self) -> tuple[str, ...]:
        """Every feature's name; all dimensions of a modality are one feature."""
        return (*self.number_names, *self.category_names, *(MODALITIES[name].feature for name in self.vectors))

    def select(self, rows: np.ndarray | slice) -> FeatureTable:
        """The rows of a mask, or at positions; those of a slice are not copied."""
        return replace(
            self,
            case_ids=self.case_ids[rows],
            nights=self.nights[rows],
            numbers=self.numbers[rows],
            categories=self.categories[rows],
            vectors={name: held[rows] for name, held in self.vectors.items()},
        )

    def number(self, name: str) -> np.ndarray:
        """One number column, shape (n,).

        Raises:
            KeyError: there is no such number.
        """
        if name not in self.number_names:
            raise KeyError(f"no number {name!r} among the features {', '.join(self.number_names)}")
        return self.numbers[:, self.number_names.index(name)]

    def without_numbers(self, names: Sequence[str]) -> FeatureTable:
        """The same table less some numbers."""
        rest = [i for i, name in enumerate(self.number_names) if name not in names]
        return replace(self, number_names=tuple(self.number_names[i] for i in rest), numbers=self.numbers[:, rest])

    def to_arrow(self, label: Sequence[str] | None = None, known_at: pa.Array | None = None) -> pa.Table:
        """As the lake keeps it: case_night, case_id, label and known_at if given, then one column for each feature."""
        columns: dict[str, pa.Array] = {
            CASE_NIGHT: pa.array(self.nights, pa.string()),
            CASE_ID: pa.array(self.case_ids, pa.string()),
        }
        if label is not None:
            columns["label"] = pa.array(label, pa.string())
        if known_at is not None:
            columns["known_at"] = known_at
        for i, name in enumerate(self.number_names):
            columns[_NUMBER + name] = pa.array(self.numbers[:, i], pa.float64())
        for i, name in enumerate(self.category_names):
            columns[_CATEGORY + name] = pa.array(self.categories[:, i], pa.string())
        for name, held in self.vectors.items():
            columns[MODALITIES[name].vector_column] = pack(held)
        return pa.table(columns)

    @classmethod
    def from_arrow(cls, table: pa.Table) -> FeatureTable:
        """The features of a table that `to_arrow` made; other columns are left alone."""
        numbers = [name for name in table.column_names if name.startswith(_NUMBER)]
        categories = [name for name in table.column_names if name.startswith(_CATEGORY)]
        return cls(
            case_ids=strings(table.column(CASE_ID)),
            nights=strings(table.column(CASE_NIGHT)),
            number_names=tuple(name.removeprefix(_NUMBER) for name in numbers),
            numbers=stacked([floats(table.column(name)) for name in numbers], len(table), np.float64),
            category_names=tuple(name.removeprefix(_CATEGORY) for name in categories),
            categories=stacked([strings(table.column(name)) for name in categories], len(table), object),
            vectors={
                name: unpack(table.column(modality.vector_column))
                for name, modality in MODALITIES.items()
                if modality.vector_column in table.column_names
            },
        )


def strings(column: pa.ChunkedArray) -> np.ndarray:
    """A column as an object array of strings, None where null."""
    return np.array(column.to_pylist(), dtype=object)


def floats(column: pa.ChunkedArray) -> np.ndarray:
    """A column of numbers as float64, NaN where null."""
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def stacked(columns: Sequence[np.ndarray], rows: int, dtype: type) -> np.ndarray:
    """Columns side by side, also when there are none."""
    return np.column_stack(columns).astype(dtype) if columns else np.empty((rows, 0), dtype=dtype)
