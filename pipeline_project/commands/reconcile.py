"""`pipeline reconcile`: hands the independent checker its places, and prints what it found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_project.commands.shared.app_context import settings, workflow, workflows
from pipeline_project.commands.shared.asked_nights import first_asked, last_asked
from pipeline_project.commands.shared.console import AsJson, Exit, emit, facts, paragraph, say, table
from pipeline_project.commands.shared.options import (
    First,
    Last,
    command_app,
    example,
)
from pipeline_project.reconcile import run
from pipeline_project.reconcile.scope import Link, Span

if TYPE_CHECKING:
    from pipeline_project.spec import WorkflowSpec

NOTES_SHOWN = 12

app = command_app()


@app.command(
    epilog=example("pipeline reconcile", "pipeline reconcile returns --from 2025-03-01 --to 2025-03-31"),
)
def reconcile(
    workflow: Annotated[
        str | None, typer.Argument(metavar="WORKFLOW", help="One workflow; without it, every one that ran.")
    ] = None,
    first: First = None,
    last: Last = None,
    book: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The fake shop's book; else PIPELINE_HOME/shop/book.jsonl.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compares source lines, arrivals, cases, decisions, tasks, actions, deliveries, the shop's book and the chain.

    It reads by itself and shares no code with what it checks; it changes nothing. Nights that run meanwhile may be
    seen half-way. Exits with 0 where everything adds up, with 1 where something does not.
    """
    raise typer.Exit(run_reconcile(workflow, first, last, book, as_json))


def run_reconcile(name: str | None, first: str | None, last: str | None, book: Path | None, as_json: bool) -> int:
    """Compares everything that must agree; changes nothing, and starts nothing but the embedded server."""
    from pipeline_project.operations.reconciliation import declared, where

    chosen = settings()
    specs = [workflow(name)] if name else list(workflows().specs.values())
    span = _span(specs, first, last)
    links = list(run.reconcile(where(chosen, book), [declared(spec, chosen) for spec in specs], span))
    if name is None:
        # a workflow that never ran has nothing to say
        ran = {link.workflow for link in links if any(link.counted) or link.breaks}
        links = [link for link in links if link.workflow in ran or not link.workflow]
    if as_json:
        emit(run.document(links))
    else:
        _report(links)
    return Exit.DONE if all(link.holds for link in links) else Exit.NIGHT_FAILED


def _span(specs: Sequence[WorkflowSpec], first: str | None, last: str | None) -> Span:
    spans = {Span(first_asked(spec, first), last_asked(spec, last)) for spec in specs}
    if len(spans) > 1:
        raise typer.BadParameter(
            "workflows have nights of different cadences or zones; name one beside --from and --to"
        )
    return spans.pop() if spans else Span()


def _report(links: list[Link]) -> None:
    rows = [
        (
            link.workflow,
            link.name,
            f"{link.counted[0]:,}",
            f"{link.counted[1]:,}",
            "adds up" if link.holds else "DOES NOT ADD UP",
        )
        for link in links
    ]
    table("", ("workflow", "what", "left", "right", ""), rows, right=("left", "right"))
    broken = [(link, mismatch) for link in links for mismatch in link.breaks]
    if broken:
        wrong = [
            (
                link.workflow,
                link.name,
                mismatch.count,
                mismatch.words,
                ", ".join(mismatch.named) + (" ..." if mismatch.count > len(mismatch.named) else ""),
            )
            for link, mismatch in broken
        ]
        table("What does not add up", ("workflow", "what", "count", "which", "such as"), wrong, right=("count",))
    notes = [(link.workflow or "chain", note) for link in links for note in link.notes]
    if notes:
        say()
        facts(notes[:NOTES_SHOWN])
        if len(notes) > NOTES_SHOWN:
            say(f"  and {len(notes) - NOTES_SHOWN} more: pipeline reconcile --json")
    say()
    if broken:
        paragraph(
            "Nothing was changed. Keep database, lake and folders as they are until it is known what happened.", ""
        )
    else:
        say("Everything adds up.")
