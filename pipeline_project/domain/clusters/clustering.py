"""Which cases are alike: density clusters over a window of nights, with identities that last from night to night."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.clusters.nearest import COMPARED
from pipeline_project.domain.clusters.neighbours import density_labels
from pipeline_project.domain.clusters.terms import ClusterTerms
from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.core.schema import CASE_ID, NIGHT
from pipeline_project.domain.vectors.joint import centred, reduced
from pipeline_project.domain.vectors.modalities import MODALITIES, file_keys
from pipeline_project.domain.vectors.near_duplicates import NearDuplicates, near_duplicates
from pipeline_project.domain.vectors.stored import Floats, unit, unpack

Labels = npt.NDArray[np.int64]

#: One row per case of the night. Sizes count the whole window; `cluster` null means that the case is alone.
CLUSTERS = pa.schema(
    [
        pa.field(NIGHT, pa.string(), nullable=False),
        pa.field(CASE_ID, pa.string(), nullable=False),
        pa.field("cluster", pa.string()),
        pa.field("cluster_size", pa.int64()),
        pa.field("cluster_born", pa.string()),
        pa.field("cluster_customers", pa.int64()),
        pa.field("twin_similarity", pa.float64()),
        pa.field("twin_case", pa.string()),
        pa.field("shared_photo", pa.bool_()),
    ]
)

#: One row per case of the window that is in a cluster, as this night groups it; `came` is the case's own night.
MEMBERS = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in (NIGHT, CASE_ID, "came", "cluster", "cluster_born")]
)

#: Twins are looked for among so many of the latest cases, and always among the night's own.
TWIN_LIMIT = 50_000

# A name passes on only with this share of the smaller of the two groups; a stray member carries none. A third,
# because a group may split in three and still be remembered.
_ENOUGH_OVERLAP = 0.3
# Cases drawn at random come to a mean cosine of 0; groups of the sample's returns to 0.02 at least, of real tickets to
# 0.5.
_STRANGERS = 0.01


@dataclass(frozen=True)
class Tracked:
    """The identity of each case's cluster and the night it was first seen, or None for a case that is alone."""

    ids: list[str | None]
    born: list[str | None]


@dataclass(frozen=True)
class NightGroups:
    """How a night groups its window.

    Attributes:
        clusters: `CLUSTERS`, one row per case of that night, in the order of its embeddings.
        members: `MEMBERS`, the whole window: what a history of clusters is told from.
    """

    clusters: pa.Table
    members: pa.Table


def night_groups(
    night: str,
    window_embeddings: pa.Table,
    subjects: Mapping[str, str | None] | pd.Series,
    earlier: pa.Table | None,
    terms: ClusterTerms,
    twin_limit: int = TWIN_LIMIT,
) -> NightGroups:
    """Groups the window's cases under names that last, and looks for twins of the night's own.

    Args:
        window_embeddings: `embedding.EMBEDDINGS` of this night and those before; nights outside the window and
            vectors of another length than this night's (another encoder) are left out.
        subjects: case id to subject (customer), a mapping or a pandas Series; None or missing is nobody known.
        earlier: `CLUSTERS` of the nights before, or None on the first.
    """
    tonight = window_embeddings.filter(pc.equal(window_embeddings[NIGHT], night))
    window = _window(window_embeddings, night, terms.window_nights)
    case_ids, nights = window[CASE_ID].to_pylist(), window[NIGHT].to_pylist()
    kinds = [_vectors(window, tonight, modality.vector_column) for modality in MODALITIES.values()]
    subject_of = {case: _name(subjects.get(case)) for case in case_ids}

    labels = cluster(centred(*kinds), case_ids, terms)
    tracked = track(labels, case_ids, nights, night, _earlier(earlier, night, terms.window_nights))
    asked = np.array([n == night for n in nights], dtype=bool)
    keys = file_keys(window)
    recent = len(case_ids) - min(len(case_ids), max(twin_limit, int(asked.sum())))
    alike = near_duplicates(unit(np.hstack([kind[recent:] for kind in kinds])), case_ids, subject_of, keys, asked)
    table = clusters_table(night, case_ids, labels, tracked, subject_of, asked, alike)
    order = {case: row for row, case in enumerate(table[CASE_ID].to_pylist())}
    rows = pa.array([order[case] for case in tonight[CASE_ID].to_pylist()], pa.int64())
    return NightGroups(table.take(rows), _members(night, case_ids, nights, tracked))


