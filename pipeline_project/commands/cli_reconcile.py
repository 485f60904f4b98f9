"""`pipeline reconcile`: what it takes; the work is in `reconcile.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline_project.commands.shared.console import AsJson
from pipeline_project.commands.shared.options import First, Last, day, example


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""

    @app.command(
        epilog=example("pipeline reconcile", "pipeline reconcile returns --from 2025-03-01 --to 2025-03-31"),
        short_help="Counts everything again and says what does not add up.",
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
        from pipeline_project.commands.reconcile import run_reconcile

        raise typer.Exit(run_reconcile(workflow, day(first), day(last), book, as_json))
