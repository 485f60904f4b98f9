"""Which earlier cases are most like a case, among those whose outcome was known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline_project.domain.core.schema import Field, FieldType
from pipeline_project.domain.features.table import floats, strings
from pipeline_project.domain.vectors.stored import Floats, unit

SHOWN = 5
_ROWS_AT_ONCE = 512


def nearest_by_vectors(asked: Floats, earlier: Floats, count: int = SHOWN) -> list[list[tuple[int, float]]]:
    """Positions and cosine similarities of the nearest earlier cases, nearest first.

    Args:
        asked, earlier: shape (n, d) and (m, d); a zero row is like nothing.
    """
    return _nearest(unit(asked), unit(earlier), count)


def nearest_by_fields(
    asked: pa.Table, earlier: pa.Table, fields: Sequence[Field], count: int = SHOWN
) -> list[list[tuple[int, float]]]:
    """The same for cases without words and photos: Gower's similarity over numbers (by rank) and categories."""
    kinds = [f for f in fields if f.holds in (FieldType.NUMBER, FieldType.CATEGORY)]
    if not kinds or not len(earlier):
        return [[] for _ in range(len(asked))]
    similarity = np.zeros((len(asked), len(earlier)), dtype=np.float32)
    for kind in kinds:
        similarity += _alike(kind, asked, earlier)
    return _top(similarity / len(kinds), count)


def _alike(kind: Field, asked: pa.Table, earlier: pa.Table) -> np.ndarray:
    if kind.holds == FieldType.CATEGORY:
        ours, theirs = strings(asked[kind.name]), strings(earlier[kind.name])
        return (ours[:, None] == theirs[None, :]).astype(np.float32)
    ours, theirs = floats(asked[kind.name]), floats(earlier[kind.name])
    ascending = np.sort(theirs[np.isfinite(theirs)])
    if not len(ascending):
        return np.zeros((len(ours), len(theirs)), dtype=np.float32)
    ranks = [np.searchsorted(ascending, side) / len(ascending) for side in (ours, theirs)]
    apart = np.abs(ranks[0][:, None] - ranks[1][None, :])
    missing = ~np.isfinite(ours)[:, None] | ~np.isfinite(theirs)[None, :]
    return np.where(missing, 0.0, 1.0 - apart).astype(np.float32)


def _nearest(asked: Floats, earlier: Floats, count: int) -> list[list[tuple[int, float]]]:
    if not len(earlier):
        return [[] for _ in range(len(asked))]
    nearest: list[list[tuple[int, float]]] = []
    for start in range(0, len(asked), _ROWS_AT_ONCE):
        nearest += _top(asked[start : start + _ROWS_AT_ONCE] @ earlier.T, count)
    return nearest


def _top(similarity: np.ndarray, count: int) -> list[list[tuple[int, float]]]:
    # stable, so that equally similar cases come in the order given, whatever the machine
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    return [
        [(int(i), float(similarity[row, i])) for i in positions if similarity[row, i] > 0]
        for row, positions in enumerate(order)
    ]
