"""The reference tables that a night's cases are looked up in, as they were known then."""

import dagster as dg
import pyarrow as pa

from assets.common import key, night_asset
from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.intake.lookups.late import LATE_ROWS, Reopened
from pipeline_project.domain.intake.lookups.terms import LOOKUPS, REOPENED
from pipeline_project.partitions import window
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.sources import Sources
from pipeline_project.services.lookups import is_first, kept_of_night, reopened_by, take_in
from pipeline_project.spec import WorkflowSpec

_LISTED = 50


def build_lookups(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """Which version of each reference table a night rests on; its rows are kept by content."""

    @dg.asset(key=key(spec, LOOKUPS), deps=[key(spec, "arrivals")], **night_asset(spec, {"deltalake"}))
    def lookups(
        context: dg.AssetExecutionContext, sources: dg.ResourceParam[Sources], lake: dg.ResourceParam[Lake]
    ) -> dg.MaterializeResult[pa.Table]:
        """A row per version: the first one that the night read, and later ones for what was unclear in it."""
        night = window(spec, context.partition_key)
        try:
            read = sources.lookups(spec).read(night, first=is_first(spec, lake, night.night))
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


def build_reopened(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """The decided cases that rows which came late to a joined table would look up otherwise."""

    @dg.asset(key=key(spec, REOPENED), deps=[key(spec, LOOKUPS)], **night_asset(spec, {"deltalake"}))
    def reopened(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], ledger: dg.ResourceParam[Ledger]
    ) -> dg.MaterializeResult[pa.Table]:
        """A row per case and field that would change. They keep their decisions; the owner is told."""
        night = context.partition_key
        marked = reopened_by(spec, lake, night)
        reopening = Reopened.of(night, marked)
        alert = f"{REOPENED}/{night}"
        if reopening.nights:
            message = reopening.sentence(f"{spec.name}/{REOPENED}")
            command = f"pipeline recall {spec.name} --night {reopening.nights[0]}"
            ledger.raise_alert(spec.name, LATE_ROWS, alert, message, spec.owners[0], command)
        else:
            ledger.close_alert(spec.name, alert)
        cases = [f"- {case} of {of}" for case, of in sorted(reopening.case_nights.items())]
        return dg.MaterializeResult(
            value=marked,
            metadata={
                "rows": len(marked),
                "cases": len(cases),
                "which": dg.MetadataValue.md("\n".join(cases[:_LISTED]) or "none"),
            },
        )

    return reopened
