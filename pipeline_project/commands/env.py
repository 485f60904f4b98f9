"""`pipeline env`: a shell in which plain `dagster dev`, `dg` and `mlflow` work as their users know them."""

from __future__ import annotations

import shlex

from pipeline_project.commands.console import say
from pipeline_project.commands.ground import prepare


def print_exports() -> None:
    """Prints `export` lines for a POSIX shell."""
    for name, value in sorted(prepare().environ.items()):
        say(f"export {name}={shlex.quote(value)}")