def _members(night: str, case_ids: Sequence[str], nights: Sequence[str], tracked: Tracked) -> pa.Table:
    rows = [row for row, name in enumerate(tracked.ids) if name is not None]
    columns = {
        NIGHT: [night] * len(rows),
        CASE_ID: [case_ids[row] for row in rows],
        "came": [nights[row] for row in rows],
        "cluster": [tracked.ids[row] for row in rows],
        "cluster_born": [tracked.born[row] for row in rows],
    }
    return pa.table(columns, schema=MEMBERS)


def cluster(vectors: Floats, case_ids: Sequence[str], terms: ClusterTerms, compared: int = COMPARED) -> Labels:
    """Groups of like cases, by density.

    Cases are put in the order of their ids first and the sample is chosen by a hash of the id, so the order of rows
    changes nothing.

    Args:
        vectors: shape (cases, d); a case whose row is zero has nothing to compare and stays alone.
        compared: with how many others each case is compared; up to so many cases, with all of them.

    Returns:
        Shape (cases,): 0, 1, ... and -1 for a case that is alone.
    """
    labels = np.full(len(case_ids), -1, np.int64)
    order = np.array(sorted(range(len(case_ids)), key=lambda row: case_ids[row]), dtype=np.int64)
    order = order[vectors[order].any(axis=1)] if len(order) else order
    if len(order) < terms.minimum_size:
        return labels
    ranks = np.array([_hash(case_ids[row]) for row in order])
    fitted = np.zeros(len(order), dtype=bool)
    fitted[np.argsort(ranks, kind="stable")[: terms.fit_limit]] = True
    short = reduced(vectors[order], fitted, terms.dimensions)
    labels[order] = _of_alike(vectors[order], density_labels(short, fitted, terms.minimum_size, compared))
    return labels


def _of_alike(vectors: Floats, labels: Labels) -> Labels:
    """The groups whose members are alike in all their dimensions, numbered anew.

    What belongs to no group comes out near the middle of the few dimensions that tell the groups apart, and there it is
    as dense as any of them.

    Args:
        vectors: centred, shape (cases, d).
    """
    alike = np.full(len(labels), -1, np.int64)
    number = 0
    for label in range(int(labels.max(initial=-1)) + 1):
        rows = np.flatnonzero(labels == label)
        if _mean_cosine(vectors[rows]) > _STRANGERS:
            alike[rows], number = number, number + 1
    return alike


def _mean_cosine(vectors: Floats) -> float:
    """Over all pairs of different members, each weighed by its lengths; two drawn at random come to 0."""
    count, whole = len(vectors), vectors.sum(axis=0, dtype=np.float64)
    own = float(np.einsum("ij,ij->", vectors, vectors, dtype=np.float64))
    return (float(whole @ whole) - own) / max((count - 1) * own, 1e-12)


def track(labels: Labels, case_ids: Sequence[str], nights: Sequence[str], night: str, earlier: pd.DataFrame) -> Tracked:
    """Gives each group of tonight's window the name it had, where it had one.

    Groups and names are matched by the members they share, as many as possible in total. After a split the part that
    matches best keeps the name and the others get new ones; after a merge the larger name stays. A new name comes
    from the group's oldest case and the night, so a night run twice gives the same.

    Args:
        labels, case_ids, nights: aligned, of the window's cases.
        earlier: case_id, cluster, cluster_born of the window's nights before, in night order.
    """
    groups = _groups(labels, case_ids, nights)
    named = earlier.dropna(subset=["cluster", "cluster_born"]).drop_duplicates("case_id", keep="last")
    names = dict(zip(named["case_id"], named["cluster"], strict=True))
    born = dict(zip(named["cluster"], named["cluster_born"], strict=True))
    held = Counter(names[case] for case in case_ids if case in names)
    inherited = _matched([[names.get(case_ids[row]) for row in members] for members in groups], held)
    used = set(born)
    ids: list[str | None] = [None] * len(case_ids)
    nights_born: list[str | None] = [None] * len(case_ids)
    for place, members in enumerate(groups):
        name = inherited.get(place)
        if name is None:
            name = _new_name(case_ids[members[0]], night, used)
            used.add(name)
        for row in members:
            ids[row], nights_born[row] = name, born.get(name, night)
    return Tracked(ids, nights_born)


def _groups(labels: Labels, case_ids: Sequence[str], nights: Sequence[str]) -> list[list[int]]:
    """The rows of each group, oldest case first, groups by their oldest case: an order that no label decides."""
    by_label: dict[int, list[int]] = {}
    for row in sorted(range(len(case_ids)), key=lambda row: (nights[row], case_ids[row])):
        if labels[row] >= 0:
            by_label.setdefault(int(labels[row]), []).append(row)
    return list(by_label.values())


