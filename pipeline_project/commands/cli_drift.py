"""`pipeline drift`: what the command takes; the work is in `drift.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from pipeline_project.commands.shared.console import AsJson
from pipeline_project.commands.shared.options import Workflow, example, night_option


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        "drift",
        epilog=example(
            "pipeline drift returns",
            "pipeline drift returns --night 2025-03-01 --json",
            "pipeline drift returns --follow 0",
        ),
        short_help="How a night differs from what the champion learned from.",
    )(drift)


def drift(
    workflow: Workflow,
    night: Annotated[datetime | None, night_option("The night; else the last that was judged.", "--night")] = None,
    follow: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="ID",
            help="For subscribers: the signals of all nights after this id, one JSON object a line; 0 is from the "
            "beginning. Ask again with the last id.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The signals of a night, of what is breached first, with the trainings that drift asked for lately."""
    from pipeline_project.commands.drift import run_drift, run_follow

    if follow is not None:
        raise typer.Exit(run_follow(workflow, follow))
    raise typer.Exit(run_drift(workflow, night.date().isoformat() if night else None, as_json))
