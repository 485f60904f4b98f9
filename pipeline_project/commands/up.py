"""`pipeline up`: database, Dagster, MLflow, desk and dispatcher in one go, and all of them down again on Ctrl-C."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_project.commands.shared.app_context import AppContext, prepare, settings, usable
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, facts, say
from pipeline_project.commands.shared.options import (
    command_app,
    example,
    port_option,
)
from pipeline_project.container.owner import migrated
from pipeline_project.serving.home_lock import only_one, served_addresses, write_addresses
from pipeline_project.serving.ports import Ports, is_free
from pipeline_project.serving.processes import SHOP_URL, services
from pipeline_project.serving.signed_in import PROBE
from pipeline_project.serving.supervisor import StopSignal, Supervisor
from pipeline_project.tenants import ports_of, tenant_names

if TYPE_CHECKING:
    from pipeline_project.settings import Settings

SESSION_SECONDS = 3

app = command_app()


@app.command(
    epilog=example("pipeline up", "pipeline up --port 3100 --mlflow-port 5100 --reports-port 3102"),
)
def up(
    port: Annotated[int, port_option("Dagster's.")] = 3000,
    mlflow_port: Annotated[int, port_option("MLflow's.")] = 5000,
    reports_port: Annotated[int, port_option("The night reports'.")] = 3002,
    desk_port: Annotated[int, port_option("The review desk's.")] = 3004,
    shop_port: Annotated[int, port_option("The fake shop's.")] = 3006,
    as_json: AsJson = False,
) -> None:
    """Starts database, Dagster, a run worker, MLflow, the desk and the dispatcher; Ctrl-C stops all of it.

    Where PIPELINE_SHOP_URL is not set a fake shop is started too, so that the sample's refunds arrive somewhere.
    Everything listens on this machine alone; the services' output is kept in PIPELINE_HOME/logs. With --json the
    addresses come as one document, once everything answers.
    """
    raise typer.Exit(run_until_stopped(Ports(port, mlflow_port, reports_port, desk_port, shop_port), as_json))


def run_until_stopped(ports: Ports, as_json: bool) -> int:
    """Starts everything, prints the addresses, waits for Ctrl-C or for a service to die, and stops everything.

    Returns:
        The exit code: 0 after Ctrl-C or SIGTERM, 1 when a service died or did not become ready, 2 when a port is in
        use or this home is up already.
    """
    chosen = settings()
    if chosen.tenant:
        complain(f"`pipeline up` starts the house with all its tenants; unset PIPELINE_TENANT ({chosen.tenant}) for it")
        return Exit.WRONG_CALL
    home = usable(chosen.home)
    with only_one(home) as lock:
        if lock is None:
            complain(f"{home} is up already, at {', '.join(served_addresses(home))}; `pipeline down` stops it")
            return Exit.WRONG_CALL
        write_addresses(lock, ports.addresses())
        ways = {port: f"give another one with {option}" for option, port in ports.in_use().items()}
        ways |= {
            port: f"give {name} another `port` in tenants.yaml" for port, name in _tenant_ports_in_use(chosen, ports)
        }
        if ways:
            listed = ", ".join(f"{port} ({way})" for port, way in ways.items())
            complain(f"in use on this machine: port {listed}; nothing was started")
            return Exit.WRONG_CALL
        stopping = StopSignal()
        context = prepare()
        try:
            return _serve(context, ports, stopping, as_json)
        finally:
            _stop_database(context)
            complain("Stopped.")


def _serve(context: AppContext, ports: Ports, stopping: StopSignal, as_json: bool) -> int:
    home = context.settings.home
    logs = home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    probe = secrets.token_urlsafe(32)
    environ = {
        **os.environ,
        **context.environ,
        PROBE: probe,
        "PYTHONUNBUFFERED": "1",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # not on the command line, where every user of the machine could read the password
        "MLFLOW_BACKEND_STORE_URI": context.databases.mlflow_url,
        **_own_addresses(ports),
    }
    supervisor = Supervisor(environ, logs, complain, stopping)
    try:
        for name in tenant_names(context.settings.tenants):
            migrated(context.settings.of_tenant(name))
        started = services(context.settings, ports, probe)
        supervisor.start(started)
        if not supervisor.all_ready():
            return Exit.DONE if stopping.received else Exit.NIGHT_FAILED
        tenants = {one.name: one.address for one in started if one.variables and one.address}
        if as_json:
            emit({"addresses": {**ports.addresses(), **tenants}, "logs": str(logs)})
        else:
            say("Ready:")
            facts({**ports.addresses(), **tenants}.items())
            say("Ctrl-C stops all of it.")
        return Exit.DONE if supervisor.watch(context.stores.newer_ledger) else Exit.NIGHT_FAILED
    finally:
        supervisor.stop()


def _tenant_ports_in_use(chosen: Settings, ports: Ports) -> Iterator[tuple[int, str]]:
    """Ports of tenants that another program, the house or another tenant has, with whose they are."""
    taken = {getattr(ports, one.name) for one in fields(ports)}
    for name in tenant_names(chosen.tenants):
        for port in ports_of(chosen.of_tenant(name).workflow_folders[0].parent, name):
            if port in taken or not is_free(port):
                yield port, name
            taken.add(port)


def _own_addresses(ports: Ports) -> dict[str, str]:
    """Where people reach the pages, when it is not the usual place."""
    usual, chosen = Ports().addresses(), ports.addresses()
    named = {"reports": "PIPELINE_REPORTS_URL", "desk": "PIPELINE_DESK_URL", "shop": SHOP_URL}
    return {
        variable: chosen[name]
        for name, variable in named.items()
        if chosen[name] != usual[name] and not (name == "shop" and os.environ.get(SHOP_URL))
    }


def _stop_database(context: AppContext) -> None:
    """Stops the embedded database unless another command works with it at this moment."""
    if context.settings.postgres_url is not None:
        return
    from resources.postgres.databases import embedded

    deadline = time.monotonic() + SESSION_SECONDS
    while (others := context.stores.sessions()) and time.monotonic() < deadline:
        time.sleep(0.1)
    if others:
        complain(f"The database runs on: other commands use it ({others} sessions). `pipeline down` stops it.")
    else:
        embedded(context.settings).stop()
