"""Density clustering on a graph of neighbours, which takes seconds where all pairs take minutes.

scikit-learn's HDBSCAN visits every pair: 10,000 vectors of 50 numbers took it 5 s on two cores, four times that for
twice as many. Here each vector's nearest neighbours make a graph, and `hierarchy.groups` reads the groups off its tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline_project.domain.clusters.hierarchy import groups
from pipeline_project.domain.clusters.nearest import COMPARED, nearest
from pipeline_project.domain.vectors.stored import Floats

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Labels = npt.NDArray[np.int64]

_NEIGHBOURS = 32
# A distance of zero would be no edge at all in a sparse graph, and equal texts are the strongest edges there are.
_NO_DISTANCE = 1e-6
# Real groups of tickets have 0.1 to 0.5 of the variance of all cases; scattered cases taken for one group, over 0.9.
_MOST_SPREAD = 0.7
# How far from its neighbours a member may be, in medians of its group; in a group of copies that median is nothing,
# so near copies may always be as far as a part of the median of all cases.
_MOST_REACH, _LEAST_REACH = 2.0, 0.25
# In medians of the members' deviations from their middle, and the least that such a median counts, in middles.
_MOST_DEVIATIONS, _LEAST_DEVIATION = 9.0, 0.02
# How far from its neighbours somebody who joins a group may be, in distances of its member who is furthest from others.
_FURTHER = 1.1
_DENSE, _SCATTERED = 0.5, 0.95
# A few units in the last place of a double: a million edges in one length come apart by a billionth of it.
_TIE = 1e-15
# Of two directions of one distance.
_ROUNDED = 1e-6


def density_labels(
    vectors: Floats, fitted: npt.NDArray[np.bool_], minimum_size: int, compared: int = COMPARED
) -> Labels:
    """Groups found among the fitted vectors; the others join the group of their nearest member if it is near.

    Near means as far as a member of that group may be from its own neighbours.

    Args:
        vectors: shape (n, d), in an order that does not depend on the source's.
        fitted: which of them the groups are found among, shape (n,); at least `minimum_size`.
        compared: with how many others each is compared; up to so many vectors, with all of them.

    Returns:
        Shape (n,): 0, 1, ... and -1 for none.
    """
    labels = np.full(len(vectors), -1, np.int64)
    points = vectors[fitted]
    if len(points) <= minimum_size:
        return labels
    distances, neighbours = nearest(points, points, max(_NEIGHBOURS, 4 * minimum_size), False, compared)
    distances = np.maximum(distances, _NO_DISTANCE)
    samples = max(2, (minimum_size + 1) // 2)
    reach = distances[:, min(samples, distances.shape[1]) - 1]
    graph = _untied(_reachable(_graph(points, distances, neighbours), reach, samples))
    point_labels = _cohesive(points, _trimmed(groups(graph, minimum_size), reach), minimum_size)
    if not (point_labels >= 0).any():
        point_labels = _cohesive(points, _dense(reach), minimum_size)
    point_labels = _joined(point_labels, distances, neighbours, reach)
    labels[fitted] = point_labels
    if (~fitted).any() and (point_labels >= 0).any():
        labels[~fitted] = _assigned(vectors[~fitted], points, point_labels, reach, compared)
    return labels


def _dense(reach: npt.NDArray[np.float64]) -> Labels:
    """One group of the cases much closer to their neighbours than the scattered ones are.

    A tree of one group and scattered cases has no branch, so no leaf either.
    """
    return np.where(reach <= _DENSE * np.quantile(reach, _SCATTERED), 0, -1)


def _trimmed(labels: Labels, reach: npt.NDArray[np.float64]) -> Labels:
    """Without the stragglers: between groups far apart, a branch also takes in what is scattered around it."""
    trimmed = labels.copy()
    least = _LEAST_REACH * np.median(reach)
    for members in members_of(labels):
        trimmed[members[reach[members] > max(_furthest(reach[members]), least)]] = -1
    return trimmed


def _joined(
    labels: Labels,
    distances: npt.NDArray[np.float64],
    neighbours: npt.NDArray[np.int64],
    reach: npt.NDArray[np.float64],
) -> Labels:
    """With those around a group who lie hardly less densely than its members.

    Where two groups meet within a larger one, what joins them belongs to neither; most of it is near to one of them.
    """
    if not (labels >= 0).any():
        return labels
    radius = _FURTHER * np.array([reach[rows].max() for rows in members_of(labels)])
    alone = np.flatnonzero(labels < 0)
    theirs = labels[neighbours[alone]]
    nearest = (theirs >= 0).argmax(axis=1)
    groups_near = theirs[np.arange(len(alone)), nearest]
    near = (groups_near >= 0) & (np.maximum(distances[alone, nearest], reach[alone]) <= radius[groups_near])
    joined = labels.copy()
    joined[alone[near]] = groups_near[near]
    return joined


def _furthest(reach: npt.NDArray[np.float64]) -> float:
    """How far a member of a group may be from its neighbours: within what the others vary by, at most twice as far."""
    middle = float(np.median(reach))
    deviation = max(float(np.median(np.abs(reach - middle))), _LEAST_DEVIATION * middle)
    return min(_MOST_REACH * middle, middle + _MOST_DEVIATIONS * deviation * (1 + 3 / len(reach) ** 0.5))


def members_of(labels: Labels) -> list[npt.NDArray[np.int64]]:
    """The rows of each group, by its number."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(int(labels.max(initial=-1)) + 1)))[1:]


