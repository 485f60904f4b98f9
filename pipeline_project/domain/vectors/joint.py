"""The vectors of all modalities as one, in few dimensions, for what looks at them together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline_project.domain.vectors.stored import Floats

# A kind of vector that hardly varies is noise; it is not blown up beyond this to weigh as much as the other.
_LEAST_SPREAD = 0.2
_ROWS_AT_ONCE = 8192
_LENDERS, _LENT_BY = 4096, 5


def centred(*vectors: Floats) -> Floats:
    """The vectors of all modalities side by side for clustering, shape (cases, sum of their dimensions).

    Each kind is centred on the cases that have it and scaled to a like spread, so that neither outweighs the other.
    A case without one of them (a zero row) borrows it from the cases nearest by the others, so that having sent no
    photo makes no group of its own.
    """
    kinds = [_scaled(kind) for kind in vectors]
    others = [np.hstack([*kinds[:place], *kinds[place + 1 :]]) for place in range(len(kinds))]
    return np.hstack([_borrowed(kind, other) for kind, other in zip(kinds, others, strict=True)])


def _scaled(vectors: Floats) -> Floats:
    there = vectors.any(axis=1)
    scaled = np.zeros_like(vectors)
    if there.any():
        scaled[there] = vectors[there] - vectors[there].mean(axis=0)
        scaled /= max(float(np.sqrt((scaled[there] ** 2).sum(axis=1).mean())), _LEAST_SPREAD)
    return scaled


def _borrowed(vectors: Floats, other: Floats) -> Floats:
    """`vectors` with its zero rows filled from the cases nearest in `other`; they stay zero where that has nothing."""
    from sklearn.neighbors import NearestNeighbors

    there, in_other = vectors.any(axis=1), other.any(axis=1)
    missing, lenders = np.flatnonzero(~there & in_other), np.flatnonzero(there & in_other)
    if not len(missing) or not len(lenders):
        return vectors
    lenders = lenders[np.unique(np.linspace(0, len(lenders) - 1, _LENDERS).astype(np.int64))]
    search = NearestNeighbors(n_neighbors=min(_LENT_BY, len(lenders)), algorithm="brute").fit(other[lenders])
    nearest = search.kneighbors(other[missing], return_distance=False)
    filled = vectors.copy()
    filled[missing] = vectors[lenders[nearest]].mean(axis=1)
    return filled


def reduced(vectors: Floats, fitted: npt.NDArray[np.bool_], dimensions: int) -> Floats:
    """The first principal components of the fitted cases, at most `dimensions`, applied to all of them."""
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    parts = min(dimensions, int(fitted.sum()) - 1, vectors.shape[1])
    if parts < 1:
        return vectors
    # The covariance's eigenvectors are exact; a randomized solver would need a seed and give other groups by version.
    # One thread: some hundred numbers square are too few to share out, and BLAS's threads spin while they wait.
    with threadpool_limits(1, user_api="blas"):
        pca = PCA(parts, svd_solver="covariance_eigh").fit(vectors[fitted].astype(np.float64))
        blocks = range(0, len(vectors), _ROWS_AT_ONCE)
        transformed = [pca.transform(vectors[start : start + _ROWS_AT_ONCE].astype(np.float64)) for start in blocks]
    return np.concatenate(transformed, dtype=np.float32, casting="same_kind")
