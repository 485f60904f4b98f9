"""`pipeline status`: what each workflow has done; with a name, the nights of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline_project.commands.shared.alerts import NIGHT, alerts_of, report_alerts
from pipeline_project.commands.shared.app_context import (
    AppContext,
    dagster_instance,
    lake,
    prepare,
    workflow,
    workflows,
)
from pipeline_project.commands.shared.console import AsJson, Exit, emit, facts, heading, paragraph, say, table
from pipeline_project.commands.shared.options import (
    command_app,
    example,
)
from pipeline_project.commands.shared.spans import ranges
from pipeline_project.domain.core.alerts import STOPS, OpenAlert
from pipeline_project.domain.core.errors import PipelineError
from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.intake.due_nights import looked_at, looked_back_too_early

if TYPE_CHECKING:
    from pipeline_project.spec import WorkflowSpec

QUERIES = 60
NIGHT_LISTS = ("warmed_up", "decided", "stopped", "missing", "stale", "looked_back")
OVERLOOKED_LISTED = 8
_EVER = "9999-12-31"

app = command_app()


@app.command(
    epilog=example("pipeline status", "pipeline status returns", "pipeline status --json"),
)
def status(
    workflow: Annotated[
        str | None, typer.Argument(metavar="WORKFLOW", help="One workflow, with its nights done, missing and stopped.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What each workflow has done: nights, decisions, champion, quarantine, open alerts."""
    raise typer.Exit(show_status(workflow, as_json))


def show_status(name: str | None, as_json: bool) -> int:
    """Nights, decisions, champion, quarantine and open alerts of every workflow, or of one with its nights."""
    if name is not None:
        return _one(workflow(name), as_json)
    from pipeline_project.spec.source import FilesSource

    loaded = workflows()
    context = prepare()
    alerts = context.ledger.open_alerts()
    summaries = [_summary(context, spec) for spec in loaded.specs.values()]
    if as_json:
        emit({"workflows": summaries, "alerts": alerts, "broken": [str(mistake) for mistake in loaded.broken]})
        return Exit.DONE
    columns = ("workflow", "nights", "last", "decided", "people", "refused", "champion")
    table("", columns, [tuple(row.values()) for row in summaries], right=("nights", *columns[3:6]))
    for spec in loaded.specs.values():
        if isinstance(spec.source, FilesSource) and (unread := _overlooked(context, spec)):
            say()
            say(f"Not read for {spec.name}: {unread[0]}" + f" ({len(unread)} in all)" * (len(unread) > 1))
    for mistake in loaded.broken:
        say()
        say(f"Not loaded, see `pipeline check`: {mistake.file}")
    report_alerts(alerts)
    return Exit.DONE


def _summary(context: AppContext, spec: WorkflowSpec) -> dict[str, Any]:
    ledger = context.ledger
    nights, counts, champion = (
        ledger.decided_nights(spec.name),
        ledger.counts(spec.name),
        ledger.champion(spec.name, _EVER),
    )
    quarantine = lake(context.settings).read_span(spec.name, "quarantine", None, _EVER, ["line"])
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
class NightsOverview:
    """The nights of one workflow, each in order.

    Attributes:
        missing: landed and not done; None when the source cannot be read, `why` says the reason.
        stale: done, and something landed for them since; of a query, only the last QUERIES nights are asked,
            and of photos the latest and those that an alert names.
        looked_back: ran before something late was taken in for a night before them.
        stopped: with an open alert.
    """

    warmed_up: Sequence[str]
    decided: Sequence[str]
    stopped: Sequence[str]
    missing: Sequence[str] | None
    why: str | None = None
    stale: Sequence[str] = ()
    looked_back: Sequence[str] = ()


