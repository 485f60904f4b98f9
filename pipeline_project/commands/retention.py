"""`pipeline retention`: erases personal data whose time is over, and lets go of what nothing names any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline_project.commands.shared.app_context import workflow, workflows
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, say, table
from pipeline_project.commands.shared.options import (
    command_app,
    count,
    example,
)
from pipeline_project.commands.shared.privacy import Privacy, open_privacy
from pipeline_project.domain.privacy.retention import DataClass

if TYPE_CHECKING:
    from pipeline_project.operations.upkeep import LetGo
    from pipeline_project.spec import WorkflowSpec

app = command_app()

Named = Annotated[str | None, typer.Option("--workflow", metavar="WORKFLOW", help="Of one workflow only.")]


@app.command(
    epilog=example("pipeline retention --dry-run", "pipeline retention --workflow returns"),
)
def retention(
    name: Named = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Say what is due, change nothing.")] = False,
    tidy_days: Annotated[
        int | None,
        count("Days after which replaced files of the lake are deleted; else as PIPELINE_KEEP says.", 3_650, 1),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Erases personal data whose time, by the spec's `retention`, is over; what a legal hold keeps stays.

    Then it takes away what the stores keep longer than PIPELINE_KEEP says and nothing names: what Dagster tells of
    ended steps, earlier versions of tables that no decision rests on, files of models that never decided, vectors. With
    a workflow, of that one alone. It waits for a night that is running, and for a backup; run again it finds nothing.
    """
    raise typer.Exit(erase_due(name, dry, tidy_days, as_json))


def erase_due(name: str | None, dry: bool, tidy_days: int | None, as_json: bool) -> int:
    """Erases what was kept long enough, or only says what that would be."""
    from pipeline_project.operations.upkeep import alone

    privacy = open_privacy()
    stores, now = privacy.context.stores, privacy.context.ledger.now()
    keep = privacy.context.settings.keep
    days = keep.versions if tidy_days is None else tidy_days
    upkeep = replace(stores.upkeep(privacy.lake, now), terms=replace(keep, versions=days))
    specs = [workflow(name)] if name else list(workflows().specs.values())
    erased: list[dict[str, Any]] = []
    let_go: list[LetGo] = []
    with nullcontext() if dry else alone(stores.databases, _waits_for("a backup, or another retention")):
        for spec in specs:
            with nullcontext() if dry else stores.turns.taken([spec.dagster_name], "pipeline retention", _waits):
                erased += _erased(privacy, spec, now.date(), dry, days, let_go)
                let_go += upkeep.of_workflow(spec.name, dry)
        if name is None:
            let_go += upkeep.of_house(dry)
    let_go = [one for one in let_go if one.count]
    if as_json:
        emit(
            {
                "dry_run": dry, "today": now.date().isoformat(), "erased": erased,
                "let_go": [asdict(one) for one in let_go],
            }
        )  # fmt: skip
    else:
        _report(erased, let_go, dry, now.date())
    return Exit.DONE


def _waits_for(what: str) -> Callable[[], None]:
    return lambda: complain(f"waiting for {what} to end")


def _waits(name: str, holder: str) -> None:
    complain(f"{name}: waiting for {holder}")


def _erased(
    privacy: Privacy, spec: WorkflowSpec, today: date, dry: bool, days: int, let_go: list[LetGo]
) -> list[dict[str, Any]]:
    """What is personal, and files that only versions from before it was erased need: these stay for no decision."""
    from pipeline_project.operations.upkeep import LetGo

    terms = {data: getattr(spec.retention, data.value) for data in DataClass}
    if not any(terms.values()):
        return []
    erasures = privacy.retaining(spec).run(terms, today, dry)
    if not dry:
        files = _tidy(privacy, spec, terms, days)
        let_go.append(LetGo("lake", spec.name, "files that only versions from before erasing needed", files, 0))
    return [
        {"workflow": spec.name, "data": one.data.value, "when": one.when, "rows": one.rows, "held": one.held}
        for one in erasures
    ]


def _tidy(privacy: Privacy, spec: WorkflowSpec, terms: dict[DataClass, int | None], days: int) -> int:
    """Earlier versions of a table still hold what its newest no longer does; returns how many files are deleted."""
    tables = {
        DataClass.ARRIVALS: ("arrivals", "quarantine"), DataClass.CASES: ("cases",), DataClass.PHOTOS: ("embeddings",)
    }  # fmt: skip
    assets = [asset for data, names in tables.items() if terms.get(data) for asset in names]
    written = [asset for asset in assets if privacy.lake.version(spec.name, asset) is not None]
    return sum(privacy.lake.tidy(spec.name, asset, days).deleted for asset in written)


def _report(erased: list[dict[str, Any]], let_go: list[LetGo], dry: bool, today: date) -> None:
    if not erased and not let_go:
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
    if spans:
        columns = ("workflow", "data", "from", "to", "rows", "held")
        lines = [(*of, min(spans[of]), max(spans[of]), sums[of], held[of]) for of in spans]
        table("Would be erased" if dry else "Erased", columns, lines, right=("rows", "held"))
    if let_go:
        rows = [
            (one.store, one.workflow, one.what, f"{one.count:,}", f"{one.size / 2**20:,.2f}" if one.size else "")
            for one in let_go
        ]
        title = "Would be let go" if dry else "Let go"
        table(title, ("store", "workflow", "what", "count", "MiB"), rows, right=("count", "MiB"))
    if dry:
        say("Nothing was changed; without --dry-run it is.")
