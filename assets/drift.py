"""What a night was like, against what its champion learned from; and what is asked for when it is no longer alike."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from assets.common import RETRIES, key, night_asset
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.core.nights import days_before, shifted
from pipeline_project.domain.core.schema import CASE_ID, NIGHT
from pipeline_project.domain.lifecycle.drift.outcomes import matured_on
from pipeline_project.domain.lifecycle.drift.recorded import RecordedSignal
from pipeline_project.domain.lifecycle.drift.signals import (
    DRIFT_KINDS,
    Beside,
    PastNight,
    Promised,
    Severity,
    Signal,
    asked_nights,
    breached_names,
    check_of,
    closes_policy,
    signals_of,
)
from pipeline_project.domain.lifecycle.drift.sketch import Sketch, sketch_night
from pipeline_project.partitions import nights, window
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.lifecycle import PolicyState, Quality
from pipeline_project.services.as_of import written
from pipeline_project.spec import WorkflowSpec

#: One alert per workflow; it closes when the last nights were quiet.
DRIFT_ALERT = "drift"

#: A night whose outcomes are not in after so long is not waited for.
LONGEST_WAIT = 366


def build_drift(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """The sketch of each night and its signals; a breach on enough nights asks for a training, once."""
    asset_names = ["cases", *(["embeddings"] if spec.encodes else []), *(["clusters"] if spec.clusters else [])]

    @dg.asset(
        key=key(spec, "drift"),
        deps=[key(spec, asset_name) for asset_name in (*asset_names, "scores", "decisions", "outcomes")],
        **night_asset(spec, {"postgres"}),
    )
    def drift(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[Ledger],
        quality: dg.ResourceParam[Quality],
        live: dg.ResourceParam[PolicyState],
    ) -> dg.MaterializeResult[None]:
        """The nights that the champion learned from are the reference; without one a night is only sketched."""
        night, run, terms = context.partition_key, context.run.run_id, spec.drift
        champion = None if spec.warms_up(night) else ledger.champion(spec.name, night)
        tonight = PastNight(night, champion.version if champion else None, _sketch(spec, lake, ledger, night))
        quality.put_sketch(spec.name, tonight)
        if champion is None:
            return dg.MaterializeResult(metadata={"cases": tonight.sketch.cases, "judged": False})
        signals = _signals(spec, quality, champion, tonight)
        quality.record_signals(spec.name, night, run, signals)
        asked = asked_nights(quality.history(spec.name), terms)
        there = {request.night for request in quality.requests(spec.name)}
        if closes_policy(asked.get(night), terms) and night not in there:
            # before the request: a run that dies between the two closes again, rather than never
            live.close(spec.name, night, asked[night], "drift")
        # a night that is run late may complete the breaches of nights after it
        later = [asked_night for asked_night in sorted(asked) if asked_night >= night]
        new = [n for n in later if quality.ask_training(spec.name, n, asked[n], terms.cooldown_nights, run)]
        _update_alert(spec, ledger, quality, night, asked.get(night) if night in new else None)
        return dg.MaterializeResult(metadata=_metadata(tonight.sketch, signals, asked.get(night)))

    return drift


def _sketch(spec: WorkflowSpec, lake: Lake, ledger: Ledger, night: str) -> Sketch:
    """A night's sketch, and the outcomes of the nights that became mature on it."""
    tonight = window(spec, night)
    waiting = lake.read_span(spec.name, "cases", days_before(night, LONGEST_WAIT), shifted(night, 1), [NIGHT, CASE_ID])
    before, after = (ledger.outcomes_known(spec.name, moment) for moment in (tonight.start, tonight.end))
    return sketch_night(
        night,
        written(lake, spec, "cases", night),
        spec.case_schema,
        lake.read_night(spec.name, "embeddings", night) if spec.encodes else None,
        lake.read_night(spec.name, "clusters", night) if spec.clusters else None,
        None if spec.warms_up(night) else lake.read_night(spec.name, "scores", night),
        matured_on(waiting, before, after, spec.outcome.mature_share),
    )


