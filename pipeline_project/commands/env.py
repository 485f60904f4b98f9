"""`pipeline env`: a shell in which plain `dagster dev`, `dg` and `mlflow` work as their users know them."""

from __future__ import annotations

import shlex

from pipeline_project.commands.shared.app_context import prepare
from pipeline_project.commands.shared.console import Exit, emit, say


def print_exports(as_json: bool) -> int:
    """Prints `export` lines for a POSIX shell."""
    environ = dict(sorted(prepare().environ.items()))
    if as_json:
        emit(environ)
        return Exit.DONE
    for name, value in environ.items():
        say(f"export {name}={shlex.quote(value)}")
    return Exit.DONE
