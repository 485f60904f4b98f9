"""The `pipeline` command: what each command takes, and what its exit code means. The work is in `commands/`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from pipeline_project.commands import (
    cli_actions,
    cli_audit,
    cli_clusters,
    cli_drift,
    cli_hooks,
    cli_live,
    cli_models,
    cli_outcomes,
    cli_people,
    cli_privacy,
    cli_reconcile,
    cli_replay,
)
from pipeline_project.commands.shared.console import EXIT_WORDS, AsJson
from pipeline_project.commands.shared.failures import explained
from pipeline_project.commands.shared.options import (
    First,
    Last,
    PerNight,
    Seed,
    Workflow,
    count,
    day,
    example,
    night_option,
    paragraph,
    port_option,
)
from pipeline_project.domain.core.errors import PipelineError

_EXIT_CODES = paragraph("Exit codes:", [f"{code:>3}  {words}" for code, words in EXIT_WORDS.items()])
_START = example("pipeline demo", "pipeline up", "pipeline status", "pipeline nights --help")

app = typer.Typer(
    name="pipeline",
    help="Turns each night's cases into decisions: act, or ask a person, at the lowest expected cost.",
    epilog=f"{_START}\n\n{_EXIT_CODES}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command(
    epilog=example("pipeline demo", "pipeline demo --nights 10 --per-night 100"),
    short_help="Runs sample nights of return claims; start here.",
)
def demo(
    nights: Annotated[int, count("Decided nights.", 300, least=1)] = 60,
    per_night: PerNight = 80,
    seed: Seed = 7,
    as_json: AsJson = False,
) -> None:
    """Makes sample nights of return claims, runs them through Dagster and ends with a page to look at."""
    from pipeline_project.commands.demo import run_demo

    raise typer.Exit(run_demo(nights, per_night, seed, as_json))


@app.command(
    epilog=example("pipeline up", "pipeline up --port 3100 --mlflow-port 5100 --reports-port 3102"),
    short_help="Starts database, Dagster, MLflow and the desk; Ctrl-C stops them.",
)
def up(
    port: Annotated[int, port_option("Dagster's.")] = 3000,
    mlflow_port: Annotated[int, port_option("MLflow's.")] = 5000,
    reports_port: Annotated[int, port_option("The night reports'.")] = 3002,
    desk_port: Annotated[int, port_option("The review desk's.")] = 3004,
    shop_port: Annotated[int, port_option("The fake shop's.")] = 3006,
    as_json: AsJson = False,
) -> None:
    """Starts database, Dagster, MLflow, the review desk and the dispatcher; Ctrl-C stops all of it.

    Where PIPELINE_SHOP_URL is not set a fake shop is started too, so that the sample's refunds arrive somewhere.
    Everything listens on this machine alone; the services' output is kept in PIPELINE_HOME/logs. With --json the
    addresses come as one document, once everything answers.
    """
    from pipeline_project.commands.up import run_until_stopped
    from pipeline_project.serving.ports import Ports

    raise typer.Exit(run_until_stopped(Ports(port, mlflow_port, reports_port, desk_port, shop_port), as_json))


@app.command(epilog=example("pipeline down"), short_help="Stops a running `up` and the embedded database.")
def down(as_json: AsJson = False) -> None:
    """Stops `pipeline up` of this home and the embedded database; a server of your own is left alone."""
    from pipeline_project.commands.down import stop_all

    raise typer.Exit(stop_all(as_json))


@app.command(
    epilog=example('eval "$(pipeline env)"', "dagster dev", "dg check defs"),
    short_help="Variables for plain dagster, dg and mlflow.",
)
def env(as_json: AsJson = False) -> None:
    """Prints the variables with which plain dagster, dg and mlflow work; starts the database.

    Those tools need the database's password, so it is part of what is printed: keep it out of logs.
    """
    from pipeline_project.commands.env import print_exports

    raise typer.Exit(print_exports(as_json))


@app.command(
    epilog=example(
        "pipeline nights returns",
        "pipeline nights returns --from 2025-03-01 --to 2025-03-31",
        "pipeline nights returns --night 2025-03-05 --again",
    ),
    short_help="Runs a range of nights in order.",
)
def nights(
    workflow: Workflow,
    first: First = None,
    last: Last = None,
    night: Annotated[datetime | None, night_option("Only this night.", "--night")] = None,
    again: Annotated[bool, typer.Option("--again", help="Also nights that are done.")] = False,
    retrain: Annotated[
        bool | None, typer.Option("--retrain/--no-retrain", help="Train on every night, or on none; else as declared.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Runs a range of nights in order; what is done and unchanged is passed over.

    Without a range: from the workflow's first night to the last one that has landed and ended. Killed or stopped, the
    same command goes on where it was.
    """
    if night is not None and (first is not None or last is not None):
        raise typer.BadParameter("give either --night, or --from and --to")
    from pipeline_project.commands.backfill import run_range

    raise typer.Exit(run_range(workflow, day(night or first), day(night or last), again, retrain, as_json))


