"""Which rows each case looks back on: those of its entity within a span before it, or a list of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

#: Of more rows than this the latest ones count where rows are compared with each other: quantiles, extremes, trends,
#: different values. Sums, counts and shares are of all.
MOST_ROWS = 1_000
#: Rows laid out at a time.
_CELLS = 1_000_000


class LookBack(Protocol):
    """The rows that each of n cases looks back on."""

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Of each case, the sum over its rows of whole numbers, shape (rows,): int64 of shape (n,)."""
        ...

    def latest(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Some cases at a time, with their latest rows: positions (m,) and rows (k, m), the latest first, -1 below.

        Whoever adds up does it down the columns, so that what stands below changes no bit of a sum.
        """
        ...


@dataclass(frozen=True)
class Spans:
    """Rows that stand together once they are sorted by entity and time.

    Attributes:
        order: positions of the rows in that order, shape (rows,).
        starts, ends: of each case, half-open, shape (n,).
    """

    order: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    @classmethod
    def before(
        cls,
        rows: tuple[np.ndarray, np.ndarray],
        cases: tuple[np.ndarray, np.ndarray],
        span: int | None,
        own: bool = False,
    ) -> Spans:
        """The rows of each case's entity from `span` before the case up to it.

        Args:
            rows, cases: code of the entity, -1 for none, and time, of each; int64.
            span: in the unit of the times; None for all that came before.
            own: rows at the very time of the case count as well.
        """
        (entity, at), (asker, now) = rows, cases
        asked = np.isin(entity, asker[asker >= 0])
        kept = np.flatnonzero(asked & (entity >= 0))
        moments = np.unique(at[kept])
        width = len(moments) + 1
        order = kept[np.lexsort((at[kept], entity[kept]))]
        keys = entity[order] * width + np.searchsorted(moments, at[order])
        last = np.searchsorted(moments, now, side="right" if own else "left")
        first = np.zeros_like(last) if span is None else np.searchsorted(moments, now - span, side="left")
        starts = np.searchsorted(keys, asker * width + first)
        ends = np.maximum(np.searchsorted(keys, asker * width + last), starts)
        return cls(order, starts, np.where(asker < 0, starts, ends))

    def sums(self, values: np.ndarray) -> np.ndarray:
        running = np.zeros(len(self.order) + 1, dtype=np.int64)
        np.cumsum(values[self.order], out=running[1:])
        return running[self.ends] - running[self.starts]

    def latest(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        lengths = np.minimum(self.ends - self.starts, MOST_ROWS)
        for cases, depth in _portions(lengths):
            places = self.ends[cases][None, :] - 1 - np.arange(depth)[:, None]
            there = np.arange(depth)[:, None] < lengths[cases][None, :]
            yield cases, _taken(self.order, places, there)

    def narrowed(self, starts: np.ndarray, ends: np.ndarray) -> Spans:
        """Others of the same rows."""
        return Spans(self.order, starts, ends)


@dataclass(frozen=True)
class Lists:
    """A list of rows for each case, from the earliest to the latest."""

    rows: Sequence[np.ndarray]

    def sums(self, values: np.ndarray) -> np.ndarray:
        return np.array([values[rows].sum() for rows in self.rows], dtype=np.int64)

    def latest(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        lengths = np.minimum([len(rows) for rows in self.rows], MOST_ROWS).astype(np.int64)
        for cases, depth in _portions(lengths):
            laid = np.full((depth, len(cases)), -1, dtype=np.int64)
            for column, case in enumerate(cases.tolist()):
                latest = self.rows[case][::-1][:MOST_ROWS]
                laid[: len(latest), column] = latest
            yield cases, laid


def _portions(lengths: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Cases with about equally many rows, as many as may be laid out at a time, and how many rows they have at most."""
    order = np.argsort(lengths, kind="stable")
    start = int(np.searchsorted(lengths[order], 1))
    while start < len(order):
        deepest = int(lengths[order[start]])
        stop = min(len(order), start + max(1, _CELLS // max(deepest, 1)))
        # the deepest of a portion decides for all: no more cells than twice what was meant
        stop = max(start + 1, int(np.searchsorted(lengths[order[:stop]], 2 * deepest, side="right")))
        chosen = order[start:stop]
        yield chosen, int(lengths[chosen].max())
        start = stop


def _taken(order: np.ndarray, places: np.ndarray, there: np.ndarray) -> np.ndarray:
    if not len(order):
        return np.full(places.shape, -1, dtype=np.int64)
    return np.where(there, order[np.maximum(places, 0)], -1)


def laid_out(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The values at places as `LookBack.latest` gives them, NaN where there is none or it is not finite."""
    taken = np.where(places >= 0, values[np.maximum(places, 0)], np.nan)
    return np.where(np.isfinite(taken), taken, np.nan)
