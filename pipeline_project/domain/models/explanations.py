"""Reasons in plain words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.models.columns import Columns
from pipeline_project.domain.vectors.modalities import MODALITIES

#: In log-odds; what counts for less is not said.
_SMALLEST_REASON = 0.05

#: The words for a feature of some rows, by their positions.
Describe = Callable[[str, np.ndarray], list[str]]

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


def number_reasons(what: str, values: np.ndarray, quartiles: tuple[float, float], masked: bool) -> list[str]:
    """`price 129 is high` for each of these values, against the quartiles seen in training.

    Args:
        what: the feature in words.
    """
    low, high = quartiles
    levels = np.where(values > high, "high", np.where(values < low, "low", "usual"))
    levels = np.where(np.isnan(values), "missing", levels)
    if masked:
        return [f"{what} is {level}" for level in levels.tolist()]
    return [
        f"{what} is missing" if level == "missing" else f"{what} {plain(value)} is {level}"
        for value, level in zip(values.tolist(), levels.tolist(), strict=True)
    ]


def category_reasons(name: str, values: np.ndarray, masked: bool) -> list[str]:
    """`brand is Acme` for each of these values."""
    what = phrase(name)
    return [
        f"{what} is missing" if value is None else f"{what} counts" if masked else f"{what} is {value[:60]}"
        for value in values.tolist()
    ]


def plain(value: float) -> str:
    """A number as one would write it: no more than two decimals, none for whole numbers."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def spoken(columns: Columns, masked: frozenset[str], table: FeatureTable) -> Describe:
    """Words for a feature of some rows of the table; those of masked features do not show the value."""

    def describe(name: str, rows: np.ndarray) -> list[str]:
        if name in columns.quartiles:
            values = table.numbers[rows, table.number_names.index(name)]
            what = table.phrases.get(name) or phrase(name)
            return number_reasons(what, values, columns.quartiles[name], name in masked)
        if name in columns.values:
            return category_reasons(name, table.categories[rows, table.category_names.index(name)], name in masked)
        return [phrase(name)] * len(rows)

    return describe


def weighty(
    shares: np.ndarray, features: Sequence[str], chosen: Sequence[str], top: int, describe: Describe
) -> list[list[str]]:
    """`price 129 is high (+0.8 towards returned)`: per case at most `top`, the weightiest first.

    Args:
        shares: what each feature adds to the chosen label's log-odds, shape (n, features).
        chosen: label of each case.
    """
    places, sizes = _largest(shares, top)
    sentences = np.full(places.shape, None, dtype=object)
    labels, shown = np.array(chosen, dtype=object), np.abs(sizes) >= _SMALLEST_REASON
    for place, feature in enumerate(features):
        rows, ranks = np.nonzero((places == place) & shown)
        parts = zip(describe(feature, rows), sizes[rows, ranks].tolist(), labels[rows].tolist(), strict=True)
        sentences[rows, ranks] = [f"{what} ({share:+.1f} towards {label})" for what, share, label in parts]
    return [[sentence for sentence in row if sentence is not None] for row in sentences.tolist()]


def _largest(shares: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the largest shares of each row stand, whatever their sign, and the shares: shape (n, top), of equal ones
    the first. Taken one by one, which is quicker than sorting them all."""
    left, rows = np.abs(shares), np.arange(len(shares))
    places = np.empty((len(shares), min(top, shares.shape[1])), dtype=np.intp)
    for rank in range(places.shape[1]):
        places[:, rank] = left.argmax(axis=1)
        left[rows, places[:, rank]] = -1.0
    return places, np.take_along_axis(shares, places, axis=1)
