"""`pipeline worker`: executes the runs that Dagster launches, in processes that stay warm, until it is stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_project.commands.shared.app_context import dagster_instance, prepare
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit
from pipeline_project.commands.shared.options import command_app, count, example
from pipeline_project.tenants import tenant_names

if TYPE_CHECKING:
    from pipeline_project.settings import Settings

app = command_app()


@app.command(
    epilog=example(
        "pipeline worker", "pipeline worker --slots 1 --grace 600", "pipeline worker --health 127.0.0.1:3009"
    ),
)
def worker(
    slots: Annotated[
        int | None, count("Runs at once; Dagster's `max_concurrent_runs` without it.", 64, least=1)
    ] = None,
    grace: Annotated[
        int, count("Seconds that runs in hand get to end by themselves once it is stopped.", 86_400, least=0)
    ] = 20,
    health: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Say there, at /healthz, whether it goes round.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Executes the runs that Dagster launches (UI, schedules, backfills), several after another in one warm process.

    Any number may run, on other machines too: each run is executed by one of them. SIGTERM and Ctrl-C let runs in hand
    end within the grace; what has not ended is handed back and run again. Without any worker Dagster's code server
    starts a process for each run.
    """
    raise typer.Exit(run_worker(slots, grace, as_json, health))


def run_worker(slots: int | None, grace: int, as_json: bool, health: str | None = None) -> int:
    """Takes runs until SIGTERM or Ctrl-C.

    Args:
        health: HOST:PORT at which it says whether it is alive, or None.
    """
    from pipeline_project.serving.health import told_at
    from pipeline_project.serving.run_worker import RunWorker

    stopping = threading.Event()
    context = prepare()
    with dagster_instance(context) as instance:
        queue = instance.get_concurrency_config().run_queue_config
        at_once = slots or (queue.max_concurrent_runs if queue else 1)
        own = RunWorker(
            url=context.databases.dagster_url,
            instance=instance,
            slots=at_once,
            folders=context.settings.workflow_folders,
            stopping=stopping.is_set,
            report=complain,
            grace=grace,
            outdated=context.stores.newer_ledger,
            tenants=_served(context.settings),
        )
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: stopping.set())
        complain(f"Taking runs, {at_once} at once; Ctrl-C stops.")
        with told_at(health, lambda: own.goes_round) if health else nullcontext():
            own.work("run worker")
    if as_json:
        emit({"runs": own.executed})
    return Exit.DONE if own.refused is None else Exit.ENVIRONMENT_MISSING


def _served(chosen: Settings) -> dict[str, Sequence[Path]]:
    """Whose runs it takes, with the folders of their workflows: a tenant's worker that tenant's, else everybody's."""
    if chosen.tenant:
        return {chosen.tenant: chosen.workflow_folders}
    own = {name: chosen.of_tenant(name).workflow_folders for name in tenant_names(chosen.tenants)}
    return {"": chosen.workflow_folders, **own}
