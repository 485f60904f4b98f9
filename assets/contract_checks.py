"""Great Expectations over what the pipeline itself writes: each rule a check, and one that stops the night."""

from collections.abc import Callable, Iterator

import dagster as dg
import pyarrow as pa

from assets.common import RETRIES, key, merged, verdict
from pipeline_project.partitions import nights
from pipeline_project.ports.contracts import Contract, Contracts
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.services.as_of import stored
from pipeline_project.services.clearance import CheckFinding, leave_verdict
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.output_contract import AssetName, output_rules

#: The contract of one night, whose cases are given.
ContractOf = Callable[[Contracts, pa.Table, str], Contract]


def build_contract_checks(
    spec: WorkflowSpec, asset_name: AssetName, contract_of: ContractOf
) -> dg.AssetChecksDefinition:
    """One check per rule over a table, and `<table>_contract`, which keeps the night from going on.

    Only that last check blocks: a blocking check that fails ends the step, and the other verdicts would be lost.

    Args:
        contract_of: the contract of one night.
    """
    asset, rules = key(spec, asset_name), output_rules(spec, asset_name)

    def declared(name: str, rule: str, blocking: bool = False) -> dg.AssetCheckSpec:
        return dg.AssetCheckSpec(name, asset=asset, description=rule, blocking=blocking, partitions_def=nights(spec))

    @dg.multi_asset_check(
        retry_policy=RETRIES,
        name=f"{spec.name}__{asset_name}_contract",
        specs=[
            *(declared(name, rule) for name, rule in rules.items()),
            declared(f"{asset_name}_contract", "every rule over the table holds", blocking=True),
        ],
    )
    def contract_checks(
        context: dg.AssetCheckExecutionContext,
        contracts: dg.ResourceParam[Contracts],
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[Ledger],
    ) -> Iterator[dg.AssetCheckResult]:
        night = context.partition_key
        table, cases = stored(lake, spec, asset_name, night), stored(lake, spec, "cases", night)
        verdicts = contract_of(contracts, cases.rows, night).validate(table.rows.to_pandas())
        for check in verdicts:
            arguments = verdict(check, dg.AssetCheckSeverity.ERROR)
            yield dg.AssetCheckResult(asset_key=asset, check_name=check.name, **arguments)
        whole = merged(verdicts, asset, f"{asset_name}_contract")
        judged = CheckFinding(f"{asset_name}_contract", whole.passed, whole.description or "")
        leave_verdict(spec, ledger, night, context.run.run_id, judged, [table, cases])
        yield whole

    return contract_checks
