"""`pipeline retention`: erases personal data whose time is over."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline_project.commands.shared.app_context import workflow, workflows
from pipeline_project.commands.shared.console import AsJson, Exit, emit, say, table
from pipeline_project.commands.shared.options import (
    command_app,
    count,
    example,
)
from pipeline_project.commands.shared.privacy import Privacy, open_privacy
from pipeline_project.domain.privacy.retention import DataClass

if TYPE_CHECKING:
    from pipeline_project.spec import WorkflowSpec

app = command_app()

Named = Annotated[str | None, typer.Option("--workflow", metavar="WORKFLOW", help="Of one workflow only.")]


@app.command(
    epilog=example("pipeline retention --dry-run", "pipeline retention --workflow returns"),
)
def retention(
    name: Named = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Say what is due, change nothing.")] = False,
    tidy_days: Annotated[int, count("Days after which replaced files of the lake are deleted.", 3_650, least=1)] = 30,
    as_json: AsJson = False,
) -> None:
    """Erases personal data whose time, by the spec's `retention`, is over; what a legal hold keeps stays."""
    raise typer.Exit(erase_due(name, dry, tidy_days, as_json))


def erase_due(name: str | None, dry: bool, tidy_days: int, as_json: bool) -> int:
    """Erases what was kept long enough, or only says what that would be."""
    privacy = open_privacy()
    today = datetime.now(UTC).date()
    specs = [workflow(name)] if name else list(workflows().specs.values())
    erased: list[dict[str, Any]] = []
    files = 0
    for spec in specs:
        terms = {data: getattr(spec.retention, data.value) for data in DataClass}
        if not any(terms.values()):
            continue
        erasures = privacy.retaining(spec).run(terms, today, dry)
        erased += [
            {"workflow": spec.name, "data": one.data.value, "when": one.when, "rows": one.rows, "held": one.held}
            for one in erasures
        ]
        if not dry:
            files += _tidy(privacy, spec, terms, tidy_days)
    if as_json:
        emit({"dry_run": dry, "today": today.isoformat(), "erased": erased})
    else:
        _report(erased, dry, today)
        if files:
            say(f"{files:,} files of the lake that only earlier versions needed are deleted.")
    return Exit.DONE


def _tidy(privacy: Privacy, spec: WorkflowSpec, terms: dict[DataClass, int | None], days: int) -> int:
    """Earlier versions of a table still hold what its newest no longer does; returns how many files are deleted."""
    tables = {
        DataClass.ARRIVALS: ("arrivals", "quarantine"), DataClass.CASES: ("cases",), DataClass.PHOTOS: ("embeddings",)
    }  # fmt: skip
    assets = [asset for data, names in tables.items() if terms.get(data) for asset in names]
    written = [asset for asset in assets if privacy.lake.version(spec.name, asset) is not None]
    return sum(privacy.lake.tidy(spec.name, asset, days).deleted for asset in written)


def _report(erased: list[dict[str, Any]], dry: bool, today: date) -> None:
    if not erased:
        say(f"Nothing is due on {today}.")
        return
    sums: Counter[tuple[str, str]] = Counter()
    held: Counter[tuple[str, str]] = Counter()
    spans: dict[tuple[str, str], list[str]] = {}
    for one in erased:
        of = (one["workflow"], one["data"])
        sums[of] += one["rows"]
        held[of] += one["held"]
        spans.setdefault(of, []).append(one["when"])
    columns = ("workflow", "data", "from", "to", "rows", "held")
    lines = [(*of, min(spans[of]), max(spans[of]), sums[of], held[of]) for of in spans]
    table("Would be erased" if dry else "Erased", columns, lines, right=("rows", "held"))
    if dry:
        say("Nothing was changed; without --dry-run it is.")
