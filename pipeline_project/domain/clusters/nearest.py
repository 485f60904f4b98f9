"""Nearest neighbours among many points: above a number of them, only those in the cells around a point are compared.

Comparing all pairs took nearly all of the time above 20,000 points. So points are put into cells around centres (a few
rounds of k-means on a sample), and a point is compared with the members of the cells nearest to it, until it was
compared with as many as it is below that number: the work for one point no longer grows.

Nothing is drawn at random, every tie has an order, and how the work is cut into tasks depends on no machine.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from pipeline_project.domain.vectors.stored import Floats

Distances = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

#: With so many others a point is compared; where there are no more, with all of them.
COMPARED = 20_000
# A cell holds about this part of the points that one is compared with: smaller cells follow the shape of the data more
# closely, larger ones make larger products of matrices.
_CELLS_COMPARED = 16
_ROUNDS, _SAMPLED_PER_CELL = 4, 64
# Of a cell so many are compared first: how near they are is the bound that nearly all others are held against.
_FIRST = 256
# Numbers in one product of matrices, and columns of it: it and its mask stay in the cache of one core.
_PRODUCT, _WIDEST = 2**18, 2**12
# Points searched for in one task, whatever the number of cores.
_TASK = 2**15
# Distances from a product of 32-bit floats are off in the sixth digit: so many more are kept until they are exact.
_SPARE = 4
# Squared distances below this part of a point's own square are nothing but that error.
_ERROR = 1e-6
_ROWS_AT_ONCE = 1024
_POSITION, _NOTHING = np.int64(2**32), np.iinfo(np.int64).max


def nearest(points: Floats, among: Floats, count: int, itself: bool, compared: int) -> tuple[Distances, Rows]:
    """Distances to and positions of the nearest `among`, both of shape (points, count), nearest first.

    Args:
        points, among: shape (n, d) and (m, d).
        itself: whether a point may be its own neighbour; if not, `points` are `among`.
        compared: up to so many `among` the search is exact; above, see `COMPARED`.
    """
    count = min(count, len(among) - (not itself))
    if len(among) <= compared:
        return _exact(points, among, count, itself)
    return _in_cells(points, among, count, itself, compared)


def _exact(points: Floats, among: Floats, count: int, itself: bool) -> tuple[Distances, Rows]:
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(among)
    distances, neighbours = search.kneighbors(points if itself else None)
    return distances.astype(np.float64), neighbours.astype(np.int64)


def _in_cells(points: Floats, among: Floats, count: int, itself: bool, compared: int) -> tuple[Distances, Rows]:
    from threadpoolctl import threadpool_limits

    # Threads of BLAS would spin while they wait for products as small as these: here a thread has a task of its own.
    with threadpool_limits(1, user_api="blas"):
        cells = Cells.of(among, max(1, compared // _CELLS_COMPARED))
        # neighbours in one cell are searched for together: most of what they are compared with is the same
        home = cells.nearest(points)
        order = np.argsort(home, kind="stable")
        tasks = [order[start : start + _TASK] for start in range(0, len(order), _TASK)]
        distances, neighbours = np.empty((len(points), count)), np.empty((len(points), count), np.int64)

        def carry_out(rows: Rows) -> None:
            own = None if itself else cells.place[rows]
            distances[rows], neighbours[rows] = _task(cells, points[rows], home[rows], own, count, compared)

        with ThreadPoolExecutor() as threads:
            deque(threads.map(carry_out, tasks), maxlen=0)
    return distances, neighbours


@dataclass(frozen=True)
class Cells:
    """Points in the order of their cells.

    Attributes:
        centres: shape (cells, d).
        start: where each cell begins among `points`, and where the last one ends, shape (cells + 1,).
        points: shape (m, d).
        row: which row of the source each is, shape (m,), ascending within a cell; `place` is the other way round.
    """

    centres: Floats
    start: Rows
    points: Floats
    row: Rows
    place: Rows

    @classmethod
    def of(cls, points: Floats, size: int) -> Self:
        """`points` in cells of about `size`."""
        centres = _centres(points, max(1, len(points) // size))
        home = _nearest_of(points, centres)
        row = np.argsort(home, kind="stable")
        place = np.empty_like(row)
        place[row] = np.arange(len(row))
        start = np.searchsorted(home[row], np.arange(len(centres) + 1))
        return cls(centres, start, np.ascontiguousarray(points[row]), row, place)

    def nearest(self, points: Floats) -> Rows:
        """The cell whose centre is nearest, of each point."""
        return _nearest_of(points, self.centres)


def _centres(points: Floats, count: int) -> Floats:
    sample = points[_evenly(len(points), min(len(points), count * _SAMPLED_PER_CELL))]
    centres = sample[_evenly(len(sample), count)]
    for _ in range(_ROUNDS):
        home = _nearest_of(sample, centres)
        order = np.argsort(home, kind="stable")
        # of equal centres, as among many copies, the first has all the points: the others would be empty cells around
        _, start, sizes = np.unique(home[order], return_index=True, return_counts=True)
        centres = (np.add.reduceat(sample[order], start, axis=0) / sizes[:, None]).astype(np.float32)
    return centres


def _evenly(length: int, count: int) -> Rows:
    return np.arange(count) * length // count


def _nearest_of(points: Floats, centres: Floats) -> Rows:
    columns = _columns(centres)
    step = max(1, _PRODUCT // len(centres))
    blocks = [points[start : start + step] for start in range(0, len(points), step)]
    return np.concatenate([(_lines(block) @ columns).argmin(axis=1) for block in blocks]).astype(np.int64)


def _lines(points: Floats) -> Floats:
    """What times `_columns` gives squared distances, without another pass over them."""
    squares = np.square(points).sum(axis=1, keepdims=True)
    return np.hstack([-2 * points, np.ones_like(squares), squares])


def _columns(points: Floats) -> Floats:
    squares = np.square(points).sum(axis=1, keepdims=True)
    return np.ascontiguousarray(np.hstack([points, squares, np.ones_like(squares)]).T)


def _task(
    cells: Cells, points: Floats, home: Rows, own: Rows | None, count: int, compared: int
) -> tuple[Distances, Rows]:
    """The nearest of some points.

    Args:
        home: the cell each of them lies in.
        own: the place each of them has in `cells`, where it is no neighbour of its own.
    """
    most = len(cells.points) - (own is not None)
    search = Search(cells, points, own, min(count + max(2, count // _SPARE), most))
    for cell, members in _by_number(home):
        start, end = cells.start[cell], cells.start[cell + 1]
        search.compare(members, start, min(start + _FIRST, end))
        search.compare(members, start + _FIRST, end)
    for cell, visitors in _by_number(*_around(cells, search.lines, home, compared)):
        search.compare(visitors, cells.start[cell], cells.start[cell + 1])
    search.finish()
    return search.answer(count)


def _by_number(numbers: Rows, values: Rows | None = None) -> list[tuple[int, Rows]]:
    """Each number that occurs, and where it does, or the values there."""
    order = np.argsort(numbers, kind="stable")
    different, start = np.unique(numbers[order], return_index=True)
    parts = np.split(order if values is None else values[order], start[1:])
    return list(zip(different.tolist(), parts, strict=True))


def _around(cells: Cells, lines: Floats, home: Rows, compared: int) -> tuple[Rows, Rows]:
    """The cells around each point but its own, nearest first until they hold `compared`: cells, and the points."""
    sizes = np.diff(cells.start)
    columns = _columns(cells.centres)
    most = min(len(sizes), 2 * _CELLS_COMPARED)
    step = max(1, _PRODUCT // len(sizes))
    around, points = [], []
    for start in range(0, len(lines), step):
        far = lines[start : start + step] @ columns
        far[np.arange(len(far)), home[start : start + step]] = 0
        keys = np.partition(_keys(far, np.arange(len(sizes))), most - 1, axis=1)[:, :most]
        near = np.sort(keys, axis=1) % _POSITION
        own = near == home[start : start + step, None]
        held = np.cumsum(sizes[near], axis=1) - sizes[near]
        rows, places = np.nonzero((held < compared) & ~own)
        around.append(near[rows, places])
        points.append(rows + start)
    return np.concatenate(around), np.concatenate(points)


def _keys(squares: Floats, positions: npt.NDArray[np.int64]) -> Rows:
    """Squared distance and position in one number: sorted by it, what is equally far is in order of position."""
    # 32-bit floats that are not negative are ordered as their bits are
    return np.maximum(squares, 0).astype(np.float32).view(np.int32).astype(np.int64) * _POSITION + positions


class Search:
    """The nearest so far of some points, while they are compared with cell after cell."""

    def __init__(self, cells: Cells, points: Floats, own: Rows | None, kept: int) -> None:
        self.lines = _lines(points)
        self._cells, self._points, self._own = cells, points, own
        self._keys = np.full((len(points), kept), _NOTHING)
        self._bound = np.full(len(points), np.inf, np.float32)
        self._error = _ERROR * np.square(points).sum(axis=1)

    def compare(self, rows: Rows, start: int, end: int) -> None:
        """Compares points with the cells' points from `start` to `end`."""
        for left in range(start, end, _WIDEST):
            right = min(end, left + _WIDEST)
            columns = _columns(self._cells.points[left:right])
            step = max(1, _PRODUCT // (right - left))
            for first in range(0, len(rows), step):
                some = rows[first : first + step]
                squares = self.lines[some] @ columns
                hits = np.flatnonzero(squares < self._bound[some, None])
                of, position = np.divmod(hits, right - left)
                self._take(some[of], squares.ravel()[hits], position + left)

    def finish(self) -> None:
        """Compares with all others the points around which there were too few, as among cells of one member each."""
        short = np.flatnonzero((self._keys == _NOTHING).any(axis=1))
        self._keys[short] = _NOTHING
        self.compare(short, 0, len(self._cells.points))

    def _take(self, rows: Rows, squares: Floats, positions: Rows) -> None:
        """Keeps the nearest of those that came and those kept; equal `rows` are side by side."""
        if self._own is not None:
            others = positions != self._own[rows]
            rows, squares, positions = rows[others], squares[others], positions[others]
        if not len(rows):
            return
        start = np.flatnonzero(np.diff(rows, prepend=-1))
        points, sizes = rows[start], np.diff(start, append=len(rows))
        kept = self._keys.shape[1]
        both = np.full((len(points), kept + sizes.max()), _NOTHING)
        both[:, :kept] = self._keys[points]
        line = np.repeat(np.arange(len(points)), sizes)
        both[line, kept + np.arange(len(rows)) - start[line]] = _keys(squares, positions)
        nearest_keys = np.partition(both, kept - 1, axis=1)[:, :kept]
        self._keys[points] = nearest_keys
        self._bound[points] = self._bounds(nearest_keys.max(axis=1), self._error[points])

    @staticmethod
    def _bounds(furthest: Rows, error: Floats) -> Floats:
        """How near others must be to be taken; none can be where those kept are copies, which are many."""
        squares = (furthest // _POSITION).astype(np.int32).view(np.float32)
        return np.where(furthest == _NOTHING, np.inf, np.where(squares <= error, -np.inf, squares)).astype(np.float32)

    def answer(self, count: int) -> tuple[Distances, Rows]:
        """Exact distances to and rows of the nearest `count`."""
        distances, rows = np.empty((len(self._points), count)), np.empty((len(self._points), count), np.int64)
        for start in range(0, len(self._points), _ROWS_AT_ONCE):
            block = slice(start, start + _ROWS_AT_ONCE)
            places = self._keys[block] % _POSITION
            apart = self._cells.points[places] - self._points[block, None, :]
            # a plain sum, whose order no width of a processor's registers decides
            far = np.sqrt(np.square(apart, out=apart).sum(axis=2))
            candidates = self._cells.row[places]
            order = np.lexsort((candidates, far), axis=1)[:, :count]
            distances[block] = np.take_along_axis(far, order, axis=1)
            rows[block] = np.take_along_axis(candidates, order, axis=1)
        return distances, rows
