"""What people look at: the night's page, made from the night's tables."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.common import BOUNDS, key, night_asset
from pipeline_project.domain.clusters.newcomers import Novelty, novelties_of
from pipeline_project.domain.core.errors import PhotoUnreadable
from pipeline_project.domain.core.named_values import costs_told_now
from pipeline_project.domain.core.nights import NightWindow, shifted
from pipeline_project.domain.core.schema import versions_of
from pipeline_project.domain.measures.maturity import Matured
from pipeline_project.domain.reporting.concerns import KINDS, NO_CHAMPION, TELLS_WHY_NONE_DECIDES, concerns_of, key_of
from pipeline_project.domain.reporting.facts import Alert, NightFacts, Versions
from pipeline_project.domain.reporting.index import index_row
from pipeline_project.domain.reporting.page import night_markdown, render_night
from pipeline_project.domain.reporting.summary import summarize
from pipeline_project.partitions import window
from pipeline_project.ports.encoders import Encoders
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.reports import Reports
from pipeline_project.ports.sources import Sources
from pipeline_project.services.as_of import matured_seen, written
from pipeline_project.spec import WorkflowSpec

#: Nights looked back on for outcomes that have become known.
LOOK_BACK = 60


def build_night_report(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """One self-contained page per night."""
    nouns = ["arrivals", "cases", "quarantine", "scores", "decisions"]
    told = ["cluster_events"] * (spec.clusters is not None)
    nouns += ["embeddings"] * spec.encodes + ["clusters"] * (spec.clusters is not None)

    @dg.asset(
        key=key(spec, "night_report"),
        # the page comes last: a night with a page is done, and must not be passed over before it was released
        deps=[key(spec, noun) for noun in (*nouns, *told, "outcomes", "release")],
        **night_asset(spec, {"html"}),
    )
    def night_report(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[Ledger],
        reports: dg.ResourceParam[Reports],
        sources: dg.ResourceParam[Sources],
        encoders: dg.ResourceParam[Encoders],
    ) -> dg.MaterializeResult[None]:
        """Gathers the night's tables, sums them up and writes the page."""
        night = window(spec, context.partition_key)
        for job in ("nightly", "warm_up"):
            ledger.close_alert(spec.name, f"{job}/{night.night}")
        facts = gather(spec, lake, ledger, encoders, night, nouns, _timings(context))
        facts = replace(facts, **_as_decided(context, key(spec, "decisions")))
        report = summarize(spec.report_terms, facts)
        page = render_night(report, _photos(spec, sources))
        address = reports.write(
            spec.report_terms, night.night, page, index_row(report, f"{spec.name}/{night.night}.html")
        )
        return dg.MaterializeResult(
            metadata={
                "page": dg.MetadataValue.url(address),
                "summary": dg.MetadataValue.md(night_markdown(report)),
                "admitted": report.admitted,
                "by_policy": report.by_policy,
                "to_people": report.to_people,
                "shadow_price": report.shadow_price or 0.0,
            }
        )

    return night_report


def gather(
    spec: WorkflowSpec,
    lake: Lake,
    ledger: Ledger,
    encoders: Encoders,
    night: NightWindow,
    nouns: list[str],
    timings: Mapping[str, float],
) -> NightFacts:
    """The night's facts, read from the lake and the ledger."""
    tables = {noun: written(lake, spec, noun, night.night) for noun in nouns}
    arrivals, cases, quarantine, scores, decisions = (
        tables[noun] for noun in ("arrivals", "cases", "quarantine", "scores", "decisions")
    )
    past = matured_seen(spec, lake, ledger, shifted(night.night, -LOOK_BACK), night.night, night.start)
    if not spec.warms_up(night.night):
        _hear(spec, lake, ledger, night.night, decisions, past)
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
        places=spec.policy_terms.places(len(cases)),
        shadow_price=_shadow_price(decisions),
        matured=past,
        timings=timings,
        versions=Versions(
            package=version("pipeline-project"),
            spec_hash=spec.spec_hash,
            model_version=models[0] if models else None,
            model_night=trained[0] if trained else None,
            lake=versions_of(tables.values()),
            encoders=_encoder_versions(spec, encoders),
        ),
        alerts=tuple(
            Alert("warning", f"{alert['message']} (owner {alert['owner']}; next: {alert['next_command']})")
            for alert in ledger.open_alerts()
            if alert["workflow"] == spec.name
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
    found = concerns_of(spec.name, night, reasons, past, matrix.options, matrix.labels)
    if {each.get("kind") for each in ledger.open_alerts() if each["workflow"] == spec.name} & TELLS_WHY_NONE_DECIDES:
        found = [each for each in found if each.kind != NO_CHAMPION]
    for kind in {*KINDS} - {concern.kind for concern in found}:
        ledger.close_alert(spec.name, key_of(kind))
    for each in found:
        ledger.raise_alert(spec.name, each.kind, key_of(each.kind), each.message, spec.owners[0], each.next_command)


def _as_decided(context: dg.AssetExecutionContext, decisions: dg.AssetKey) -> dict[str, Any]:
    """What bounded the decisions, as their own run told it: it cannot be read off the rows."""
    asked = dg.AssetRecordsFilter(decisions, asset_partitions=[context.partition_key])
    found = context.instance.fetch_materializations(asked, limit=1).records
    metadata = found[0].asset_materialization.metadata if found and found[0].asset_materialization else {}
    told = {BOUNDS: metadata.get(BOUNDS), "places": metadata.get("places")}
    values = {name: entry.value for name, entry in told.items() if entry is not None}
    return {name: tuple(value) if name == BOUNDS else value for name, value in values.items()}


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
    versions = {"text": encoders.text(spec).version} if spec.text else {}
    return versions | ({"photos": encoders.image(spec).version} if spec.image else {})


def _timings(context: dg.AssetExecutionContext) -> dict[str, float]:
    """Seconds of the steps of this run that have ended."""
    stats = context.instance.get_run_step_stats(context.run_id)
    return {
        step.step_key.split("__")[-1]: step.end_time - step.start_time
        for step in sorted(stats, key=lambda step: step.start_time or 0)
        if step.start_time and step.end_time
    }


def _photos(spec: WorkflowSpec, sources: Sources) -> Callable[[str], bytes | None] | None:
    if spec.image is None:
        return None
    photos = sources.photos(spec)

    def read(path: str) -> bytes | None:
        try:
            return photos.read(path)
        except PhotoUnreadable:
            return None

    return read