def _cohesive(points: Floats, labels: Labels, minimum_size: int) -> Labels:
    """Without the groups that are about as spread out as all cases together: those are the scattered rest."""
    whole = ((points - points.mean(axis=0)) ** 2).sum(axis=1).mean()
    cohesive = np.full(len(labels), -1, np.int64)
    number = 0
    for rows in members_of(labels):
        members = points[rows]
        if len(members) < minimum_size:
            continue
        if ((members - members.mean(axis=0)) ** 2).sum(axis=1).mean() <= _MOST_SPREAD * whole:
            cohesive[rows] = number
            number += 1
    return cohesive


def _graph(points: Floats, distances: npt.NDArray[np.float64], neighbours: npt.NDArray[np.int64]) -> csr_matrix:
    """Symmetric distances between neighbours, in one piece: pieces are tied together by one member of each."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    count = len(points)
    rows = np.repeat(np.arange(count), distances.shape[1])
    graph = csr_matrix((distances.ravel(), (rows, neighbours.ravel())), shape=(count, count))
    graph = graph.maximum(graph.T)
    pieces, piece = connected_components(graph, directed=False)
    if pieces > 1:
        members = np.unique(piece, return_index=True)[1]
        here, there = members[:-1], members[1:]
        apart = np.maximum(np.linalg.norm(points[here] - points[there], axis=1), _NO_DISTANCE).astype(np.float64)
        ties = csr_matrix((apart, (here, there)), shape=(count, count))
        graph = graph.maximum(ties).maximum(ties.T)
    return graph.tocsr()


def _reachable(graph: csr_matrix, reach: npt.NDArray[np.float64], samples: int) -> csr_matrix:
    """Mutual reachability: no edge is shorter than the distance of either end to its `samples`-th neighbour.

    Args:
        reach: about that distance, as the search for neighbours measured it from one end.
    """
    from scipy.sparse import csr_matrix

    widths = np.diff(graph.indptr)
    rows = np.repeat(np.arange(len(widths)), widths)
    # a row with fewer edges reaches as far as its last one
    ranks = np.minimum(samples, widths)
    # only edges that may be the one looked for are sorted, a tenth of all: those within reach, or a whole row
    near = graph.data <= ((1 + _ROUNDED) * reach)[rows]
    near |= (np.bincount(rows[near], minlength=len(widths)) < ranks)[rows]
    rows_near, data_near = rows[near], graph.data[near]
    start = np.searchsorted(rows_near, np.arange(len(widths)))
    core = data_near[np.lexsort((data_near, rows_near))][start + ranks - 1]
    data = np.maximum(np.maximum(core[rows], core[graph.indices]), graph.data)
    return csr_matrix((data, graph.indices, graph.indptr), shape=graph.shape)


def _untied(graph: csr_matrix) -> csr_matrix:
    """The same graph with no two edges of one length, ordered by length, then by their ends.

    The tree is grown in the order of numpy's default sort, which orders ties in one way on processors with AVX-512 and
    in another without: the same night would have other clusters on another machine.
    """
    from scipy.sparse import coo_matrix, triu

    graph.sort_indices()
    edges = triu(graph, format="coo")
    # they come in the order of their ends, which a stable sort keeps where lengths tie
    order = np.argsort(edges.data, kind="stable")
    rows, columns = edges.row[order], edges.col[order]
    lengths = edges.data[order] * (1 + _TIE * np.arange(len(order)))
    both = (np.concatenate([rows, columns]), np.concatenate([columns, rows]))
    return coo_matrix((np.concatenate([lengths, lengths]), both), shape=graph.shape).tocsr()


def _assigned(rest: Floats, points: Floats, labels: Labels, reach: npt.NDArray[np.float64], compared: int) -> Labels:
    members = np.flatnonzero(labels >= 0)
    radius = np.array([_furthest(reach[rows]) for rows in members_of(labels)])
    distances, closest = nearest(rest, points[members], 1, True, compared)
    joined = labels[members][closest[:, 0]]
    return np.where(distances[:, 0] <= radius[joined], joined, -1)
