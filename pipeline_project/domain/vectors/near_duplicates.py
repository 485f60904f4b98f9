"""Cases too alike for their subjects to be strangers: the nearest case of somebody else, and photos used twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline_project.domain.vectors.stored import Floats

# Of one block of similarities; beyond some ten megabytes a larger block is no quicker.
_BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class NearDuplicates:
    """Aligned with the cases asked about.

    Attributes:
        similarity: highest cosine similarity to a case of another subject, float64 in [0, 1]; 0 when there is none.
        case: that case's id, or None.
        shared_photo: the very same photo was used by another subject.
    """

    similarity: npt.NDArray[np.float64]
    case: list[str | None]
    shared_photo: npt.NDArray[np.bool_]


def near_duplicates(
    vectors: Floats,
    case_ids: Sequence[str],
    subjects: Mapping[str, str | None],
    photo_keys: Sequence[Iterable[str]],
    asked: npt.NDArray[np.bool_],
) -> NearDuplicates:
    """For each case asked about, its nearest case of another subject in the window.

    A case without a subject counts as a subject of its own.

    Args:
        vectors: of the last of these cases, as many as are to be compared, those asked about included; unit
            length, shape (compared, d); zero rows resemble nothing.
        case_ids, photo_keys: of the whole window, in which shared photos are looked for; no id twice.
        asked: which of them to answer for, shape (cases,).

    Returns:
        One answer per case asked, in their order.
    """
    owners = _owners(case_ids, subjects)
    first = len(case_ids) - len(vectors)
    rows = np.flatnonzero(asked)
    similarity = np.zeros(len(rows))
    nearest = np.full(len(rows), -1)
    step = max(1, _BLOCK_BYTES // (4 * max(1, len(vectors))))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        cosines = vectors[block - first] @ vectors.T
        cosines[owners[block][:, None] == owners[first:][None, :]] = -1
        best = cosines.argmax(axis=1)
        similarity[start : start + step] = cosines[np.arange(len(block)), best]
        nearest[start : start + step] = best + first
    similarity = np.clip(similarity.round(6), 0, 1)
    cases = [case_ids[place] if alike > 0 else None for place, alike in zip(nearest, similarity, strict=True)]
    return NearDuplicates(similarity, cases, _shared(owners, photo_keys)[rows])


def _owners(case_ids: Sequence[str], subjects: Mapping[str, str | None]) -> npt.NDArray[np.int64]:
    """A number per subject, and one of its own for every case without a subject."""
    numbers: dict[tuple[str, str], int] = {}
    owners = np.empty(len(case_ids), np.int64)
    for row, case in enumerate(case_ids):
        subject = subjects.get(case)
        owner = ("case", case) if subject is None else ("subject", subject)
        owners[row] = numbers.setdefault(owner, len(numbers))
    return owners


def _shared(owners: npt.NDArray[np.int64], photo_keys: Sequence[Iterable[str]]) -> npt.NDArray[np.bool_]:
    users: defaultdict[str, set[int]] = defaultdict(set)
    for owner, keys in zip(owners, photo_keys, strict=True):
        for key in keys:
            users[key].add(int(owner))
    return np.array([any(len(users[key]) > 1 for key in keys) for keys in photo_keys], dtype=bool)
