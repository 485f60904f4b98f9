"""Density clustering on a graph of neighbours, which takes seconds where all pairs take minutes.

scikit-learn's HDBSCAN visits every pair: 10,000 vectors of 50 numbers took it 5 s on two cores, four times that for
twice as many. Given the graph of each vector's nearest neighbours it took 0.7 s, 30,000 took 4 s, and planted groups
were found as well (adjusted Rand index 0.98 both ways).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline_project.domain.vectors.stored import Floats

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Labels = npt.NDArray[np.int64]

_NEIGHBOURS = 32
# A distance of zero would be no edge at all in a sparse graph, and equal texts are the strongest edges there are.
_NO_DISTANCE = 1e-6
_RADIUS_QUANTILE = 0.95
# Real groups of tickets have 0.1 to 0.5 of the variance of all cases; scattered cases taken for one group, over 0.9.
_MOST_SPREAD = 0.7
# How far from its neighbours a member may be, in medians of its group; in a group of copies that median is nothing,
# so near copies may always be as far as a part of the median of all cases.
_MOST_REACH, _LEAST_REACH = 2.0, 0.25
_DENSE = 0.5
# A few units in the last place of a double: a million edges in one length come apart by a billionth of it.
_TIE = 1e-15


def density_labels(vectors: Floats, fitted: npt.NDArray[np.bool_], minimum_size: int) -> Labels:
    """Groups found among the fitted vectors; the others join the group of their nearest member if it is near.

    Near means within the distance at which 95 % of that group's members have their own neighbours.

    Args:
        vectors: shape (n, d), in an order that does not depend on the source's.
        fitted: which of them the groups are found among, shape (n,); at least `minimum_size`.

    Returns:
        Shape (n,): 0, 1, ... and -1 for none.
    """
    from sklearn.cluster import HDBSCAN

    labels = np.full(len(vectors), -1, np.int64)
    points = vectors[fitted]
    if len(points) <= minimum_size:
        return labels
    distances, neighbours = _nearest(points, points, max(_NEIGHBOURS, 4 * minimum_size), itself=False)
    samples = max(2, (minimum_size + 1) // 2)
    # Leaves, because the default, excess of mass, put nearly all of 3,080 real tickets into one group when the
    # reduction was a little coarser; leaves gave groups nine tenths pure at every setting tried. One sample, because
    # the graph holds reachable distances already.
    model = HDBSCAN(
        min_cluster_size=minimum_size,
        min_samples=1,
        metric="precomputed",
        cluster_selection_method="leaf",
        copy=False,
    )
    graph = _untied(_reachable(_graph(points, distances, neighbours), samples))
    point_labels = model.fit_predict(graph).astype(np.int64)
    reach = distances[:, min(samples, distances.shape[1]) - 1]
    point_labels = _trimmed(point_labels, reach) if (point_labels >= 0).any() else _dense(reach)
    point_labels = _cohesive(points, point_labels, minimum_size)
    labels[fitted] = point_labels
    if (~fitted).any() and (point_labels >= 0).any():
        labels[~fitted] = _assigned(vectors[~fitted], points, point_labels, reach)
    return labels


def _dense(reach: npt.NDArray[np.float64]) -> Labels:
    """One group of the cases much closer to their neighbours than the scattered ones are.

    A tree of one group and scattered cases has no branch, so no leaf either.
    """
    return np.where(reach <= _DENSE * np.quantile(reach, _RADIUS_QUANTILE), 0, -1)


def _trimmed(labels: Labels, reach: npt.NDArray[np.float64]) -> Labels:
    """Without the stragglers: between groups far apart, a leaf also takes in what is scattered around it."""
    trimmed = labels.copy()
    least = _LEAST_REACH * np.median(reach)
    for label in range(int(labels.max()) + 1):
        members = labels == label
        trimmed[members & (reach > max(_MOST_REACH * np.median(reach[members]), least))] = -1
    return trimmed


def _cohesive(points: Floats, labels: Labels, minimum_size: int) -> Labels:
    """Without the groups that are about as spread out as all cases together: those are the scattered rest."""
    whole = ((points - points.mean(axis=0)) ** 2).sum(axis=1).mean()
    cohesive = np.full(len(labels), -1, np.int64)
    number = 0
    for label in range(int(labels.max()) + 1):
        members = points[labels == label]
        if len(members) < minimum_size:
            continue
        if ((members - members.mean(axis=0)) ** 2).sum(axis=1).mean() <= _MOST_SPREAD * whole:
            cohesive[labels == label] = number
            number += 1
    return cohesive


def _nearest(
    points: Floats, among: Floats, count: int, itself: bool = True
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Distances to and positions of the nearest `among`, both of shape (points, count), nearest first."""
    from sklearn.neighbors import NearestNeighbors

    count = min(count, len(among) - (not itself))
    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(among)
    distances, neighbours = search.kneighbors(points if itself else None)
    return np.maximum(distances, _NO_DISTANCE).astype(np.float64), neighbours.astype(np.int64)


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


def _reachable(graph: csr_matrix, samples: int) -> csr_matrix:
    """Mutual reachability: no edge is shorter than the distance of either end to its `samples`-th neighbour."""
    from scipy.sparse import csr_matrix

    widths = np.diff(graph.indptr)
    rows = np.repeat(np.arange(len(widths)), widths)
    nearest_first = graph.data[np.lexsort((graph.data, rows))]
    # a row with fewer edges reaches as far as its last one
    core = nearest_first[graph.indptr[:-1] + np.minimum(samples, widths) - 1]
    data = np.maximum(np.maximum(core[rows], core[graph.indices]), graph.data)
    return csr_matrix((data, graph.indices, graph.indptr), shape=graph.shape)


def _untied(graph: csr_matrix) -> csr_matrix:
    """The same graph with no two edges of one length, ordered by length, then by their ends.

    The tree is grown in the order of numpy's default sort, which orders ties in one way on processors with AVX-512 and
    in another without: the same night would have other clusters on another machine.
    """
    from scipy.sparse import coo_matrix, triu

    edges = triu(graph, format="coo")
    order = np.lexsort((edges.col, edges.row, edges.data))
    rows, columns = edges.row[order], edges.col[order]
    lengths = edges.data[order] * (1 + _TIE * np.arange(len(order)))
    both = (np.concatenate([rows, columns]), np.concatenate([columns, rows]))
    return coo_matrix((np.concatenate([lengths, lengths]), both), shape=graph.shape).tocsr()


def _assigned(rest: Floats, points: Floats, labels: Labels, reach: npt.NDArray[np.float64]) -> Labels:
    members = np.flatnonzero(labels >= 0)
    radius = np.array([np.quantile(reach[labels == label], _RADIUS_QUANTILE) for label in range(labels.max() + 1)])
    distances, nearest = _nearest(rest, points[members], 1)
    joined = labels[members][nearest[:, 0]]
    return np.where(distances[:, 0] <= radius[joined], joined, -1)
