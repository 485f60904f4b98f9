"""`pipeline env`: a shell in which plain `dagster dev`, `dg` and `mlflow` work as their users know them."""

from __future__ import annotations

import shlex

import typer

from pipeline_project.commands.shared.app_context import prepare
from pipeline_project.commands.shared.console import AsJson, Exit, emit, say
from pipeline_project.commands.shared.options import (
    command_app,
    example,
)

app = command_app()


@app.command(
    epilog=example('eval "$(pipeline env)"', "dagster dev", "dg check defs"),
)
def env(as_json: AsJson = False) -> None:
    """Prints the variables with which plain dagster, dg and mlflow work; starts the database.

    Those tools need the database's password, so it is part of what is printed: keep it out of logs.
    """
    raise typer.Exit(print_exports(as_json))


def print_exports(as_json: bool) -> int:
    """Prints `export` lines for a POSIX shell."""
    environ = dict(sorted(prepare().environ.items()))
    if as_json:
        emit(environ)
        return Exit.DONE
    for name, value in environ.items():
        say(f"export {name}={shlex.quote(value)}")
    return Exit.DONE
