"""Which members of a cluster a person should look at before deciding it: typical ones, and those most unlike them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

#: Members shown of either kind.
SHOWN = 3


def typical_and_different(
    contents: Sequence[Mapping[str, Any]], count: int = SHOWN
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Positions of the members nearest to all others, and of those farthest from what is shown already.

    Args:
        contents: of their tasks; see `content.build`. Only fields that are not personal and probabilities are used.

    Returns:
        Up to `count` of each; nobody is in both.
    """
    if not contents:
        return (), ()
    apart = _distances(contents)
    order = np.argsort(apart.sum(axis=1), kind="stable")
    typical = [int(i) for i in order[: min(count, max(1, len(contents) - count))]]
    different: list[int] = []
    while len(different) < count and len(typical) + len(different) < len(contents):
        nearest_shown = apart[:, [*typical, *different]].min(axis=1)
        nearest_shown[[*typical, *different]] = -1.0
        different.append(int(nearest_shown.argmax()))
    return tuple(typical), tuple(different)


def _distances(contents: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Mean over fields and probabilities, each 0 to 1 (Gower); a value missing on one side counts as far."""
    columns = [[content.get("fields", {}).get(name) for content in contents] for name in _names(contents, "fields")]
    apart = np.zeros((len(contents), len(contents)))
    for column in columns:
        apart += _numbers_apart(column) if all(_is_number(v) or v is None for v in column) else _values_apart(column)
    labels = _names(contents, "labels")
    if labels:
        likely = np.array([[_probability(content, label) for label in labels] for content in contents])
        apart += np.abs(likely[:, None, :] - likely[None, :, :]).sum(axis=2) / 2
    return apart / max(1, len(columns) + bool(labels))


def _names(contents: Sequence[Mapping[str, Any]], part: str) -> list[str]:
    return sorted({name for content in contents for name in content.get(part) or ()})


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _numbers_apart(column: Sequence[Any]) -> np.ndarray:
    values = np.array([np.nan if value is None else float(value) for value in column])
    ascending = np.sort(values[np.isfinite(values)])
    if not len(ascending):
        return np.zeros((len(column), len(column)))
    ranks = np.searchsorted(ascending, values) / len(ascending)
    missing = ~np.isfinite(values)
    apart = np.abs(ranks[:, None] - ranks[None, :])
    return np.where(missing[:, None] != missing[None, :], 1.0, np.where(missing[:, None], 0.0, apart))


def _values_apart(column: Sequence[Any]) -> np.ndarray:
    spellings = np.array([repr(value) for value in column])
    return (spellings[:, None] != spellings[None, :]).astype(float)


def _probability(content: Mapping[str, Any], label: str) -> float:
    entry = (content.get("labels") or {}).get(label) or {}
    return float(entry.get("probability") or 0.0)
