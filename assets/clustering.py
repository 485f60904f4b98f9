"""Which cases of the last nights are alike, under names that stay the same from night to night."""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa

from assets.common import key, made_together, night_outputs, night_step, rows
from pipeline_project.domain.clusters.clustering import night_groups
from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.core.schema import CASE_ID, Role
from pipeline_project.partitions import earlier_nights
from pipeline_project.ports.lake import Lake
from pipeline_project.spec import WorkflowSpec

#: The asset of every night's whole window, made with the night's own rows.
MEMBERS = "cluster_members"


def build_clusters(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """Groups of similar cases over a window of nights, and each case's nearest twin of another customer."""
    terms = spec.cluster_terms
    before = earlier_nights(max(1, terms.window_nights - 1))
    own = key(spec, "clusters")
    described = {
        "clusters": "One row per case of the night; identities are matched against the nights before.",
        MEMBERS: "Who is in which cluster over the whole window: a history needs to know who left one, and for which.",
    }

    @dg.multi_asset(
        name=f"{spec.name}__clusters",
        deps=[
            key(spec, "cases"),
            key(spec, "embeddings"),
            dg.AssetDep(own, partition_mapping=before),
        ],
        outs=night_outputs(spec, {"deltalake", "scikitlearn"}, described),
        can_subset=True,
        **night_step(spec),
    )
    def clusters(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]
    ) -> Iterator[dg.MaterializeResult[pa.Table] | dg.AssetMaterialization]:
        """Groups the cases of the window, and keeps the night's own and all of them."""
        night = context.partition_key
        first, after = shifted(night, 1 - terms.window_nights), shifted(night, 1)
        vectors = lake.read_span(spec.name, "embeddings", first, after)
        subjects = subjects_of(spec, lake, first, after)
        earlier = lake.read_span(spec.name, "clusters", first, night)
        groups = night_groups(night, vectors, subjects, earlier, terms)
        table = groups.clusters
        named = {cluster for cluster in table["cluster"].to_pylist() if cluster}
        born = {
            c
            for c, b in zip(table["cluster"].to_pylist(), table["cluster_born"].to_pylist(), strict=True)
            if c and b == night
        }
        own_rows = dg.MaterializeResult(
            asset_key=own,
            value=table,
            metadata={
                "rows": rows(table),
                "clusters": len(named),
                "born_tonight": len(born),
                "alone": table["cluster"].null_count,
                "photos_shared": sum(bool(shared) for shared in table["shared_photo"].to_pylist()),
            },
        )
        window_rows = dg.MaterializeResult(
            asset_key=key(spec, MEMBERS), value=groups.members, metadata={"rows": rows(groups.members)}
        )
        yield from made_together(context, spec, lake, [own_rows, window_rows])

    return clusters


def subjects_of(spec: WorkflowSpec, lake: Lake, first: str, before: str) -> dict[str, str | None]:
    """Whose case each is, over the window."""
    subject = spec.case_schema.by_role(Role.SUBJECT)
    if subject is None:
        return {}
    cases = lake.read_span(spec.name, "cases", first, before, [CASE_ID, subject.name])
    return {} if cases is None else dict(zip(cases[CASE_ID].to_pylist(), cases[subject.name].to_pylist(), strict=True))
