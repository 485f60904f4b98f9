"""Reasons in plain words."""

from __future__ import annotations

import re

import numpy as np

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
    (r"^text$", "what the text says"),
    (r"^image$", "what the photos show"),
)


def phrase(name: str) -> str:
    """A feature's name in words."""
    for pattern, words in _PHRASES:
        if re.match(pattern, name):
            return re.sub(pattern, words, name).replace("_", " ")
    return name.replace("_", " ")


def number_reason(name: str, value: float, quartiles: tuple[float, float], masked: bool) -> str:
    """`price 129 is high`, against the quartiles seen in training."""
    if np.isnan(value):
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
