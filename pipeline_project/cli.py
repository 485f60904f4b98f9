"""The `pipeline` command: what each command takes, and what its exit code means. The work is in `commands/`."""

from __future__ import annotations

import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from pipeline_project.commands.console import EXIT_CODES, AsJson, Exit, complain
from pipeline_project.domain.errors import (
    DatabaseMissing,
    DatabaseUnreachable,
    LakeUnavailable,
    PipelineError,
    SettingInvalid,
    WorkflowUnknown,
)
from pipeline_project.spec.load import InvalidSpec

app = typer.Typer(
    name="pipeline",
    help="Turns each night's cases into decisions: act, or ask a person, at the lowest expected cost.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Workflow = Annotated[str, typer.Argument(metavar="WORKFLOW", help="The name of a workflow, for instance returns.")]
Night = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"])]


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


def _example(*lines: str) -> str:
    return "Example:\n\n" + "\n\n".join(f"  {line}" for line in lines) + f"\n\n{EXIT_CODES}"


@app.command(epilog=_example("pipeline demo", "pipeline demo --nights 10 --per-night 100"))
def demo(
    nights: Annotated[int, typer.Option(min=1, max=300, help="Decided nights.")] = 60,
    per_night: Annotated[int, typer.Option(min=10, max=20_000, help="Cases in a night, about.")] = 80,
    seed: Annotated[int, typer.Option(help="The same seed gives the same cases.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Makes sample nights of return claims, runs them through Dagster and ends with a page to look at."""
    from pipeline_project.commands.demo import run_demo

    raise typer.Exit(run_demo(nights, per_night, seed, as_json))


@app.command(epilog=_example("pipeline up", "pipeline up --port 3100"))
def up(
    port: Annotated[int, typer.Option(help="Dagster's; MLflow and the reports take theirs beside it.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="MLflow's.")] = 5000,
    reports_port: Annotated[int, typer.Option(help="The night reports'.")] = 3002,
) -> None:
    """Starts database, Dagster (webserver and daemon) and MLflow, prints the addresses; Ctrl-C stops all of it."""
    from pipeline_project.commands.ground import prepare
    from pipeline_project.commands.up import Ports, run_until_stopped

    raise typer.Exit(run_until_stopped(prepare(), Ports(port, mlflow_port, reports_port)))


@app.command(epilog=_example("pipeline down"))
def down() -> None:
    """Stops the embedded database; a server of your own is left alone."""
    from pipeline_project.commands.ground import settings
    from resources.postgres import embedded

    if settings().postgres_url is None:
        embedded(settings()).stop()


@app.command(epilog=_example('eval "$(pipeline env)"', "dagster dev", "dg check defs"))
def env() -> None:
    """Prints the variables with which plain dagster, dg and mlflow work; starts the database."""
    from pipeline_project.commands.env import print_exports

    print_exports()


@app.command(
    epilog=_example(
        "pipeline nights returns --from 2025-03-01 --to 2025-03-31",
        "pipeline nights returns --from 2025-03-05 --to 2025-03-05 --again",
    )
)
def nights(
    workflow: Workflow,
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First night.")] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last night, included.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Also nights that are done.")] = False,
    retrain: Annotated[
        bool | None, typer.Option("--retrain/--no-retrain", help="Train on every night, or on none; else as declared.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Runs a range of nights in order; what is done and unchanged is passed over."""
    from pipeline_project.commands.backfill import run_range

    raise typer.Exit(run_range(workflow, _day(first), _day(last), again, retrain, as_json))


@app.command(epilog=_example("pipeline check my_workflow.yaml", "pipeline check"))
def check(
    files: Annotated[
        list[Path] | None, typer.Argument(help="YAML files; without any, every workflow there is.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Reports every mistake in workflow files, with line and a sentence that says what to write instead."""
    from pipeline_project.commands.check import run_check

    raise typer.Exit(run_check(files or [], as_json))


@app.command(epilog=_example("pipeline why returns R-20250305-0012"))
def why(
    workflow: Workflow,
    case: Annotated[str, typer.Argument(help="The id of a case.")],
    as_json: AsJson = False,
) -> None:
    """Prints the dossier of one decision, from the ledger alone."""
    from pipeline_project.commands.why import explain

    raise typer.Exit(explain(workflow, case, as_json))


@app.command(
    epilog=_example(
        "pipeline quarantine returns",
        "pipeline quarantine returns --night 2025-03-05 --export to_repair.csv",
        "pipeline quarantine returns --night 2025-03-05 --repair repaired.csv",
    )
)
def quarantine(
    workflow: Workflow,
    night: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only this night.")] = None,
    export: Annotated[Path | None, typer.Option(help="Write the rows, as they came, to a CSV file to repair.")] = None,
    repair: Annotated[Path | None, typer.Option(help="A repaired file; its rows re-enter the night, once.")] = None,
    as_json: AsJson = False,
) -> None:
    """Lists refused rows with their reasons; exports them for repair and takes repaired files back."""
    from pipeline_project.commands.quarantine import run_quarantine

    raise typer.Exit(run_quarantine(workflow, _day(night), export, repair, as_json))


@app.command(epilog=_example("pipeline status", "pipeline status --json"))
def status(as_json: AsJson = False) -> None:
    """What each workflow has done: nights, decisions, champion, quarantine, open alerts."""
    from pipeline_project.commands.status import show_status

    raise typer.Exit(show_status(as_json))


@app.command(epilog=_example("pipeline doctor"))
def doctor(as_json: AsJson = False) -> None:
    """Checks the ground: Python, packages, home, disk, database, lake, MLflow, encoders, workflows."""
    from pipeline_project.commands.doctor import examine

    raise typer.Exit(examine(as_json))


@app.command(epilog=_example("pipeline sample --from 2025-02-01 --to 2025-04-29 --per-night 200"))
def sample(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First night.")] = datetime(
        2025, 2, 1
    ),
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last night.")] = datetime(2025, 4, 29),  # noqa: DTZ001
    per_night: Annotated[int, typer.Option(min=10, max=100_000, help="Cases in a night, about.")] = 80,
    seed: Annotated[int, typer.Option(help="The same seed gives the same cases.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Writes sample return claims with a known truth, as a shop would drop them in a folder."""
    from pipeline_project.commands.demo import write_sample

    raise typer.Exit(write_sample(first.date(), last.date(), per_night, seed, as_json))


@app.command(epilog=_example("pipeline results order_returns", "pipeline results support_tickets"))
def results(workflow: Workflow, as_json: AsJson = False) -> None:
    """What the decisions of a workflow cost against the simplest policies, and how good its probabilities are."""
    from pipeline_project.commands.results import show_results

    raise typer.Exit(show_results(workflow, as_json))


_EXITS: tuple[tuple[type[PipelineError], Exit], ...] = (
    (InvalidSpec, Exit.SPEC_MISTAKE),
    (WorkflowUnknown, Exit.NOT_FOUND),
    (SettingInvalid, Exit.WRONG_CALL),
    (DatabaseUnreachable, Exit.GROUND_MISSING),
    (DatabaseMissing, Exit.GROUND_MISSING),
    (LakeUnavailable, Exit.GROUND_MISSING),
)


def main() -> None:
    """Runs the command; an error we know becomes one sentence and an exit code, without a traceback."""
    try:
        app()
    except PipelineError as error:
        complain(str(error))
        sys.exit(next((code for kind, code in _EXITS if isinstance(error, kind)), Exit.NIGHT_FAILED))


if __name__ == "__main__":
    main()
