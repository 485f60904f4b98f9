"""What people look at: the night's page, made from the night's tables."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import dagster as dg
import pyarrow as pa

from assets.common import key, night_asset
from assets.decisions import BOUNDED_BY
from assets.inference import ENCODING
from pipeline_project.domain.clusters.newcomers import Novelty, novelties_of
from pipeline_project.domain.core.devices import CPU
from pipeline_project.domain.core.errors import PhotoUnreadable
from pipeline_project.domain.core.named_values import costs_told_now
from pipeline_project.domain.core.nights import NightWindow, days_before
from pipeline_project.domain.core.schema import NIGHT
from pipeline_project.domain.core.stored_tables import StoredTable, versions_of
from pipeline_project.domain.deciding.sentences import NightBounds
from pipeline_project.domain.intake.lookups.terms import REOPENED
from pipeline_project.domain.measures.maturity import Matured
from pipeline_project.domain.reporting.concerns import KINDS, NO_CHAMPION, TELLS_WHY_NONE_DECIDES, concerns_of, key_of
from pipeline_project.domain.reporting.facts import Alert, EncodedAndReused, NightFacts, Versions
from pipeline_project.domain.reporting.index import index_row
from pipeline_project.domain.reporting.page import night_markdown, render_night
from pipeline_project.domain.reporting.summary import NightReport, summarize
from pipeline_project.domain.reporting.timings import latest_timings, step_times, timings_table
from pipeline_project.domain.vectors.modalities import MODALITIES
from pipeline_project.partitions import window
from pipeline_project.ports.encoders import Encoders
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.metering import DEVICE_POOL, Meter, StepProcessor
from pipeline_project.ports.reports import Reports
from pipeline_project.ports.sources import Sources
from pipeline_project.services.as_of import matured_seen, stored
from pipeline_project.spec import WorkflowSpec

#: Days looked back on for outcomes that have become known.
LOOK_BACK = 60


def build_night_report(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """One self-contained page per night."""
    asset_names = ["arrivals", "cases", "quarantine", "scores", "decisions"]
    event_tables = ["cluster_events"] * (spec.clusters is not None) + [REOPENED] * spec.joins
    asset_names += ["embeddings"] * spec.encodes + ["clusters"] * (spec.clusters is not None)

    @dg.asset(
        key=key(spec, "night_report"),
        # the page comes last: a night with a page is done, and must not be passed over before it was released
        deps=[key(spec, asset_name) for asset_name in (*asset_names, *event_tables, BOUNDED_BY, "outcomes", "release")],
        **night_asset(spec, {"html", "deltalake"}),
    )
    def night_report(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[Ledger],
        reports: dg.ResourceParam[Reports],
        sources: dg.ResourceParam[Sources],
        encoders: dg.ResourceParam[Encoders],
        meter: dg.ResourceParam[Meter],
    ) -> dg.MaterializeResult[pa.Table]:
        """Gathers what is kept of the night, sums it up and writes the page; keeps how long the night's steps took."""
        night = window(spec, context.partition_key)
        ledger.close_alert(spec.name, *(f"{job}/{night.night}" for job in ("nightly", "warm_up")))
        timings = latest_timings(
            lake.read_night(spec.name, "night_report", night.night), _of_run(context, night.night, meter)
        )
        facts = gather(NightStores(spec, lake, ledger, encoders), night, asset_names, timings)
        report = summarize(spec.report_terms, facts)
        page = render_night(report, _photos(spec, sources))
        address = reports.write(
            spec.report_terms, night.night, page, index_row(report, f"{spec.name}/{night.night}.html")
        )
        return dg.MaterializeResult(
            value=timings,
            metadata={
                "page": dg.MetadataValue.url(address),
                "summary": dg.MetadataValue.md(night_markdown(report)),
                "admitted": report.admitted,
                "by_policy": report.by_policy,
                "to_people": report.to_people,
                "shadow_price": report.shadow_price or 0.0,
                **_machine(report),
            },
        )

    return night_report


@dataclass(frozen=True)
class NightStores:
    """What a night's page is gathered from."""

    spec: WorkflowSpec
    lake: Lake
    ledger: Ledger
    encoders: Encoders


def gather(stores: NightStores, night: NightWindow, asset_names: list[str], timings: pa.Table) -> NightFacts:
    """The night's facts, read from the lake and the ledger.

    Args:
        timings: `timings.TIMINGS` of the night.
    """
    spec, lake, ledger = stores.spec, stores.lake, stores.ledger
    read = {asset_name: stored(lake, spec, asset_name, night.night) for asset_name in asset_names}
    tables = {asset_name: table.rows for asset_name, table in read.items()}
    arrivals, cases, quarantine, scores, decisions = (
        tables[asset_name] for asset_name in ("arrivals", "cases", "quarantine", "scores", "decisions")
    )
    past = matured_seen(spec, lake, ledger, days_before(night.night, LOOK_BACK), night.night, night.start)
    if not spec.warms_up(night.night):
        _hear(spec, lake, ledger, night.night, decisions, past)
    bounds = NightBounds.of(lake.read_night(spec.name, BOUNDED_BY, night.night))
    models, trained = (list(filter(None, scores[name].to_pylist())) for name in ("model_version", "model_night"))
    return NightFacts(
        night=night.night,
        arrivals=len(arrivals),
        cases=cases,
        quarantine=quarantine,
        duplicates=len(arrivals) - len(cases) - len(quarantine),
        embeddings=tables.get("embeddings"),
        clusters=tables.get("clusters"),
        newcomers=_newcomers(spec, lake, night.night),
        scores=scores,
        decisions=None if spec.warms_up(night.night) else costs_told_now(decisions, spec.cost_matrix.options),
        places=spec.policy_terms.places(len(cases)) if bounds is None else bounds.places,
        bounds=() if bounds is None else bounds.sentences,
        shadow_price=_shadow_price(decisions),
        matured=past,
        timings=step_times(timings),
        encoding=_encoding(lake, read.get("embeddings")),
        versions=Versions(
            package=version("pipeline-project"),
            spec_hash=spec.spec_hash,
            model_version=models[0] if models else None,
            model_night=trained[0] if trained else None,
            lake=versions_of(read.values()),
            encoders=_encoder_versions(spec, stores.encoders),
        ),
        alerts=tuple(
            Alert("warning", f"{alert.message} (owner {alert.owner}; next: {alert.next_command})")
            for alert in ledger.open_alerts()
            if alert.workflow == spec.name
        ),
    )


