"""Which new cluster grows as an arranged one would: alike across accounts, and faster than new ones do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.clusters.lineage import ClusterEvent, Kind, by_cluster
from pipeline_project.domain.clusters.similarity import Similarity, Vectors, similarities
from pipeline_project.domain.clusters.terms import ClusterTerms
from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.core.schema import NIGHT
from pipeline_project.domain.vectors.modalities import MODALITIES

#: One row per cluster and night, ended clusters on the night they ended. No case and no account is named in it.
EVENTS = pa.schema(
    [
        pa.field(NIGHT, pa.string(), nullable=False),
        pa.field("cluster", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("others", pa.list_(pa.string())),
        pa.field("born", pa.string()),
        pa.field("members", pa.int64()),
        pa.field("before", pa.int64()),
        pa.field("accounts", pa.int64()),
        pa.field("alike", pa.int64()),
        pa.field("alike_accounts", pa.int64()),
        *(pa.field(modality.similarity_column, pa.float64()) for modality in MODALITIES.values()),
        pa.field("shared_photos", pa.int64()),
        pa.field("chance", pa.float64()),
        pa.field("reported", pa.bool_(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Novelty:
    """A new cluster that grows faster than new ones do.

    Attributes:
        members, accounts: of the whole cluster, in the window.
        growth: cases of the latest nights that are alike across accounts, and `growth_accounts` of how many accounts.
        similarity: by modality, mean cosine between the alike; None where there is nothing to compare.
        shared_photos: photos that more than one account sent.
        chance: that an ordinary new cluster grows so.
    """

    cluster: str
    members: int
    accounts: int
    growth: int
    growth_accounts: int
    similarity: Mapping[str, float | None]
    shared_photos: int
    chance: float


@dataclass(frozen=True)
class ClusterWindow:
    """The window's clustered cases, their vectors, and whose each case is."""

    members: pa.Table
    vectors: Vectors
    subjects: Mapping[str, str | None]


def novelties(
    night: str,
    events: Sequence[ClusterEvent],
    window: ClusterWindow,
    earlier: pa.Table | None,
    terms: ClusterTerms,
) -> tuple[list[Novelty], pa.Table]:
    """The new clusters to be reported tonight, each once in its life, and the night's rows (`EVENTS`).

    A cluster is judged on every night on which it is new, by the cases of the latest nights that are alike across
    accounts: a cluster that only gathers what trickled in for weeks is new and does not grow. What earlier new ones
    reached is the measure, see `chance_of`.

    Args:
        earlier: `EVENTS` of the nights before; None on the first.
    """
    since = shifted(night, 1 - terms.alarm_nights)
    reached = _reached(earlier)
    reported = _reported(earlier)
    latest, _ = by_cluster(window.members.filter(pc.greater_equal(window.members["came"], since)))
    new_clusters, rows = [], []
    for event in events:
        alike = chance = None
        young = event.kind is not Kind.DIED and event.born is not None and event.born >= since
        if young:
            alike = similarities(
                sorted(latest.get(event.cluster, ())), window.subjects, window.vectors, terms.alarm_similarity
            )
            others = [most for name, most in reached.items() if name != event.cluster]
            chance = chance_of(alike.cases, others)
        novelty = None
        if alike is not None and chance is not None and event.cluster not in reported:
            novelty = _novelty(event, alike, chance, terms)
        if novelty is not None:
            new_clusters.append(novelty)
        rows.append(_row(event, alike, chance, novelty is not None))
    return new_clusters, pa.Table.from_pylist(rows, schema=EVENTS)


def chance_of(growth: int, earlier: Sequence[int]) -> float:
    """The chance that an ordinary new cluster grows by at least so much.

    The larger of two answers: the share of earlier new clusters that did, and a Poisson count whose rate is known
    from them alone (gamma prior of mean 1 and weight of one cluster, so that a young history makes no claim that it
    cannot hold up).

    Args:
        earlier: the most that each earlier new cluster reached while it was new.
    """
    from scipy.stats import nbinom

    count = len(earlier)
    share = sum(reached >= growth for reached in earlier) / count if count else 0.0
    rate = nbinom(1 + sum(earlier), (1 + count) / (2 + count))
    return float(max(share, rate.sf(growth - 1)))


def _novelty(event: ClusterEvent, alike: Similarity, chance: float, terms: ClusterTerms) -> Novelty | None:
    if alike.cases < terms.alarm_members or alike.accounts < terms.alarm_accounts or chance > terms.alarm_chance:
        return None
    return Novelty(
        cluster=event.cluster,
        members=event.members,
        accounts=event.accounts,
        growth=alike.cases,
        growth_accounts=alike.accounts,
        similarity=alike.similarity,
        shared_photos=alike.shared_photos,
        chance=chance,
    )


def novelties_of(events: pa.Table) -> list[Novelty]:
    """The clusters that a night's rows (`EVENTS`) say were reported."""
    return [
        Novelty(
            cluster=row["cluster"],
            members=row["members"],
            accounts=row["accounts"],
            growth=row["alike"],
            growth_accounts=row["alike_accounts"],
            similarity={name: row[modality.similarity_column] for name, modality in MODALITIES.items()},
            shared_photos=row["shared_photos"],
            chance=row["chance"],
        )
        for row in events.filter(events["reported"]).to_pylist()
    ]


def _reached(earlier: pa.Table | None) -> dict[str, int]:
    """The most alike cases that each earlier cluster had while it was new."""
    if earlier is None:
        return {}
    frame: pd.DataFrame = earlier.select(["cluster", "alike"]).to_pandas().dropna()
    return {str(name): int(most) for name, most in frame.groupby("cluster")["alike"].max().items()}


def _reported(earlier: pa.Table | None) -> set[str]:
    return set() if earlier is None else set(earlier.filter(earlier["reported"])["cluster"].to_pylist())


def _row(event: ClusterEvent, alike: Similarity | None, chance: float | None, reported: bool) -> dict[str, object]:
    return {
        NIGHT: event.night,
        "cluster": event.cluster,
        "kind": str(event.kind),
        "others": list(event.others),
        "born": event.born,
        "members": event.members,
        "before": event.before,
        "accounts": event.accounts,
        "alike": alike and alike.cases,
        "alike_accounts": alike and alike.accounts,
        **{modality.similarity_column: alike and alike.similarity[name] for name, modality in MODALITIES.items()},
        "shared_photos": alike and alike.shared_photos,
        "chance": chance,
        "reported": reported,
    }
