"""`pipeline hooks ...`: what each command takes; the work is in `hooks.py`."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline_project.commands.shared.console import AsJson
from pipeline_project.commands.shared.options import Workflow, day, example, night_option, port_option

hooks = typer.Typer(
    help="The webhook door: other systems post arrivals and outcomes.",
    epilog=example(
        "pipeline hooks secret returns",
        "pipeline hooks send returns claims.csv --night 2025-03-05",
        "pipeline hooks list --json",
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)


class Posted(StrEnum):
    """What a file holds."""

    ARRIVALS = "arrivals"
    OUTCOMES = "outcomes"


@hooks.command(epilog=example("pipeline hooks secret returns"), short_help="Makes a secret, or the one that follows.")
def secret(workflow: Workflow, as_json: AsJson = False) -> None:
    """Makes a secret and prints it once, with the variable to set; where there is one, both are valid for a while."""
    from pipeline_project.commands.hooks import show_secret

    raise typer.Exit(show_secret(workflow, as_json))


@hooks.command(
    epilog=example(
        "pipeline hooks send returns claims.csv",
        "pipeline hooks send returns truth.csv --kind outcomes",
    ),
    short_help="Signs a file's rows and posts them.",
)
def send(
    workflow: Workflow,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=".csv, .jsonl or .parquet, as the source has it.")],
    url: Annotated[str | None, typer.Option(metavar="URL", help="The desk; else PIPELINE_DESK_URL.")] = None,
    kind: Annotated[Posted, typer.Option(help="What the file holds.")] = Posted.ARRIVALS,
    night: Annotated[datetime | None, night_option("When it is said to have occurred; else now.", "--night")] = None,
    as_json: AsJson = False,
) -> None:
    """Signs a file's rows with the workflow's newest secret and posts them, as another system would.

    The same rows are the same event: sent again, nothing changes.
    """
    from pipeline_project.commands.hooks import send_file

    raise typer.Exit(send_file(workflow, file, url, kind.value, day(night), as_json))


@hooks.command("list", epilog=example("pipeline hooks list"), short_help="Which doors are open, and what came in.")
def list_(as_json: AsJson = False) -> None:
    """Each workflow's door: how many secrets are valid, what was kept, what was refused and why."""
    from pipeline_project.commands.hooks import list_hooks

    raise typer.Exit(list_hooks(as_json))


@hooks.command(epilog=example("pipeline hooks serve --port 3008"), short_help="The door alone, without the desk.")
def serve(port: Annotated[int, port_option("The door's.")] = 3008) -> None:
    """Serves the webhook door by itself, on this machine; `pipeline up` has it as part of the desk."""
    from pipeline_project.commands.hooks import serve as run

    raise typer.Exit(run(port))


def register(app: typer.Typer) -> None:
    """Adds `pipeline hooks` to the command."""
    app.add_typer(hooks, name="hooks")
