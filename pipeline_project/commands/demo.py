"""`pipeline demo`: sample nights of return claims with a known truth, run and shown."""

from __future__ import annotations

import time
from datetime import date
from typing import Annotated

import typer

from pipeline_project.commands.sample import SAMPLED, last_night, write_nights
from pipeline_project.commands.shared.app_context import lake, settings, workflow
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, facts, say
from pipeline_project.commands.shared.options import (
    PerNight,
    Seed,
    command_app,
    count,
    example,
)
from pipeline_project.domain.core.locations import below
from pipeline_project.domain.core.schema import CASE_ID
from pipeline_project.serving.ports import Ports

app = command_app()


@app.command(
    epilog=example("pipeline demo", "pipeline demo --nights 10 --per-night 100"),
)
def demo(
    nights: Annotated[int, count("Decided nights.", 300, least=1)] = 60,
    per_night: PerNight = 80,
    seed: Seed = 7,
    as_json: AsJson = False,
) -> None:
    """Makes sample nights of return claims, runs them through Dagster and ends with a page to look at."""
    raise typer.Exit(run_demo(nights, per_night, seed, as_json))


def run_demo(nights: int, per_night: int, seed: int, as_json: bool) -> int:
    """Sample cases from the workflow's first night to `nights` decided ones, then every one of those nights."""
    from pipeline_project.commands.nights import report_runs, run_nights
    from pipeline_project.commands.shared.night_runner import as_rows

    spec, began = workflow(SAMPLED), time.monotonic()
    last = last_night(spec, nights)
    try:
        write_nights(spec, spec.nights.first, last, per_night, seed, quiet=as_json)
        runs = run_nights(spec, spec.nights.first_night, last.isoformat(), quiet=as_json)
    except KeyboardInterrupt:
        command = f"pipeline demo --nights {nights} --per-night {per_night} --seed {seed}"
        complain(f"Stopped. Nights that are done stay done; go on with: {command}")
        return Exit.INTERRUPTED
    index = below(settings().reports, "index.html")
    if as_json:
        emit({"nights": as_rows(runs), "page": index})
    else:
        report_runs(SAMPLED, runs)
        say(f"All of it took {time.monotonic() - began:,.0f} seconds.")
        say(f"The page of these nights: {index}")
        say("Next:")
        facts(
            [
                ("pipeline people add ada --role reviewer", "somebody who may decide; prints a password, once"),
                (
                    "pipeline up",
                    f"the desk at http://127.0.0.1:{Ports.desk}, Dagster at :{Ports.dagster}, and the rest",
                ),
                (f"pipeline status {SAMPLED}", "the nights done, missing and stopped"),
                (f"pipeline why {SAMPLED} {_a_case(last)}", "everything one decision rests on"),
                (f"pipeline quarantine {SAMPLED}", "the rows refused, and how to repair them"),
                *left_running(),
            ]
        )
    return Exit.DONE if all(run.went_well for run in runs) else Exit.NIGHT_FAILED


def left_running() -> list[tuple[str, str]]:
    """What goes on running when the command has ended, with the command that stops it."""
    from resources.postgres.databases import embedded

    chosen = settings()
    if chosen.postgres_url is not None or not embedded(chosen).is_running():
        return []
    return [("pipeline down", "stops the database server, which goes on running until then")]


def _a_case(night: date) -> str:
    decided = lake(settings()).read_night(SAMPLED, "decisions", night.isoformat())
    return str(decided[CASE_ID][0]) if decided is not None and len(decided) else "CASE"