def _hear(
    spec: WorkflowSpec,
    lake: Lake,
    ledger: Ledger,
    night: str,
    decisions: pa.Table,
    past: Matured | None,
) -> None:
    """Raises what the newest night shows as alerts, and closes what it does not show any more."""
    if night != max(lake.nights(spec.name, "decisions")):
        return
    matrix = spec.cost_matrix
    reasons = decisions["reason"].to_pylist()
    if not reasons:
        return
    concerns = concerns_of(spec.name, night, reasons, past, matrix.options, matrix.labels)
    if {alert.kind for alert in ledger.open_alerts() if alert.workflow == spec.name} & TELLS_WHY_NONE_DECIDES:
        concerns = [concern for concern in concerns if concern.kind != NO_CHAMPION]
    ledger.close_alert(spec.name, *map(key_of, sorted({*KINDS} - {concern.kind for concern in concerns})))
    for concern in concerns:
        ledger.raise_alert(
            spec.name, concern.kind, key_of(concern.kind), concern.message, spec.owners[0], concern.next_command
        )


def _newcomers(spec: WorkflowSpec, lake: Lake, night: str) -> tuple[Novelty, ...]:
    """The new clusters that were reported; none where the workflow has no clusters."""
    events = lake.read_night(spec.name, "cluster_events", night) if spec.clusters else None
    return () if events is None else tuple(novelties_of(events))


def _shadow_price(decisions: pa.Table) -> float:
    """What one more place would have saved: the largest benefit among the cases that found none."""
    turned_away = [
        benefit
        for reason, benefit in zip(decisions["reason"].to_pylist(), decisions["benefit"].to_pylist(), strict=True)
        if reason == "no_place_left" and benefit is not None
    ]
    return max(turned_away, default=0.0)


def _encoder_versions(spec: WorkflowSpec, encoders: Encoders) -> dict[str, str]:
    return {MODALITIES[name].feature: encoders.version(spec, MODALITIES[name]) for name in spec.encoders}


def _of_run(context: dg.AssetExecutionContext, night: str, meter: Meter) -> pa.Table:
    """What the steps of this run took that have ended, as `TIMINGS`; other processes' were not measured here."""
    processor = meter.steps(context.run.run_id)
    defined = {node.name: node.definition for node in context.job_def.nodes}
    on_device = (
        {name for name, op in defined.items() if isinstance(op, dg.OpDefinition) and op.pool == DEVICE_POOL}
        if meter.device != CPU
        else set()
    )
    return timings_table(
        {
            NIGHT: night,
            "step": step.step_key.split("__")[-1],
            "began": datetime.fromtimestamp(step.start_time, UTC),
            "seconds": step.end_time - step.start_time,
            **_measured(
                processor.get(step.step_key),
                step.end_time - step.start_time if step.step_key in on_device else 0.0,
            ),
        }
        for step in context.instance.get_run_step_stats(context.run.run_id)
        if step.start_time and step.end_time
    )


def _measured(processor: StepProcessor | None, device: float) -> dict[str, float | bool | None]:
    return {
        "processor": None if processor is None else processor.seconds,
        "device": device,
        "shared": processor is not None and processor.shared,
    }


def _encoding(lake: Lake, embeddings: StoredTable | None) -> dict[str, EncodedAndReused] | None:
    """What the night encoded, as it stands beside its vectors; None where it has none, or was written before that."""
    if embeddings is None or embeddings.content is None:
        return None
    workflow, asset_name = embeddings.name.split("/")
    kept = lake.note(workflow, asset_name, embeddings.content).get(ENCODING)
    return None if kept is None else {what: EncodedAndReused(*work) for what, work in json.loads(kept).items()}


def _machine(report: NightReport) -> dict[str, float]:
    """What the night took and cost, as far as it was measured and is priced."""
    machine, decisions = report.machine, report.by_policy + report.to_people
    figures = {
        "night_processor_seconds": machine.processor,
        "night_device_seconds": machine.device,
        "night_cost": machine.cost,
        "cost_of_a_decision": machine.cost_of_each(decisions),
    }
    return {name: value for name, value in figures.items() if value is not None}


def _photos(spec: WorkflowSpec, sources: Sources) -> Callable[[str], bytes | None] | None:
    if not spec.reads_files:
        return None
    photos = sources.photos(spec)

    def read(path: str) -> bytes | None:
        try:
            return photos.read(path)
        except PhotoUnreadable:
            return None

    return read
