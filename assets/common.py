"""What every asset of a workflow shares: its group, owners, partitions, retries and the schema it declares."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypedDict

import dagster as dg
import pyarrow as pa

from pipeline_project.domain.core.devices import CPU
from pipeline_project.domain.core.errors import PipelineError
from pipeline_project.domain.intake.due_nights import LANDED, LATE, LATE_AT
from pipeline_project.domain.intake.expectation import Expectation
from pipeline_project.partitions import nights
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.metering import DEVICE_POOL
from pipeline_project.spec import WorkflowSpec


class PassingReasons(dg.RetryPolicy):
    """Tries a step again only where waiting can help, wherever it failed: reading its inputs, in it, or writing."""

    def calculate_delay(self, attempt_num: int) -> float:
        """How long to wait; Dagster asks while it handles what went wrong.

        Raises:
            Failure: a person has to mend it first; with the words of the error.
            KeyboardInterrupt: somebody stops the run, who does not want the step again.
        """
        error = sys.exception()
        if isinstance(error, PipelineError) and not error.passing:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        if isinstance(error, KeyboardInterrupt | dg.DagsterExecutionInterruptedError):
            raise error
        if error is not None and not isinstance(error, PipelineError) and attempt_num > UNKNOWN_AGAIN:
            # what it says stands beside it as the cause; it is none of ours and may quote a row
            tried = f"{type(error).__name__}, {attempt_num} times: no passing reason"
            raise dg.Failure(description=tried, allow_retries=False) from error
        return float(super().calculate_delay(attempt_num))


#: How often a step is tried again for a reason that is none of ours: it may pass, or be a mistake that stays.
UNKNOWN_AGAIN = 3
#: Steps fail for passing reasons (a file still growing, a database restarting): wait longer each time, not in step. Two
#: seconds, then 6, 14, 30: a store or a host that is away for half a minute costs no night.
RETRIES = PassingReasons(max_retries=4, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)

#: The pool of every step that touches a GPU; `concurrency` in dagster.yaml says how many of them run at a time.
GPU = DEVICE_POOL

#: Of the code that fills the tables; raise it when the same input would give other rows.
CODE_VERSION = "1"


def gpu_pool(device: str) -> str | None:
    """The pool of a step that trains or scores on a device.

    None on the processor: to claim a slot and let go of it takes some fifteen statements of SQL a step.
    """
    return None if device == CPU else GPU


class StepArguments(TypedDict):
    """What the step of every asset by night has in common."""

    partitions_def: dg.TimeWindowPartitionsDefinition
    retry_policy: dg.RetryPolicy


class OutputArguments(TypedDict):
    """What every output by night has in common."""

    group_name: str
    owners: list[str]
    kinds: set[str]
    code_version: str
    metadata: dict[str, str]
    tags: dict[str, str]


class AssetArguments(StepArguments, OutputArguments):
    """What every asset by night has in common: one step and its one output."""


def night_step(spec: WorkflowSpec) -> StepArguments:
    return {"partitions_def": nights(spec), "retry_policy": RETRIES}


def night_output(spec: WorkflowSpec, kinds: set[str], code_version: str = CODE_VERSION) -> OutputArguments:
    return {
        "group_name": spec.name,
        "owners": list(spec.owners),
        "kinds": kinds,
        "code_version": code_version,
        "metadata": {"spec_hash": spec.spec_hash},
        "tags": {"workflow": spec.name},
    }


def night_asset(spec: WorkflowSpec, kinds: set[str], code_version: str = CODE_VERSION) -> AssetArguments:
    return {**night_step(spec), **night_output(spec, kinds, code_version)}


def night_outputs(spec: WorkflowSpec, kinds: set[str], described: Mapping[str, str]) -> dict[str, dg.AssetOut]:
    """The outputs of a step that makes several tables of a night, by asset name, with what each holds.

    Where the step has `can_subset`, any of them may be asked for alone and `made_together` leaves none behind.
    """
    common = night_output(spec, kinds)
    return {
        asset_name: dg.AssetOut(key=key(spec, asset_name), description=description, is_required=False, **common)
        for asset_name, description in described.items()
    }


def made_together(
    context: dg.AssetExecutionContext, spec: WorkflowSpec, lake: Lake, made: Iterable[dg.MaterializeResult[pa.Table]]
) -> Iterator[dg.MaterializeResult[pa.Table] | dg.AssetMaterialization]:
    """Every table that a step makes, those its run did not ask for included: one alone would tell of another writing.

    Args:
        made: one result for each output of the step.
    """
    for result in made:
        asset_key = result.asset_key
        if asset_key is None or asset_key in context.selected_asset_keys:
            yield result
            continue
        night = context.partition_key
        version = lake.write_output(spec.name, asset_key.path[-1], night, result.value, spec.spec_hash)
        metadata = {**(result.metadata or {}), "lake_version": version}
        yield dg.AssetMaterialization(asset_key, partition=night, metadata=metadata)


def key(spec: WorkflowSpec, asset_name: str) -> dg.AssetKey:
    return dg.AssetKey([spec.dagster_name, asset_name])


def from_tonight(spec: WorkflowSpec, *asset_names: str) -> dict[str, dg.AssetIn]:
    """The same night of other assets of the workflow."""
    return {asset_name: dg.AssetIn(key(spec, asset_name)) for asset_name in asset_names}


def verdict(expectation: Expectation, severity: dg.AssetCheckSeverity) -> dict[str, Any]:
    """One rule's verdict as the arguments of a check result; rows are counted, never quoted."""
    failed = len(expectation.failed)
    return {
        "passed": expectation.passed,
        "severity": severity,
        "description": expectation.detail or expectation.rule,
        "metadata": {
            "rule": expectation.rule,
            "evaluated": expectation.evaluated,
            "failed": failed,
            "share": failed / expectation.evaluated if expectation.evaluated else 0.0,
        },
    }


def merged(expectations: Sequence[Expectation], asset: dg.AssetKey, name: str) -> dg.AssetCheckResult:
    """Several rules as one check that stops the night when any of them is broken."""
    broken = [e for e in expectations if not e.passed]
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=not broken,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(e.detail or e.rule for e in broken) or "every rule holds",
        metadata={
            "rules": len(expectations),
            "broken": {e.name: len(e.failed) for e in broken},
            "evaluated": max((e.evaluated for e in expectations), default=0),
        },
    )


def counted(reasons: Mapping[str, int]) -> dg.MetadataValue:
    """Counts by reason as a small table."""
    lines = ["| reason | cases |", "|---|---:|", *(f"| {reason} | {n} |" for reason, n in reasons.items())]
    return dg.MetadataValue.md("\n".join(lines) if reasons else "none")


def rows(table: pa.Table) -> int:
    return int(table.num_rows)


def since(context: dg.AssetExecutionContext, landed: str) -> dict[str, str | bool | float]:
    """What the metadata of an intake says of what lay there, and of the intake before: whether something had landed
    between the two, and when something last had."""
    asked = dg.AssetRecordsFilter(context.asset_key, asset_partitions=[context.partition_key])
    before = next(iter(context.instance.fetch_materializations(asked, limit=1).records), None)
    intake = before.asset_materialization if before else None
    metadata = {name: entry.value for name, entry in intake.metadata.items()} if intake else {}
    if before is None or LANDED not in metadata:
        return {LANDED: landed, LATE: False}
    last = before.timestamp if metadata.get(LATE) else metadata.get(LATE_AT)
    when: dict[str, str | bool | float] = {} if last is None else {LATE_AT: float(str(last))}
    return {LANDED: landed, LATE: metadata[LANDED] != landed, **when}
