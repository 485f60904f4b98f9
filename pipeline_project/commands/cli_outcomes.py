"""`pipeline outcomes`: what the command takes; the work is in `outcomes.py`."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline_project.commands.shared.console import AsJson
from pipeline_project.commands.shared.options import Workflow, count, example


def outcomes(
    workflow: Workflow,
    last: Annotated[int, count("Nights shown.", 3_650, least=1)] = 30,
    as_json: AsJson = False,
) -> None:
    """How late the truth comes, which nights are mature, and which outcomes contradict themselves or have no case.

    A night is mature when the share `outcome.mature_share` of the outcomes it will have is known; figures of younger
    nights say so wherever they are shown.
    """
    from pipeline_project.commands.outcomes import show_outcomes

    raise typer.Exit(show_outcomes(workflow, last, as_json))


def register(app: typer.Typer) -> None:
    """Adds the command to `pipeline`."""
    app.command(
        epilog=example("pipeline outcomes returns", "pipeline outcomes returns --last 60 --json"),
        short_help="How late the truth comes, and which nights are mature.",
    )(outcomes)