def _matched(groups: Sequence[Sequence[str | None]], held: Mapping[str, int]) -> dict[int, str]:
    """Which group keeps which name.

    Args:
        groups: of each group, the names its members had before, None for those that are new or were alone.
        held: how many of the window's cases had each name, those that are alone tonight included.
    """
    from scipy.optimize import linear_sum_assignment

    names = sorted(held)
    column = {name: place for place, name in enumerate(names)}
    overlap = np.zeros((len(groups), len(names)))
    for place, group in enumerate(groups):
        for name in group:
            if name is not None:
                overlap[place, column[name]] += 1
    smaller = np.minimum.outer([len(group) for group in groups], [held[name] for name in names])
    overlap[overlap < _ENOUGH_OVERLAP * smaller] = 0
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    return {int(row): names[place] for row, place in zip(rows, columns, strict=True) if overlap[row, place] > 0}


def _new_name(oldest: str, night: str, used: set[str]) -> str:
    digest = hashlib.sha256(f"{oldest}|{night}".encode()).hexdigest()
    return next(name for size in range(6, 65) if (name := f"c-{digest[:size]}") not in used)


def _hash(case_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(case_id.encode(), digest_size=7).digest(), "big")


def clusters_table(
    night: str,
    case_ids: Sequence[str],
    labels: Labels,
    tracked: Tracked,
    subjects: Mapping[str, str | None],
    asked: npt.NDArray[np.bool_],
    alike: NearDuplicates,
) -> pa.Table:
    """The rows of `CLUSTERS` for the cases asked about; everything but `alike` is aligned with the window's cases."""
    members: dict[int, list[str | None]] = {}
    for case, label in zip(case_ids, labels.tolist(), strict=True):
        members.setdefault(label, []).append(subjects.get(case))
    sizes = {label: len(group) for label, group in members.items()}
    customers = {label: len({*group} - {None}) for label, group in members.items()}
    rows = [row for row, wanted in enumerate(asked) if wanted]
    own = {row: int(subjects.get(case_ids[row]) is not None) for row in rows if labels[row] < 0}
    columns = {
        NIGHT: [night] * len(rows),
        CASE_ID: [case_ids[row] for row in rows],
        "cluster": [tracked.ids[row] for row in rows],
        "cluster_size": [1 if row in own else sizes[int(labels[row])] for row in rows],
        "cluster_born": [tracked.born[row] for row in rows],
        "cluster_customers": [own[row] if row in own else customers[int(labels[row])] for row in rows],
        "twin_similarity": alike.similarity.tolist(),
        "twin_case": alike.case,
        "shared_photo": alike.shared_photo.tolist(),
    }
    return pa.table(columns, schema=CLUSTERS)


def _first_night(night: str, window_nights: int) -> str:
    return shifted(night, 1 - window_nights)


def _window(embeddings: pa.Table, night: str, window_nights: int) -> pa.Table:
    """The window's cases, oldest first; a case that came more than once counts on its latest night."""
    first = _first_night(night, window_nights)
    within = pc.and_(pc.greater_equal(embeddings[NIGHT], first), pc.less_equal(embeddings[NIGHT], night))
    window = embeddings.filter(within).sort_by([(NIGHT, "ascending"), (CASE_ID, "ascending")])
    last = {case: row for row, case in enumerate(window[CASE_ID].to_pylist())}
    return window.take(pa.array(sorted(last.values()), pa.int64()))


def _vectors(window: pa.Table, tonight: pa.Table, name: str) -> Floats:
    lengths = pc.unique(pc.binary_length(tonight[name])).drop_null().to_pylist()
    if not lengths:
        lengths = pc.unique(pc.binary_length(window[name])).drop_null().to_pylist()[-1:]
    if not lengths:
        return np.zeros((len(window), 0), np.float32)
    same = pc.equal(pc.binary_length(window[name]), lengths[0])
    return unpack(pc.if_else(same, window[name], pa.scalar(None, pa.binary())), lengths[0] // 2)


def _earlier(clusters: pa.Table | None, night: str, window_nights: int) -> pd.DataFrame:
    names = [CASE_ID, "cluster", "cluster_born"]
    if clusters is None:
        return pd.DataFrame(columns=names, dtype=object)
    first = _first_night(night, window_nights)
    within = pc.and_(pc.greater_equal(clusters[NIGHT], first), pc.less(clusters[NIGHT], night))
    return clusters.filter(within).sort_by(NIGHT).select(names).to_pandas()


def _name(subject: object) -> str | None:
    return None if subject is None or subject is pd.NA or subject != subject else str(subject)
