"""The night seen by somebody else: what the independent checker says of it once it is released."""

from collections.abc import Sequence

import dagster as dg

from assets.common import RETRIES, key
from pipeline_project.domain.core.errors import PipelineError
from pipeline_project.partitions import nights
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.reports import NightChecker
from pipeline_project.reconcile.scope import Link
from pipeline_project.spec import WorkflowSpec

ALERT = "does_not_add_up"


def build_reconciling_check(spec: WorkflowSpec) -> dg.AssetChecksDefinition:
    """Counts a released night again, independently; it stops nothing, and somebody hears of what it finds."""

    @dg.asset_check(
        retry_policy=RETRIES,
        asset=key(spec, "release"),
        name="adds_up",
        partitions_def=nights(spec),
        description="source lines, arrivals, cases, decisions, tasks and actions, counted again independently, agree",
    )
    def adds_up(
        context: dg.AssetCheckExecutionContext,
        checker: dg.ResourceParam[NightChecker],
        ledger: dg.ResourceParam[Ledger],
    ) -> dg.AssetCheckResult:
        night = context.partition_key
        alert, command = f"adds_up/{night}", f"pipeline reconcile {spec.name} --from {night} --to {night}"
        try:
            links = checker.night(spec, night)
            discrepancy = _sentence(links)
        except PipelineError as error:
            # the ground is missing, which says nothing about the night; anything else is a mistake of the checker's own
            links, discrepancy = [], f"the night could not be counted again: {error}; then run `{command}`"
        if discrepancy:
            ledger.raise_alert(spec.name, ALERT, alert, f"{night}: {discrepancy}", spec.owners[0], command)
        else:
            ledger.close_alert(spec.name, alert)
        return dg.AssetCheckResult(
            passed=not discrepancy,
            severity=dg.AssetCheckSeverity.ERROR,
            description=discrepancy or "everything adds up",
            metadata={link.name: f"{link.counted[0]:,} and {link.counted[1]:,}" for link in links},
        )

    return adds_up


def _sentence(links: Sequence[Link]) -> str:
    """What does not add up, as a sentence without a value; empty where everything does."""
    return "; ".join(f"{link.name}: {mismatch.count} {mismatch.words}" for link in links for mismatch in link.breaks)
