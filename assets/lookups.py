"""The reference tables that a night's cases are looked up in, as they were known then."""

import dagster as dg
import pyarrow as pa

from assets.common import key, night_asset
from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.intake.lookups.terms import LOOKUPS
from pipeline_project.partitions import window
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.sources import Sources
from pipeline_project.services.lookups import kept_of_night, take_in
from pipeline_project.spec import WorkflowSpec


def build_lookups(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """Which version of each reference table a night rests on; its rows are kept by content."""

    @dg.asset(key=key(spec, LOOKUPS), deps=[key(spec, "arrivals")], **night_asset(spec, {"deltalake"}))
    def lookups(
        context: dg.AssetExecutionContext, sources: dg.ResourceParam[Sources], lake: dg.ResourceParam[Lake]
    ) -> dg.MaterializeResult[pa.Table]:
        """A row per version: the first one that the night read, and later ones for what was unclear in it."""
        night = window(spec, context.partition_key)
        try:
            read = sources.lookups(spec).read(night)
        except SourceUnreadable as error:
            if kept_of_night(spec, lake, night.night) is None:
                raise
            context.log.warning("%s; the night keeps the tables that it read before", error)
            read = {}
        versions = take_in(spec, lake, night.night, read)
        record = versions.record
        return dg.MaterializeResult(
            value=record,
            metadata={
                "rows": len(record),
                "tables": dg.MetadataValue.md(
                    "\n".join(
                        f"- {row['lookup']}, version {row['version']}: {row['rows']:,} rows, {row['content'][:12]}, "
                        f"kept since {row['kept_in']}"
                        for row in record.to_pylist()
                    )
                ),
                "rows_kept": len(versions.rows),
            },
        )

    return lookups
