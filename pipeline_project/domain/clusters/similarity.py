"""How alike the cases of one cluster are across accounts: in words, in photos, in photos that are the very same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.core.schema import CASE_ID
from pipeline_project.domain.vectors.modalities import MODALITIES, file_keys
from pipeline_project.domain.vectors.stored import Floats, unit, unpack

# Every pair is compared, so of a huge cluster only so many cases are: what is counted is then a lower bound.
_MOST = 4_000


@dataclass(frozen=True)
class Similarity:
    """Cases that are like a case of another account.

    Attributes:
        cases, accounts: how many, and of how many accounts.
        similarity: by modality, mean cosine over the pairs of them that have both; None where there is no pair.
        shared_photos: photos that more than one account sent.
    """

    cases: int
    accounts: int
    similarity: Mapping[str, float | None]
    shared_photos: int


@dataclass(frozen=True)
class Vectors:
    """The vectors of some cases, by row.

    Attributes:
        row: case id to row.
        kinds: by modality, shape (cases, d), unit length; a row of zeros where there is none. d may be 0.
        keys: content keys of each case's photos.
    """

    row: Mapping[str, int]
    kinds: Mapping[str, Floats]
    keys: Sequence[Sequence[str]]

    @cached_property
    def joint(self) -> Floats:
        """Words and photos together, unit length; zeros for a case that lacks one of the kinds the others have."""
        joint = unit(np.hstack(list(self.kinds.values())))
        for part in self.kinds.values():
            if part.any():
                # half of a case is no match: many write the same few words, and send no photo
                joint[~part.any(axis=1)] = 0.0
        return joint


def vectors_of(embeddings: pa.Table, cases: Sequence[str]) -> Vectors:
    """The vectors of `cases`, each as it came last.

    Args:
        embeddings: `embedding.EMBEDDINGS` in night order; vectors of another length than the latest are left out.
    """
    wanted = embeddings.filter(pc.is_in(embeddings[CASE_ID], pa.array(list(cases), pa.string())))
    last = {case: row for row, case in enumerate(wanted[CASE_ID].to_pylist())}
    table = wanted.take(pa.array(list(last.values()), pa.int64()))
    kinds = {name: _unpacked(table[modality.vector_column]) for name, modality in MODALITIES.items()}
    return Vectors({case: row for row, case in enumerate(last)}, kinds, file_keys(table))


def similarities(
    cases: Sequence[str], subjects: Mapping[str, str | None], vectors: Vectors, similarity: float
) -> Similarity:
    """The cases that are like another account's: by a photo both sent, or by words and photos together.

    Args:
        cases: compared with each other; those of nobody known or without vectors are left out.
        similarity: the least cosine.
    """
    compared = [case for case in cases if subjects.get(case) is not None and case in vectors.row][:_MOST]
    rows = np.array([vectors.row[case] for case in compared], np.int64)
    owners = np.array([str(subjects[case]) for case in compared], dtype=object)
    codes = np.unique(owners, return_inverse=True)[1] if compared else np.zeros(0, np.int64)
    joint = vectors.joint[rows]
    linked = ((joint @ joint.T >= similarity) & (codes[:, None] != codes[None, :])).any(axis=1)
    senders: dict[str, set[str]] = {}
    for row, owner in zip(rows, owners, strict=True):
        for key in vectors.keys[row]:
            senders.setdefault(key, set()).add(owner)
    shared = {key for key, sent in senders.items() if len(sent) > 1}
    linked |= np.array([bool(shared.intersection(vectors.keys[row])) for row in rows], dtype=bool)
    return Similarity(
        cases=int(linked.sum()),
        accounts=len(set(owners[linked])),
        similarity={name: _mean_cosine(kind[rows[linked]]) for name, kind in vectors.kinds.items()},
        shared_photos=len(shared),
    )


def _mean_cosine(vectors: Floats) -> float | None:
    """Over all pairs of rows that are not zero; None with fewer than two."""
    there: npt.NDArray[np.float64] = unit(vectors[vectors.any(axis=1)]).astype(np.float64)
    count = len(there)
    if count < 2:
        return None
    return float((np.square(there.sum(axis=0)).sum() - count) / (count * (count - 1)))


def _unpacked(column: pa.ChunkedArray) -> Floats:
    sizes = pc.binary_length(column)
    lengths = sizes.drop_null().to_pylist()
    if not lengths:
        return np.zeros((len(column), 0), np.float32)
    same = pc.equal(sizes, lengths[-1])
    return unit(unpack(pc.if_else(same, column, pa.scalar(None, pa.binary())), lengths[-1] // 2))
