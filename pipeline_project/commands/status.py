"""`pipeline status`: what each workflow has done; with a name, the nights of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline_project.commands.alerts import NIGHT, alerts_of, tell_alerts
from pipeline_project.commands.console import Exit, emit, facts, heading, paragraph, say, table
from pipeline_project.commands.ground import Ground, lake, prepare, settings, workflow
from pipeline_project.commands.spans import ranges
from pipeline_project.domain.errors import PipelineError
from pipeline_project.domain.landing import LANDING
from pipeline_project.domain.nights import night_of
from pipeline_project.domain.policy import ASK_PERSON
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.load import load_all
from pipeline_project.spec.source import FilesSource

OVERLOOKED_LISTED = 8
_EVER = "9999-12-31"


def show_status(name: str | None, as_json: bool) -> int:
    """Nights, decisions, champion, quarantine and open alerts of every workflow, or of one with its nights."""
    if name is not None:
        return _one(workflow(name), as_json)
    loaded = load_all(settings().workflow_folders)
    ground = prepare()
    alerts = ground.ledger.open_alerts()
    found = [_summary(ground, spec) for spec in loaded.specs.values()]
    if as_json:
        emit({"workflows": found, "alerts": alerts, "broken": [str(mistake) for mistake in loaded.broken]})
        return Exit.DONE
    columns = ("workflow", "nights", "last", "decided", "people", "refused", "champion")
    table("", columns, [tuple(row.values()) for row in found], right=("nights", *columns[3:6]))
    for spec in loaded.specs.values():
        if isinstance(spec.source, FilesSource) and (unread := _overlooked(ground, spec)):
            say()
            say(f"Not read for {spec.name}: {unread[0]}" + f" ({len(unread)} in all)" * (len(unread) > 1))
    for mistake in loaded.broken:
        say()
        say(f"Not loaded, see `pipeline check`: {mistake.file}")
    tell_alerts(alerts)
    return Exit.DONE


def _summary(ground: Ground, spec: WorkflowSpec) -> dict[str, Any]:
    ledger = ground.ledger
    nights, counts, champion = (
        ledger.decided_nights(spec.name),
        ledger.counts(spec.name),
        ledger.champion(spec.name, _EVER),
    )
    quarantine = lake(ground.settings).read_span(spec.name, "quarantine", None, _EVER, ["line"])
    return {
        "workflow": spec.name,
        "nights_decided": len(nights),
        "last": nights[-1] if nights else None,
        "decided": int(counts["cases"].sum()),
        "to_people": int(counts.loc[counts["option"] == ASK_PERSON, "cases"].sum()),
        "quarantine": 0 if quarantine is None else quarantine.num_rows,
        "champion": f"{champion.version} of {champion.night}" if champion else "none yet",
    }


@dataclass(frozen=True)
class Nights:
    """The nights of one workflow, each in order.

    Attributes:
        missing: landed and not done; None when the source cannot be read, `why` says the reason.
        stopped: with an open alert.
    """

    warmed_up: Sequence[str]
    decided: Sequence[str]
    stopped: Sequence[str]
    missing: Sequence[str] | None
    why: str | None = None


def _one(spec: WorkflowSpec, as_json: bool) -> int:
    ground = prepare()
    alerts = alerts_of(ground.ledger, spec.name)
    summary, nights = _summary(ground, spec), _nights(ground, spec, alerts)
    counts = ground.ledger.counts(spec.name).groupby("option")["cases"].sum().to_dict()
    unread = _overlooked(ground, spec)
    if as_json:
        told = {name: list(getattr(nights, name) or []) for name in ("warmed_up", "decided", "stopped", "missing")}
        found = {"source_problem": nights.why, "overlooked": unread, "options": counts, "alerts": alerts}
        emit({**summary, "nights": told, **found})
        return Exit.DONE
    say(f"{spec.name}: {spec.title}")
    missing = ranges(nights.missing) if nights.missing is not None else f"unknown: {nights.why}"
    facts(
        [
            ("warmed up", ranges(nights.warmed_up)),
            ("decided", ranges(nights.decided)),
            ("missing", missing),
            ("stopped", ranges(nights.stopped)),
            ("champion", summary["champion"]),
            ("refused", f"{summary['quarantine']} rows (pipeline quarantine {spec.name})"),
        ]
    )
    if counts:
        rows = [(f"  {option}", f"{cases:,}") for option, cases in sorted(counts.items(), key=lambda pair: -pair[1])]
        table("Decisions", ("  option", "cases"), rows, right=("cases",))
    _tell_overlooked(unread)
    if nights.missing:
        heading("Next")
        say(f"  pipeline nights {spec.name} --from {nights.missing[0]} --to {nights.missing[-1]}")
    tell_alerts(alerts)
    return Exit.DONE


def _nights(ground: Ground, spec: WorkflowSpec, alerts: Iterable[Mapping[str, Any]]) -> Nights:
    from resources.sources import case_source

    deepest = "clusters" if spec.clusters else "embeddings" if spec.encodes else "cases"
    gathered = lake(ground.settings).nights(spec.name, deepest)
    stops = (alert["key"] for alert in alerts if alert["kind"] != LANDING)
    stopped = sorted({night for key in stops for night in NIGHT.findall(key)})
    decided = [night for night in ground.ledger.decided_nights(spec.name) if night not in stopped]
    warmed_up = sorted(night for night in gathered if spec.warms_up(night) and night not in stopped)
    today = night_of(datetime.now(UTC), spec.nights.time_zone)
    try:
        landed = case_source(spec, ground.settings).nights_landed()
    except PipelineError as error:
        return Nights(warmed_up, decided, stopped, None, str(error))
    known = {*warmed_up, *decided, *stopped}
    missing = sorted(night for night in landed if spec.has_night(night) and night < today and night not in known)
    return Nights(warmed_up, decided, stopped, missing)


def _overlooked(ground: Ground, spec: WorkflowSpec) -> list[str]:
    """What lies at the sources and is read for no night, in words; nothing where they cannot be looked at, which is
    said elsewhere."""
    from resources.doors import SourceDoors

    try:
        return list(dict.fromkeys(each.sentence for each in SourceDoors(ground.settings).overlooked(spec) if each.sure))
    except PipelineError:
        return []


def _tell_overlooked(sentences: Sequence[str]) -> None:
    if not sentences:
        return
    heading("Not read")
    for sentence in sentences[:OVERLOOKED_LISTED]:
        paragraph(sentence)
    if len(sentences) > OVERLOOKED_LISTED:
        say(f"  and {len(sentences) - OVERLOOKED_LISTED} more like these; --json lists them all")
