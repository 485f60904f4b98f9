"""Reasons in plain words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.models.columns import Columns
from pipeline_project.domain.vectors.modalities import MODALITIES

#: In log-odds; what counts for less is not said.
_SMALLEST_REASON = 0.05

_PHRASES = (
    (r"^basket_(.+)_different_(.+)$", r"different \2 in the basket"),
    (r"^basket_(.+)_size$", r"cases in the basket (\1)"),
    (r"^basket_(.+)_sum$", r"sum of the basket (\1)"),
    (r"^basket_(.+)_rank$", r"rank within the basket (\1)"),
    (r"^cluster_past_(.+)_rate$", r"share of \1 in its cluster so far"),
    (r"^(.+)_to_(.+)_usual$", r"\1 against what is usual for the \2"),
    (r"^(.+)_earlier$", r"earlier cases of the \1"),
    (r"^(.+)_known$", r"earlier outcomes of the \1"),
    (r"^(.+)_nights_since$", r"nights since the last case of the \1"),
    (r"^(.+)_days_ago$", r"days since \1"),
    (r"^(.+)_rate$", r"past rate of \1"),
    (r"^season_(sin|cos)$", "season"),
)


@lru_cache(maxsize=4096)
def phrase(name: str) -> str:
    """A feature's name in words."""
    if name in MODALITIES:
        return MODALITIES[name].shows
    for pattern, replacement in _PHRASES:
        if re.match(pattern, name):
            return re.sub(pattern, replacement, name).replace("_", " ")
    return name.replace("_", " ")


def number_reason(name: str, value: float, quartiles: tuple[float, float], masked: bool) -> str:
    """`price 129 is high`, against the quartiles seen in training."""
    if math.isnan(value):
        return f"{phrase(name)} is missing"
    low, high = quartiles
    level = "high" if value > high else "low" if value < low else "usual"
    return f"{phrase(name)} is {level}" if masked else f"{phrase(name)} {plain(value)} is {level}"


def category_reason(name: str, value: str | None, masked: bool) -> str:
    if value is None:
        return f"{phrase(name)} is missing"
    return f"{phrase(name)} counts" if masked else f"{phrase(name)} is {value[:60]}"


def plain(value: float) -> str:
    """A number as one would write it: no more than two decimals, none for whole numbers."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def spoken(columns: Columns, masked: frozenset[str], table: FeatureTable) -> Callable[[int, str], str]:
    """Words for a feature of a row of the table; those of masked features do not show the value."""

    numbers = {name: table.numbers[:, table.number_names.index(name)] for name in columns.quartiles}
    categories = {name: table.categories[:, table.category_names.index(name)] for name in columns.values}

    def describe(row: int, name: str) -> str:
        if name in numbers:
            return number_reason(name, float(numbers[name][row]), columns.quartiles[name], name in masked)
        if name in categories:
            return category_reason(name, categories[name][row], name in masked)
        return phrase(name)

    return describe


def weighty(
    shares: np.ndarray, features: Sequence[str], chosen: Sequence[str], top: int, describe: Callable[[int, str], str]
) -> list[list[str]]:
    """`price 129 is high (+0.8 towards returned)`: per case at most `top`, the weightiest first.

    Args:
        shares: what each feature adds to the chosen label's log-odds, shape (n, features).
        chosen: label of each case.
    """
    places, sizes = _largest(shares, top)
    return [
        [
            f"{describe(row, features[place])} ({share:+.1f} towards {label})"
            for place, share in zip(at, of_row, strict=True)
            if abs(share) >= _SMALLEST_REASON
        ]
        for row, (label, at, of_row) in enumerate(zip(chosen, places.tolist(), sizes.tolist(), strict=True))
    ]


def _largest(shares: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the largest shares of each row stand, whatever their sign, and the shares: shape (n, top), of equal ones
    the first. Taken one by one, which is quicker than sorting them all."""
    left, rows = np.abs(shares), np.arange(len(shares))
    places = np.empty((len(shares), min(top, shares.shape[1])), dtype=np.intp)
    for rank in range(places.shape[1]):
        places[:, rank] = left.argmax(axis=1)
        left[rows, places[:, rank]] = -1.0
    return places, np.take_along_axis(shares, places, axis=1)
