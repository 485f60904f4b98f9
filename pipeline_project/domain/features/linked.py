"""Cases that share a value, an address or a device or a photo, and those that share one with these: as known then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

#: A value that more cases than this have in common links none: it is a parcel station, not a household.
MOST_SHARING = 100


def linked_rows(
    fields: Sequence[tuple[np.ndarray, np.ndarray]], at: np.ndarray, asking: np.ndarray, span: int
) -> list[np.ndarray]:
    """For each case that asks, the rows it is linked with that came before it, from the earliest to the latest.

    What links two cases must itself have come before the case that asks: rows are joined in the order of their times,
    and a case asks before it joins. Values that many have in common (`MOST_SHARING`) do not link.

    Args:
        fields: of each field the row and the code of every value, as often as there is one.
        at: times, shape (rows,).
        asking: positions of the cases that ask.
        span: rows that came longer before a case are left out, and link no more once they did so for all that ask.

    Returns:
        Positions of rows, for each of `asking`.
    """
    if not len(asking):
        return []
    linking = _Linking(fields, len(at))
    first = at[asking].min()
    recent = np.flatnonzero(at >= first - span)
    earlier = recent[at[recent] < first]
    linking.join_all(earlier)
    answers: dict[int, np.ndarray] = {}
    asks = set(asking.tolist())
    # only what comes before the last that asks can matter to any
    rest = recent[(at[recent] >= first) & (at[recent] <= at[asking].max())]
    for rows in _by_time(rest, at):
        for row in rows:
            if row in asks:
                linked = linking.members(row)
                linked = linked[at[linked] >= at[row] - span]
                answers[row] = linked[np.lexsort((linked, at[linked]))]
        for row in rows:
            linking.join(row)
    return [answers[row] for row in asking.tolist()]


def _by_time(rows: np.ndarray, at: np.ndarray) -> Iterator[list[int]]:
    """Rows of one moment together, moments in order."""
    order = rows[np.argsort(at[rows], kind="stable")]
    cuts = np.flatnonzero(np.diff(at[order])) + 1
    return (part.tolist() for part in np.split(order, cuts) if len(part))


class _Linking:
    """Rows joined through the values they share; nodes are the values."""

    def __init__(self, fields: Sequence[tuple[np.ndarray, np.ndarray]], rows: int) -> None:
        nodes, owners, begin = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
        for row, code in fields:
            nodes.append(code + begin)
            owners.append(row)
            begin += int(code.max(initial=-1)) + 1
        node, owner = np.concatenate(nodes), np.concatenate(owners)
        order = np.argsort(owner, kind="stable")
        self._node, self._owner = node[order], owner[order]
        self._starts = np.searchsorted(self._owner, np.arange(rows + 1))
        self._sharing = np.zeros(begin, dtype=np.int64)
        self._parent = np.arange(begin)
        self._members: dict[int, list[np.ndarray]] = defaultdict(list)

    def _nodes(self, row: int) -> list[int]:
        nodes: list[int] = self._node[self._starts[row] : self._starts[row + 1]].tolist()
        return nodes

    def _root(self, node: int) -> int:
        parent = self._parent
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = int(parent[node])
        return node

    def join_all(self, rows: np.ndarray) -> None:
        """Many rows at once."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        taken = np.zeros(len(self._starts) - 1, dtype=bool)
        taken[rows] = True
        edges = np.flatnonzero(taken[self._owner])
        self._sharing += np.bincount(self._node[edges], minlength=len(self._sharing))
        edges = edges[self._sharing[self._node[edges]] <= MOST_SHARING]
        if not len(edges):
            return
        row_of, row_at = np.unique(self._owner[edges], return_inverse=True)
        values = len(self._sharing)
        shape = (values + len(row_of),) * 2
        links = coo_matrix((np.ones(len(edges), np.int8), (self._node[edges], values + row_at)), shape=shape)
        _, component = connected_components(links, directed=False)
        _, first = np.unique(component, return_index=True)
        # a component of a row holds a value, and values come first
        self._parent = first[component[:values]]
        roots = first[component[values:]]
        order = np.argsort(roots, kind="stable")
        cuts = np.flatnonzero(np.diff(roots[order])) + 1
        for part in np.split(order, cuts):
            self._members[int(roots[part[0]])] = [row_of[part]]

    def join(self, row: int) -> None:
        """One row; a value that too many share by then links nothing more."""
        nodes = self._nodes(row)
        for node in nodes:
            self._sharing[node] += 1
        roots = list(dict.fromkeys(self._root(node) for node in nodes if self._sharing[node] <= MOST_SHARING))
        if not roots:
            return
        largest = max(roots, key=lambda root: len(self._members[root]))
        for root in roots:
            if root != largest:
                self._parent[root] = largest
                self._members[largest] += self._members.pop(root)
        self._members[largest].append(np.array([row]))

    def members(self, row: int) -> np.ndarray:
        """The rows that a row which has not joined yet is linked with."""
        roots = {self._root(node) for node in self._nodes(row) if self._sharing[node] <= MOST_SHARING}
        parts = [part for root in sorted(roots) for part in self._members.get(root, [])]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)
