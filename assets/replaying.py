"""Candidates against past nights: a replay as an asset, one partition a candidate, so that the UI can start one."""

from datetime import datetime

import dagster as dg

from assets.common import RETRIES, key
from pipeline_project.domain.core.errors import PipelineError
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.core.run_tags import STARTED_BY
from pipeline_project.domain.lifecycle.replay.findings import ReplayResult
from pipeline_project.domain.reporting.replay_page import PageTerms, replay_markdown
from pipeline_project.partitions import window
from pipeline_project.ports.compute import Compute, Workers
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.lifecycle import Replays
from pipeline_project.ports.registry import Registry
from pipeline_project.services.candidates import Candidate, mature_span, named_candidate
from pipeline_project.services.past_nights import keep_replay, run_replay, titles
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.load import load_spec


class ReplaySpan(dg.Config):
    """Which nights are replayed; without any, the latest whose outcomes are in, as many as the gates ask for."""

    first: str = ""
    last: str = ""
    knows_the_future: bool = False


def candidates(spec: WorkflowSpec) -> dg.DynamicPartitionsDefinition:
    """The candidates of a workflow, each named by a slug: v7, v7--cheap_warning, cheap_warning."""
    return dg.DynamicPartitionsDefinition(name=f"{spec.name}_candidates")


def build_replay(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """Past nights decided again by a candidate; in a group of its own, because no night waits for it."""

    @dg.asset(
        key=key(spec, "replay"),
        partitions_def=candidates(spec),
        group_name=f"{spec.name}_replay",
        owners=list(spec.owners),
        kinds={"deltalake", "postgres"},
        retry_policy=RETRIES,
        metadata={"spec_hash": spec.spec_hash},
        tags={"workflow": spec.name},
    )
    def replay(
        context: dg.AssetExecutionContext,
        config: ReplaySpan,
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[Ledger],
        registry: dg.ResourceParam[Registry],
        replays: dg.ResourceParam[Replays],
        compute: dg.ResourceParam[Compute],
    ) -> dg.MaterializeResult[None]:
        """Reads everything as it was known on those nights and writes nothing but its own row and page."""
        now = ledger.now()
        maker = context.run.tags.get(STARTED_BY, "dagster")
        try:
            candidate = named_candidate(spec, registry, context.partition_key, load_spec)
            span = _span(spec, lake, ledger, candidate, config, now)
            result = run_replay(
                spec,
                lake,
                ledger,
                registry,
                candidate,
                span,
                now,
                knows_the_future=config.knows_the_future,
                workers=compute.workers(spec),
            ).result
            number, _ = keep_replay(spec, registry, replays, candidate, result, maker)
        except PipelineError as error:
            # what cannot be replayed now cannot be replayed a minute later either
            raise dg.Failure(description=str(error), allow_retries=False) from error
        return dg.MaterializeResult(metadata=_metadata(spec, candidate, result, replays.address_of(spec.name, number)))

    return replay


def replay_challenger(
    spec: WorkflowSpec,
    lake: Lake,
    ledger: Ledger,
    registry: Registry,
    version: ModelVersion,
    night: str,
    workers: Workers | None = None,
) -> ReplayResult:
    """A challenger on the latest nights before `night` whose outcomes are in and of which it has seen nothing.

    Args:
        workers: as for `run_replay`.

    Raises:
        ReplayRefused: there is no such night.
        ModelUnavailable: its files are gone, changed, or for other labels or features.
    """
    start = window(spec, night).start
    span = mature_span(spec, lake, ledger, night, version.known_before, start)
    candidate = Candidate(f"v{version.version}", version)
    return run_replay(spec, lake, ledger, registry, candidate, span, start, workers=workers).result


def _span(
    spec: WorkflowSpec, lake: Lake, ledger: Ledger, candidate: Candidate, config: ReplaySpan, now: datetime
) -> tuple[str, str]:
    if config.first and config.last:
        return config.first, config.last
    known_before = candidate.model.known_before if candidate.model and not config.knows_the_future else None
    mature = mature_span(spec, lake, ledger, spec.nights.of(now), known_before, now)
    return config.first or mature[0], config.last or mature[1]


def _metadata(spec: WorkflowSpec, candidate: Candidate, result: ReplayResult, page: str) -> dict[str, dg.MetadataValue]:
    terms = PageTerms(spec.title, spec.currency, titles(spec, candidate.policy))
    money = result.money
    metadata: dict[str, dg.MetadataValue] = {
        "page": dg.MetadataValue.url(page),
        "found": dg.MetadataValue.md(replay_markdown(result, terms)),
        "nights": dg.MetadataValue.int(len(result.nights)),
        "cases": dg.MetadataValue.int(result.cases),
        "flipped": dg.MetadataValue.int(result.flipped),
        "asked": dg.MetadataValue.int(result.candidate.asked),
        "effective_sample": dg.MetadataValue.float(result.effective),
        "seconds": dg.MetadataValue.float(result.seconds),
    }
    if money is not None:
        metadata |= {
            "money_per_case": dg.MetadataValue.float(money.value),
            "money_low": dg.MetadataValue.float(money.low),
            "money_high": dg.MetadataValue.float(money.high),
        }
    return metadata
