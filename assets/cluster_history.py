"""What became of the clusters overnight; a new one that grows as an arranged one would is said aloud that night."""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa

from assets.clustering import MEMBERS, subjects_of
from assets.common import key, night_asset, rows
from pipeline_project.domain.clusters.lineage import cluster_events
from pipeline_project.domain.clusters.newcomers import ClusterWindow, Novelty, novelties
from pipeline_project.domain.clusters.similarity import vectors_of
from pipeline_project.domain.core.nights import days_before, shifted
from pipeline_project.partitions import earlier_nights, nights
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.services.as_of import written, written_span
from pipeline_project.spec import WorkflowSpec

#: Days of history that say what ordinary new clusters look like.
LOOK_BACK = 180
#: The check that warns of a new cluster.
CHECK = "no_arranged_cluster"


def build_cluster_events(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """Births, splits, merges and deaths of a night's clusters, and a warning of a new one that grows too fast."""
    terms = spec.cluster_terms
    window = terms.window_nights
    own = key(spec, "cluster_events")

    @dg.asset(
        key=own,
        # whichever table of the step that clusters a run asks for, both are made, and this comes after
        deps=[key(spec, "clusters"), key(spec, MEMBERS), dg.AssetDep(own, partition_mapping=earlier_nights())],
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=own,
                description="No new cluster of cases alike across accounts grows faster than new clusters did.",
                partitions_def=nights(spec),
            )
        ],
        **night_asset(spec, {"deltalake"}),
    )
    def history(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], ledger: dg.ResourceParam[Ledger]
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        """One row per cluster; accounts are counted, never named."""
        night = context.partition_key
        first, after = shifted(night, 1 - window), shifted(night, 1)
        members = written(lake, spec, MEMBERS, night)
        subjects = subjects_of(spec, lake, first, after)
        events = cluster_events(night, members, _last_members(spec, lake, night, window), subjects, window)
        vectors = vectors_of(written_span(lake, spec, "embeddings", first, after), members["case_id"].to_pylist())
        earlier = lake.read_span(spec.name, "cluster_events", days_before(night, LOOK_BACK), night)
        novel, table = novelties(night, events, ClusterWindow(members, vectors, subjects), earlier, terms)
        for novelty in novel:
            ledger.raise_alert(
                spec.name,
                "new_cluster",
                _alert_key(novelty.cluster),
                sentence(novelty),
                spec.owners[0],
                f"pipeline clusters {spec.name} --night {night}",
            )
        for event in events:
            if event.kind == "died":
                ledger.close_alert(spec.name, _alert_key(event.cluster))
        kinds = table["kind"].to_pylist()
        yield dg.MaterializeResult(
            value=table,
            metadata={"rows": rows(table), "reported": len(novel), **{kind: kinds.count(kind) for kind in set(kinds)}},
        )
        yield dg.AssetCheckResult(
            asset_key=own,
            check_name=CHECK,
            passed=not novel,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(sentence(novelty) for novelty in novel) or "no new cluster stands out",
            metadata={"reported": len(novel), "clusters": len(events)},
        )

    return history


def sentence(novelty: Novelty) -> str:
    """What people are told of a new cluster: counts alone."""
    photos = f", {novelty.shared_photos} photos sent by more than one" if novelty.shared_photos else ""
    return (
        f"new cluster {novelty.cluster}: {novelty.growth} recent cases of {novelty.growth_accounts} accounts are alike"
        f"{photos}; {novelty.members} cases in all"
    )


def _alert_key(cluster: str) -> str:
    return f"cluster/{cluster}"


def _last_members(spec: WorkflowSpec, lake: Lake, night: str, window: int) -> pa.Table | None:
    """How the night before grouped its window; where it was never run, the last one within the window that was."""
    for back in range(1, window):
        table = lake.read_night(spec.name, MEMBERS, shifted(night, -back))
        if table is not None:
            return table
    return None
