"""`pipeline setup`: makes what is missing before services start side by side."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from pipeline_project.commands.shared.app_context import dagster_instance, prepare, settings
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, say
from pipeline_project.commands.shared.options import command_app, example
from pipeline_project.tenants import tenant_names

app = command_app()


@app.command(
    epilog=example("pipeline setup", "pipeline setup --bucket"),
)
def setup(
    bucket: Annotated[bool, typer.Option("--bucket", help="Make the lake's bucket too, where it is missing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Makes what is missing, of tenants as well, and brings all tables to this version.

    Every service does so for itself when it starts; given once before them, nothing is made by several at a time.
    What is there stays, so it may be given again.
    """
    raise typer.Exit(set_up(bucket, as_json))


def set_up(bucket: bool, as_json: bool) -> int:
    """Makes and migrates the three databases and, where it is asked for, the lake's bucket."""
    from pipeline_project.container.owner import made_bucket, migrated, touch_registry

    chosen = settings()
    if chosen.tenant:
        complain(
            f"`pipeline setup` sets up the house with all its tenants; unset PIPELINE_TENANT ({chosen.tenant}) for it, "
            f"or give `pipeline tenants add {chosen.tenant}` for this one"
        )
        return Exit.WRONG_CALL
    context = prepare()
    with dagster_instance(context) as instance:
        instance.upgrade()
    touch_registry(context.databases)
    tenants = tenant_names(context.settings.tenants)
    for name in tenants:
        touch_registry(migrated(context.settings.of_tenant(name))[0])
    made = made_bucket(context.settings, os.environ) if bucket else None
    if as_json:
        emit(
            {
                "databases": ["pipeline_dagster", "pipeline_ledger", "pipeline_mlflow"],
                "bucket": made,
                "tenants": list(tenants),
            }
        )
    else:
        whose = f", those of {', '.join(tenants)} as well" if tenants else ""
        say(f"The databases are ready{whose}{f', and the bucket {made}' if made else ''}.")
    return Exit.DONE
