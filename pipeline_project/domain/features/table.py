"""What a model sees of each case: numbers, categories and vectors, aligned row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline_project.domain.core.schema import CASE_ID
from pipeline_project.domain.vectors.stored import pack, unpack

#: The night of the case; in the lake's `training_set` the column `night` is the night of the training.
CASE_NIGHT = "case_night"
_NUMBER, _CATEGORY = "number_", "category_"
_TEXT, _IMAGE = "text_vector", "image_vector"


@dataclass(frozen=True)
class FeatureTable:
    """Features of n cases.

    Attributes:
        case_ids, nights: shape (n,), strings.
        number_names, numbers: float64 of shape (n, numbers); a missing number is NaN.
        category_names, categories: objects of shape (n, categories), strings or None.
        text, image: float32 of shape (n, dimension), a zero row where there is none; None when the workflow has none.
    """

    case_ids: np.ndarray
    nights: np.ndarray
    number_names: tuple[str, ...]
    numbers: np.ndarray
    category_names: tuple[str, ...]
    categories: np.ndarray
    text: np.ndarray | None = None
    image: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.case_ids)

    @property
    def names(self) -> tuple[str, ...]:
        """Every feature's name; all of a text's or photo's dimensions are one feature."""
        vectors = [name for name, held in (("text", self.text), ("photos", self.image)) if held is not None]
        return (*self.number_names, *self.category_names, *vectors)

    def select(self, rows: np.ndarray) -> FeatureTable:
        """The rows of a mask, or at positions."""
        return FeatureTable(
            case_ids=self.case_ids[rows],
            nights=self.nights[rows],
            number_names=self.number_names,
            numbers=self.numbers[rows],
            category_names=self.category_names,
            categories=self.categories[rows],
            text=None if self.text is None else self.text[rows],
            image=None if self.image is None else self.image[rows],
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
        kept = [i for i, name in enumerate(self.number_names) if name not in names]
        return FeatureTable(
            case_ids=self.case_ids,
            nights=self.nights,
            number_names=tuple(self.number_names[i] for i in kept),
            numbers=self.numbers[:, kept],
            category_names=self.category_names,
            categories=self.categories,
            text=self.text,
            image=self.image,
        )

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
        if self.text is not None:
            columns[_TEXT] = pack(self.text)
        if self.image is not None:
            columns[_IMAGE] = pack(self.image)
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
            text=unpack(table.column(_TEXT)) if _TEXT in table.column_names else None,
            image=unpack(table.column(_IMAGE)) if _IMAGE in table.column_names else None,
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
