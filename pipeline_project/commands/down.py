"""`pipeline down`: stops a running `pipeline up` of this home, and the embedded database."""

from __future__ import annotations

import os
import signal

import typer

from pipeline_project.commands.shared.app_context import settings
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, say
from pipeline_project.commands.shared.options import (
    command_app,
    example,
)
from pipeline_project.serving.home_lock import ends_within, serving_process
from pipeline_project.serving.processes import STOP_SECONDS

app = command_app()


@app.command(
    epilog=example("pipeline down"),
)
def down(as_json: AsJson = False) -> None:
    """Stops `pipeline up` of this home and the embedded database; a server of your own is left alone."""
    raise typer.Exit(stop_all(as_json))


def stop_all(as_json: bool) -> int:
    """Stops `pipeline up` of this home, if it runs, and the embedded database; a server of your own is left alone."""
    chosen, stopped = settings(), []
    if chosen.tenant:
        complain(
            f"`pipeline down` stops the house with all its tenants; unset PIPELINE_TENANT ({chosen.tenant}) for it"
        )
        return Exit.WRONG_CALL
    process = serving_process(chosen.home)
    if process is not None:
        os.kill(process, signal.SIGTERM)
        if not ends_within(chosen.home, 2 * STOP_SECONDS):
            complain(f"`pipeline up` (process {process}) has not stopped within {2 * STOP_SECONDS} seconds")
            return Exit.NIGHT_FAILED
        stopped.append("pipeline up")
    if chosen.postgres_url is None:
        from resources.postgres.databases import embedded

        if embedded(chosen).is_running():
            embedded(chosen).stop()
            stopped.append("the embedded database")
    if as_json:
        emit({"home": str(chosen.home), "stopped": stopped})
    else:
        say(f"Stopped {' and '.join(stopped)}." if stopped else f"Nothing of {chosen.home} was running.")
    return Exit.DONE
