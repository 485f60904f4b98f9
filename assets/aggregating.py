"""What was known of a case beyond its own row when it was decided: of its customer, its article, its machine."""

import dagster as dg
import pyarrow as pa

from assets.common import key, night_asset, rows
from pipeline_project.partitions import earlier_nights, window
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.sources import Sources
from pipeline_project.services.aggregating import AGGREGATES, night_aggregates
from pipeline_project.spec import WorkflowSpec


def build_aggregates(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """Counts, sums, shares and trends over earlier rows, as known when the night began; kept, never made anew."""

    @dg.asset(
        key=key(spec, AGGREGATES),
        deps=[
            key(spec, "cases"),
            *([key(spec, "embeddings")] if spec.encodes else []),
            dg.AssetDep(key(spec, "outcomes"), partition_mapping=earlier_nights()),
        ],
        **night_asset(spec, {"deltalake"}),
    )
    def aggregates(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[Ledger],
        sources: dg.ResourceParam[Sources],
    ) -> dg.MaterializeResult[pa.Table]:
        """One row per case; training, scoring and replay all read what stands here."""
        made = night_aggregates(spec, lake, ledger, sources, window(spec, context.partition_key))
        return dg.MaterializeResult(
            value=made.rows,
            metadata={
                "rows": rows(made.rows),
                "features": len(spec.feature_plan.kept),
                "series_rows_unusable": dict(made.unusable),
            },
        )

    return aggregates
