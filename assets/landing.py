"""Whether what came in for a night is what was to be expected."""

from collections import Counter
from dataclasses import replace

import dagster as dg

from assets.common import RETRIES, key
from pipeline_project.domain.core.schema import NIGHT
from pipeline_project.domain.deciding.clearance import LANDED_CHECK
from pipeline_project.domain.intake.landing import LANDING, LATE_ALERT, Landed, compared_from, judge
from pipeline_project.partitions import nights
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.sources import Sources
from pipeline_project.services.as_of import stored
from pipeline_project.services.clearance import CheckFinding, leave_verdict
from pipeline_project.spec import WorkflowSpec


def build_landing_check(spec: WorkflowSpec) -> dg.AssetChecksDefinition:
    """Nothing read is not taken for nothing came: compares a night with the spec's `expect` and with other nights."""

    @dg.asset_check(
        retry_policy=RETRIES,
        asset=key(spec, "arrivals"),
        name=LANDED_CHECK,
        blocking=True,
        partitions_def=nights(spec),
        description="as many rows as the spec expects and as nights usually bring, and no file beside them that was "
        "not read; a warning, unless `source.expect.blocks`",
    )
    def landed_as_expected(
        context: dg.AssetCheckExecutionContext,
        sources: dg.ResourceParam[Sources],
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[Ledger],
    ) -> dg.AssetCheckResult:
        night, expected = context.partition_key, replace(spec.source.expect.terms, time_zone=spec.nights.time_zone)
        unread = sources.overlooked(spec, night)
        arrivals = stored(lake, spec, "arrivals", night)
        rows = len(arrivals.rows)
        landed = judge(night, rows, expected, rows_of_earlier(spec, lake, night), unread)
        _update_alerts(spec, ledger, night, landed)
        blocks = bool(expected.blocks and landed.broken)
        if expected.blocks:
            run = context.run.run_id
            finding = CheckFinding(LANDED_CHECK, not blocks, landed.words)
            leave_verdict(spec, ledger, night, run, finding, [arrivals])
        return dg.AssetCheckResult(
            passed=landed.well,
            severity=dg.AssetCheckSeverity.ERROR if blocks else dg.AssetCheckSeverity.WARN,
            description=landed.words,
            metadata=landed.as_metadata(),
        )

    return landed_as_expected


def rows_of_earlier(spec: WorkflowSpec, lake: Lake, night: str) -> dict[str, int]:
    """Rows of the nights just before one, as far as they were taken in."""
    first = compared_from(night)
    earlier = lake.read_span(spec.name, "arrivals", first, night, [NIGHT])
    counts = Counter([] if earlier is None else earlier[NIGHT].to_pylist())
    return {day: counts[day] for day in lake.nights(spec.name, "arrivals") if first <= day < night}


def _update_alerts(spec: WorkflowSpec, ledger: Ledger, night: str, landed: Landed) -> None:
    about = f"{LANDING}/{night}"
    ledger.close_alert(spec.name, f"{LATE_ALERT}/{night}", *([about] if landed.well else []))
    if not landed.well:
        message = f"what came in on {night} is not as expected: {landed.words}"
        ledger.raise_alert(spec.name, LANDING, about, message, spec.owners[0], f"pipeline status {spec.name}")