@app.command(
    epilog=example("pipeline check", "pipeline check my_workflow.yaml --data"),
    short_help="Reports every mistake in workflow files.",
)
def check(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="YAML files; without any, every workflow there is.")
    ] = None,
    data: Annotated[
        bool, typer.Option("--data", help="Also open the first files: columns, labels, ids, photos, encoders.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Reports every mistake in workflow files, with line and a sentence that says what to write instead.

    With --data it also opens the first files that a workflow names, and says what of the spec they do not bear out.
    Nothing is written and no night is run.
    """
    from pipeline_project.commands.check import run_check

    raise typer.Exit(run_check(files or [], as_json, data))


@app.command(epilog=example("pipeline why returns R250305-SUVRVTF"), short_help="What one decision rests on.")
def why(
    workflow: Workflow,
    case: Annotated[str, typer.Argument(metavar="CASE", help="The id of a case.")],
    as_json: AsJson = False,
) -> None:
    """Prints the dossier of one decision, from the ledger alone."""
    from pipeline_project.commands.why import explain

    raise typer.Exit(explain(workflow, case, as_json))


@app.command(
    epilog=example(
        "pipeline quarantine returns",
        "pipeline quarantine returns --night 2025-03-05 --export to_repair.csv",
        "pipeline quarantine returns --night 2025-03-05 --repair to_repair.csv",
    ),
    short_help="Lists refused rows; takes repaired ones back.",
)
def quarantine(
    workflow: Workflow,
    night: Annotated[datetime | None, night_option("Only this night.", "--night")] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the rows, as they came, to a CSV file to repair.")
    ] = None,
    repair: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A repaired file; its rows re-enter the night, once.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Lists refused rows with their reasons; exports them for repair and takes repaired files back.

    The list repeats no value of a row; an exported file holds what customers wrote.
    """
    from pipeline_project.commands.quarantine import run_quarantine

    raise typer.Exit(run_quarantine(workflow, day(night), export, repair, as_json))


@app.command(
    epilog=example("pipeline status", "pipeline status returns", "pipeline status --json"),
    short_help="What each workflow has done, and open alerts.",
)
def status(
    workflow: Annotated[
        str | None, typer.Argument(metavar="WORKFLOW", help="One workflow, with its nights done, missing and stopped.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What each workflow has done: nights, decisions, champion, quarantine, open alerts."""
    from pipeline_project.commands.status import show_status

    raise typer.Exit(show_status(workflow, as_json))


@app.command(
    epilog=example("pipeline doctor", "pipeline doctor --deep"), short_help="Checks what the project stands on."
)
def doctor(
    deep: Annotated[bool, typer.Option("--deep", help="Also read every file kept, and name what is damaged.")] = False,
    as_json: AsJson = False,
) -> None:
    """Checks the ground: Python, packages, home, disk, database, lake, MLflow, encoders, workflows."""
    from pipeline_project.commands.doctor import examine

    raise typer.Exit(examine(as_json, deep))


@app.command(
    epilog=example("pipeline sample --from 2025-03-01 --to 2025-03-31 --per-night 200"),
    short_help="Writes sample return claims, without running them.",
)
def sample(
    first: First = None,
    last: Last = None,
    per_night: PerNight = 80,
    seed: Seed = 7,
    as_json: AsJson = False,
) -> None:
    """Writes sample return claims with a known truth, as a shop would drop them in a folder.

    Without a range: from the workflow's first night to its sixtieth decided one.
    """
    from pipeline_project.commands.demo import write_sample

    raise typer.Exit(write_sample(day(first), day(last), per_night, seed, as_json))


@app.command(
    epilog=example("pipeline results returns", "pipeline results order_returns"),
    short_help="What the decisions cost, and how good they were.",
)
def results(workflow: Workflow, as_json: AsJson = False) -> None:
    """What the decisions of a workflow cost against the simplest policies, and how good its probabilities are."""
    from pipeline_project.commands.results import show_results

    raise typer.Exit(show_results(workflow, as_json))


#: Commands of one room each, in modules of their own beside this one.
ROOMS: tuple[Callable[[typer.Typer], None], ...] = (
    cli_people.register,
    cli_actions.register,
    cli_audit.register,
    cli_clusters.register,
    cli_drift.register,
    cli_hooks.register,
    cli_live.register,
    cli_models.register,
    cli_outcomes.register,
    cli_privacy.register,
    cli_reconcile.register,
    cli_replay.register,
)
for _register in ROOMS:
    _register(app)


def main() -> None:
    """Runs the command; an error that a person can mend becomes one sentence and an exit code, not a traceback."""
    try:
        app()
    except (PipelineError, OSError) as error:
        code = explained(error)
        if code is None:
            raise
        sys.exit(code)


if __name__ == "__main__":
    main()
