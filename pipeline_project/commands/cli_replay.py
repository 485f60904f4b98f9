"""The command about past nights decided again: `replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline_project.commands.shared.console import AsJson
from pipeline_project.commands.shared.options import First, Last, Workflow, day, example


def register(app: typer.Typer) -> None:
    """Adds the command to `pipeline`."""

    @app.command(
        epilog=example(
            "pipeline replay returns --model 7",
            "pipeline replay returns --from 2025-03-01 --policy cheap_warning.yaml",
        ),
        short_help="Past nights decided by a candidate, beside what decided them.",
    )
    def replay(
        workflow: Workflow,
        first: First = None,
        last: Last = None,
        model: Annotated[str | None, typer.Option(metavar="VERSION", help="A model's version in the registry.")] = None,
        policy: Annotated[
            Path | None,
            typer.Option(
                exists=True,
                dir_okay=False,
                help="A workflow file whose options, costs, and terms of review and policy count; the rest does not.",
            ),
        ] = None,
        knows_the_future: Annotated[
            bool, typer.Option("--knows-the-future", help="Also nights that the model has learned from: for a look.")
        ] = False,
        as_json: AsJson = False,
    ) -> None:
        """Decides past nights again, everything as it was known then, and compares with what was decided.

        Without nights it takes the latest ones whose outcomes are in. It writes a page and a row of its own, and
        changes nothing that was decided.
        """
        from pipeline_project.commands import replay as commands

        if model is None and policy is None:
            raise typer.BadParameter("--model VERSION, --policy FILE or both say what is to be replayed")
        span = (day(first), day(last))
        if span[0] and span[1] and span[0] > span[1]:
            raise typer.BadParameter("--from comes after --to")
        raise typer.Exit(commands.replay(workflow, span, model, policy, knows_the_future, as_json))
