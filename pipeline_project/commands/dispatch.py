"""`pipeline dispatch`: sends what is ready until it is stopped or nothing is left."""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import nullcontext
from typing import Annotated

import typer

from pipeline_project.commands.shared.app_context import prepare, workflows
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, say
from pipeline_project.commands.shared.options import (
    command_app,
    count,
    example,
)

app = command_app()


@app.command(
    epilog=example("pipeline dispatch", "pipeline dispatch --drain", "pipeline dispatch --health 127.0.0.1:3008"),
)
def dispatch(
    workers: Annotated[int, count("Workers side by side.", 64, least=1)] = 2,
    drain: Annotated[bool, typer.Option("--drain", help="End when nothing is due any more.")] = False,
    health: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Say there, at /healthz, whether the workers go round.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sends the actions of released nights, each once; it may be killed at any time and started again."""
    raise typer.Exit(run_dispatcher(workers, drain, as_json, health))


def run_dispatcher(workers: int, drain: bool, as_json: bool, health: str | None = None) -> int:
    """Sends actions of every workflow; SIGTERM and Ctrl-C let what is in hand be written down first.

    Args:
        health: HOST:PORT at which it says whether it is alive, or None.
    """
    from pipeline_project.container.outbox import dispatcher_engine, usable_destinations
    from pipeline_project.operations.dispatch import Dispatcher, run_workers
    from pipeline_project.serving.health import told_at

    stopping = threading.Event()
    context = prepare()
    specs = workflows().specs
    destinations, left_alone = usable_destinations(specs, context.settings, os.environ)
    for (workflow, place), why in left_alone.items():
        complain(f"Actions of {workflow} to {place} wait: {why}")
    owners = {name: spec.owners[0] for name, spec in specs.items()}
    engine = dispatcher_engine(context.databases, workers)
    here = f"{socket.gethostname()}/{os.getpid()}"
    dispatchers = [
        Dispatcher(engine, destinations, owners, f"{here}/{number}", left_alone=left_alone, stopping=stopping)
        for number in range(workers)
    ]
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopping.set())
    if not drain:
        complain(f"Dispatching with {workers} workers; Ctrl-C stops.")
    watched = told_at(health, lambda: all(one.goes_round for one in dispatchers)) if health else nullcontext()
    with watched:
        claimed = run_workers(dispatchers, drain)
    if as_json:
        emit({"claimed": claimed, "left_alone": sorted(map(list, left_alone))})
    elif drain:
        say(f"{claimed} tries; nothing is left to send.")
    return Exit.DONE