def _one(spec: WorkflowSpec, as_json: bool) -> int:
    context = prepare()
    alerts = alerts_of(context.ledger, spec.name)
    summary, nights = _summary(context, spec), _nights(context, spec, alerts)
    counts = context.ledger.counts(spec.name).groupby("option")["cases"].sum().to_dict()
    unread = _overlooked(context, spec)
    if as_json:
        lists = {name: list(getattr(nights, name) or []) for name in NIGHT_LISTS}
        details = {"source_problem": nights.why, "overlooked": unread, "options": counts, "alerts": alerts}
        emit({**summary, "nights": lists, **details})
        return Exit.DONE
    say(f"{spec.name}: {spec.title}")
    missing = ranges(nights.missing) if nights.missing is not None else f"unknown: {nights.why}"
    facts(
        [
            ("warmed up", ranges(nights.warmed_up)),
            ("decided", ranges(nights.decided)),
            ("missing", missing),
            ("stopped", ranges(nights.stopped)),
            ("stale", _stale_words(nights)),
            ("looked back", _looked_back_words(nights)),
            ("champion", summary["champion"]),
            ("refused", f"{summary['quarantine']} rows (pipeline quarantine {spec.name})"),
        ]
    )
    if counts:
        rows = [(f"  {option}", f"{cases:,}") for option, cases in sorted(counts.items(), key=lambda pair: -pair[1])]
        table("Decisions", ("  option", "cases"), rows, right=("cases",))
    _report_overlooked(unread)
    if todo := sorted({*(nights.missing or ()), *nights.stale}):
        heading("Next")
        say(f"  pipeline nights {spec.name} --from {todo[0]} --to {todo[-1]}")
    report_alerts(alerts)
    return Exit.DONE


def _nights(context: AppContext, spec: WorkflowSpec, alerts: Iterable[OpenAlert]) -> NightsOverview:
    from pipeline_project.automation.progress import late_photos, stale_nights, taken_at, taken_nights
    from pipeline_project.container.night import OpenedSources

    deepest = "clusters" if spec.clusters else "embeddings" if spec.encodes else "cases"
    gathered = lake(context.settings).nights(spec.name, deepest)
    stops = (alert.key for alert in alerts if alert.kind in STOPS)
    stopped = sorted({night for key in stops for night in NIGHT.findall(key)})
    decided = [night for night in context.ledger.decided_nights(spec.name) if night not in stopped]
    warmed_up = sorted(night for night in gathered if spec.warms_up(night) and night not in stopped)
    today = spec.nights.of(context.ledger.now())
    source = OpenedSources(context.settings).cases(spec)
    try:
        landed = source.nights_landed()
        with dagster_instance(context) as instance:
            ingested = taken_nights(instance, spec)
            # each night of a query that does not tell its nights costs one
            asked = ingested if spec.source.tells_nights else ingested[-QUERIES:]
            photos = late_photos(instance, spec, OpenedSources(context.settings), looked_at(ingested, alerts))
            stale = sorted({*stale_nights(instance, spec, source, asked), *photos})
            looked_back = looked_back_too_early(taken_at(instance, spec, ingested))
    except PipelineError as error:
        return NightsOverview(warmed_up, decided, stopped, None, str(error))
    settled = {*warmed_up, *decided, *stopped}
    missing = sorted(night for night in landed if spec.has_night(night) and night < today and night not in settled)
    return NightsOverview(warmed_up, decided, stopped, missing, None, stale, looked_back)


def _stale_words(nights: NightsOverview) -> str | None:
    meaning = "done, and something landed for them since; the next run of them takes it in"
    return f"{ranges(nights.stale)}: {meaning}" if nights.stale else None


def _looked_back_words(nights: NightsOverview) -> str | None:
    meaning = "ran before something came late for a night before them, and were decided without it"
    return f"{ranges(nights.looked_back)}: {meaning}" if nights.looked_back else None


def _overlooked(context: AppContext, spec: WorkflowSpec) -> list[str]:
    """What lies at the sources and is read for no night, in words; nothing where they cannot be looked at, which is
    said elsewhere."""
    from pipeline_project.container.night import OpenedSources

    try:
        return list(
            dict.fromkeys(entry.sentence for entry in OpenedSources(context.settings).overlooked(spec) if entry.sure)
        )
    except PipelineError:
        return []


def _report_overlooked(sentences: Sequence[str]) -> None:
    if not sentences:
        return
    heading("Not read")
    for sentence in sentences[:OVERLOOKED_LISTED]:
        paragraph(sentence)
    if len(sentences) > OVERLOOKED_LISTED:
        say(f"  and {len(sentences) - OVERLOOKED_LISTED} more like these; --json lists them all")