def _signals(spec: WorkflowSpec, quality: Quality, champion: ModelVersion, tonight: PastNight) -> list[Signal]:
    terms, night = spec.drift, tonight.night
    learned_before = min(champion.known_before, night)
    accuracy = champion.metrics.get("accuracy")
    return signals_of(
        Beside(
            tonight.sketch,
            reference=quality.sketches(spec.name, shifted(learned_before, -terms.reference_nights), learned_before),
            own=quality.sketches_of(spec.name, champion.version, night, terms.reference_nights),
            recent=quality.sketches(spec.name, shifted(night, 1 - terms.of_nights), night),
            promised=Promised(None if accuracy is None else 1 - accuracy, spec.rollout.slack),
            terms=terms,
        )
    )


def _update_alert(spec: WorkflowSpec, ledger: Ledger, quality: Quality, night: str, asked: str | None) -> None:
    """An alert when a training is asked for; it closes when the last nights were quiet."""
    if asked is not None:
        command = f"pipeline drift {spec.name} --night {night}"
        ledger.raise_alert(spec.name, "drift", DRIFT_ALERT, f"{night}: {asked}", spec.owners[0], command)
        return
    first = shifted(night, 1 - spec.drift.of_nights)
    recent = [names for past_night, names in quality.history(spec.name).items() if first <= past_night <= night]
    if not any(recent):
        ledger.close_alert(spec.name, DRIFT_ALERT)


def _metadata(sketch: Sketch, signals: Sequence[Signal], asked: str | None) -> dict[str, Any]:
    lines = ["| signal | value | noise | threshold | breached |", "|---|---:|---:|---:|---|"]
    lines += [f"| {s.name} | {s.value:.3f} | {s.noise:.3f} | {s.threshold:g} | {s.severity} |" for s in signals]
    return {
        "cases": sketch.cases,
        "judged": bool(signals),
        "breached": breached_names(signals),
        "signals": dg.MetadataValue.md("\n".join(lines) if signals else "none"),
        "training": asked or "not asked for",
    }


def build_drift_checks(spec: WorkflowSpec) -> list[dg.AssetChecksDefinition]:
    """A check for each kind of signal; none blocks, because a night unlike the others is decided all the same."""
    asset = key(spec, "drift")

    @dg.multi_asset_check(
        retry_policy=RETRIES,
        name=f"{spec.name}__drift_checks",
        specs=[
            dg.AssetCheckSpec(
                kind.check, asset=asset, description=kind.means, blocking=False, partitions_def=nights(spec)
            )
            for kind in DRIFT_KINDS.values()
        ],
    )
    def drift_checks(
        context: dg.AssetCheckExecutionContext, quality: dg.ResourceParam[Quality]
    ) -> Iterator[dg.AssetCheckResult]:
        signals = quality.night_signals(spec.name, context.partition_key)
        for kind in DRIFT_KINDS.values():
            mine = [signal for signal in signals if check_of(signal.signal) == kind.check]
            yield _checked(asset, kind.check, mine)

    return [drift_checks]


def _checked(asset: dg.AssetKey, name: str, signals: Sequence[RecordedSignal]) -> dg.AssetCheckResult:
    breached = [signal for signal in signals if signal.breached]
    grave = any(signal.severity == Severity.ERROR for signal in breached)
    summary = "; ".join(f"{signal.signal} {signal.value:.3f} > {signal.threshold:g}" for signal in breached)
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=not breached,
        severity=dg.AssetCheckSeverity.ERROR if grave else dg.AssetCheckSeverity.WARN,
        description=summary or ("as in the reference" if signals else "not judged: no champion, or no reference yet"),
        metadata={
            "judged": len(signals),
            "breached": len(breached),
            "values": {signal.signal: signal.value for signal in signals},
            "noise": {signal.signal: signal.noise for signal in signals},
            "cases": max((signal.cases for signal in signals), default=0),
        },
    )
