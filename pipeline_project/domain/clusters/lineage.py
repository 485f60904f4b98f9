"""What happened to clusters from one night to the next, and which came from which."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.core.schema import CASE_ID

# Of the smaller of two clusters this share must be in the other before one is said to come from it; the share with
# which a name passes on (`clustering.track`).
_KIN = 0.3


class Kind(StrEnum):
    """What a night did to a cluster; where several things happened, the first of this list that fits."""

    BORN = "born"
    SPLIT = "split"
    RENAMED = "renamed"
    RETURNED = "returned"
    MERGED = "merged"
    GREW = "grew"
    SHRANK = "shrank"
    SAME = "same"
    DIED = "died"


@dataclass(frozen=True)
class ClusterEvent:
    """What a night did to one cluster.

    Attributes:
        others: of a split or a new name where it came from, of a merge what it took in, of a death where its members
            went; most shared members first.
        members, before: cases in the window, tonight and the night before; 0 where the cluster was not.
        accounts: distinct subjects among them.
    """

    night: str
    kind: Kind
    cluster: str
    others: tuple[str, ...]
    members: int
    accounts: int
    before: int = 0
    born: str | None = None


def cluster_events(
    night: str,
    members: pa.Table,
    before: pa.Table | None,
    subjects: Mapping[str, str | None],
    window_nights: int,
) -> list[ClusterEvent]:
    """What became of every cluster since the night before, by name.

    Args:
        members: `clustering.MEMBERS` of this night.
        before: the same of the last night that was clustered; None on the first.
        subjects: case id to account; None or missing is nobody known.
        window_nights: cases older than the window have left for their age, and tell nothing of where a cluster went.
    """
    tonight, born = by_cluster(members)
    first = shifted(night, 1 - window_nights)
    names, _ = ({}, {}) if before is None else by_cluster(before)
    staying = {} if before is None else by_cluster(before.filter(pc.greater_equal(before["came"], first)))[0]
    events = []
    for name in sorted(tonight):
        kind, others = _event_kind(name, born[name] == night, tonight, staying, names.keys())
        accounts = len({subjects.get(case) for case in tonight[name]} - {None})
        was = len(names.get(name, ()))
        if kind is Kind.SAME and was != len(tonight[name]):
            kind = Kind.GREW if was < len(tonight[name]) else Kind.SHRANK
        events.append(ClusterEvent(night, kind, name, others, len(tonight[name]), accounts, was, born[name]))
    for name in sorted(names.keys() - tonight.keys()):
        heirs = _kin(staying.get(name, frozenset()), tonight)
        events.append(ClusterEvent(night, Kind.DIED, name, heirs, 0, 0, len(names[name])))
    return events


def _event_kind(
    name: str,
    first_seen: bool,
    tonight: Mapping[str, frozenset[str]],
    before: Mapping[str, frozenset[str]],
    names: AbstractSet[str],
) -> tuple[Kind, tuple[str, ...]]:
    if name in names:
        ended = {other: cases for other, cases in before.items() if other not in tonight}
        # taken in whole, or nearly: a member or two of a cluster that fell apart is no merger
        absorbed = tuple(o for o in _kin(tonight[name], ended) if 2 * len(ended[o] & tonight[name]) >= len(ended[o]))
        return (Kind.MERGED, absorbed) if absorbed else (Kind.SAME, ())
    parents = _kin(tonight[name], before)
    if parents and parents[0] not in tonight and _kin(before[parents[0]], tonight)[0] == name:
        return Kind.RENAMED, parents
    if parents:
        return Kind.SPLIT, parents
    return (Kind.BORN if first_seen else Kind.RETURNED), ()


def _kin(cases: frozenset[str], clusters: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """The clusters that share enough members, the most first."""
    shared = {name: len(cases & held) for name, held in clusters.items()}
    near = [
        name for name, held in clusters.items() if shared[name] and shared[name] >= _KIN * min(len(cases), len(held))
    ]
    return tuple(sorted(near, key=lambda name: (-shared[name], name)))


def by_cluster(members: pa.Table) -> tuple[dict[str, frozenset[str]], dict[str, str]]:
    """Case ids by cluster, and the night each was born."""
    cases: dict[str, set[str]] = {}
    columns = (members[name].to_pylist() for name in (CASE_ID, "cluster", "cluster_born"))
    born = {}
    for case, cluster, night in zip(*columns, strict=True):
        cases.setdefault(cluster, set()).add(case)
        born[cluster] = night
    return {name: frozenset(held) for name, held in cases.items()}, born
