"""`pipeline nights`: runs a range of nights in order, in this process; what is done is passed over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_project.commands.shared.alerts import NIGHT, alerts_of, report_alerts
from pipeline_project.commands.shared.app_context import AppContext, dagster_instance, prepare, settings, workflow
from pipeline_project.commands.shared.asked_nights import first_asked, last_asked
from pipeline_project.commands.shared.console import AsJson, Exit, Steps, complain, emit, say, steps
from pipeline_project.commands.shared.options import (
    First,
    Last,
    Workflow,
    command_app,
    example,
    night_option,
)
from pipeline_project.commands.shared.orphans import alive, end_orphans
from pipeline_project.commands.shared.stopping import ends_on_sigterm, raise_if_asked
from pipeline_project.domain.core.errors import DatabaseUnreachable
from pipeline_project.domain.core.nights import distance

if TYPE_CHECKING:
    from pipeline_project.commands.shared.night_runner import NightRun
    from pipeline_project.spec import WorkflowSpec

OVERLOOKED_LISTED = 8

app = command_app()


@app.command(
    epilog=example(
        "pipeline nights returns",
        "pipeline nights returns --from 2025-03-01 --to 2025-03-31",
        "pipeline nights returns --night 2025-03-05 --again",
    ),
)
def nights(
    workflow: Workflow,
    first: First = None,
    last: Last = None,
    night: Annotated[str | None, night_option("Only this night.", "--night")] = None,
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
    raise typer.Exit(run_range(workflow, night or first, night or last, again, retrain, as_json))


def run_range(name: str, first: str | None, last: str | None, again: bool, retrain: bool | None, as_json: bool) -> int:
    """Runs the nights of one workflow; without bounds, from the first one to the last that landed and has ended.

    Args:
        first, last: keys, or days.
    """
    from pipeline_project.partitions import last_ended

    spec = workflow(name)
    ended = last_ended(spec, prepare().ledger.now())
    start = first_asked(spec, first) or spec.nights.first_night
    end = last_asked(spec, last) or _last_landed(spec, ended)
    if end is None:
        complain(
            f"nothing has landed for {name} yet, where `source` in its file says; `pipeline demo` shows sample cases"
        )
        for sentence in overlooked(spec):
            complain(sentence)
        return Exit.NOT_FOUND
    if start < spec.nights.first_night or end < start:
        complain(f"{name} has nights from {spec.nights.first_night} on; give --from and --to in that order")
        return Exit.WRONG_CALL
    if start > ended:
        complain(f"the night {start} has not ended; the last one that has is {ended}")
        return Exit.WRONG_CALL
    try:
        with ends_on_sigterm():
            runs = run_nights(spec, start, end, again, retrain, quiet=as_json)
    except KeyboardInterrupt:
        options = f"{' --again' if again else ''}{_retraining(retrain)}"
        complain(f"Stopped. Nights that are done stay done; go on with: {_command(name, start, end)}{options}")
        return Exit.INTERRUPTED
    if as_json:
        from pipeline_project.commands.shared.night_runner import as_rows

        emit({"workflow": name, "nights": as_rows(runs)})
    else:
        report_runs(name, runs)
        # a night that stopped was told on its line
        ran = {run.night for run in runs}
        report_alerts([alert for alert in alerts_of(prepare().ledger, name) if not ran & {*NIGHT.findall(alert.key)}])
    return Exit.DONE if all(run.went_well for run in runs) else Exit.NIGHT_FAILED


def _command(name: str, first: str, last: str) -> str:
    return f"pipeline nights {name} --from {first} --to {last}"


def _retraining(retrain: bool | None) -> str:
    return {None: "", True: " --retrain", False: " --no-retrain"}[retrain]


def _last_landed(spec: WorkflowSpec, ended: str) -> str | None:
    from pipeline_project.container.night import OpenedSources

    source = OpenedSources(settings()).cases(spec)
    landed = [night for night in source.nights_landed() if spec.has_night(night) and night <= ended]
    return landed[-1] if landed else None


def overlooked(spec: WorkflowSpec) -> list[str]:
    """The first of what lies at the sources and is read for no night, in words."""
    from pipeline_project.container.night import OpenedSources

    sentences = list(dict.fromkeys(entry.sentence for entry in OpenedSources(settings()).overlooked(spec)))
    more = [f"and {len(sentences) - OVERLOOKED_LISTED} more like these"] if len(sentences) > OVERLOOKED_LISTED else []
    return [*sentences[:OVERLOOKED_LISTED], *more]


def run_nights(
    spec: WorkflowSpec, first: str, last: str, again: bool = False, retrain: bool | None = None, quiet: bool = False
) -> list[NightRun]:
    """Runs a range of nights through Dagster in this process, with a progress bar unless quiet.

    Nobody else works on the workflow meanwhile: whoever does is waited for, and waits afterwards.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; the night that ran is left for the next call.
        DatabaseUnreachable: the database went away while nights ran.
        NightOutOfTurn: an earlier night is queued or under way in Dagster.
    """
    context = prepare()
    from pipeline_project.automation.turns import out_of_turn, unfinished
    from pipeline_project.commands.shared.night_runner import NightRunner
    from pipeline_project.container.night import OpenedSources, open_ledger, open_turns
    from pipeline_project.definitions import build_definitions

    definitions = build_definitions(os.environ, only=spec.name)
    total = max(distance(first, last) + 1, 0)
    home = context.settings.house_home
    with (
        _errors_in_our_words(context),
        dagster_instance(context) as instance,
        alive(home) as mark,
        steps(total, spec.name, quiet) as bar,
        open_turns(context.settings).taken(
            [spec.dagster_name], f"pipeline nights {spec.name}", _waiting, for_process=True
        ),
    ):
        end_orphans(instance, home)
        if earlier := sorted(night for night in unfinished(instance).get(spec.dagster_name, ()) if night < first):
            raise out_of_turn(spec.name, earlier[0], first)
        sources, ledger = OpenedSources(context.settings), open_ledger(context.settings)
        runner = NightRunner(spec, definitions, instance, sources, ledger, mark)
        return runner.run(first, last, again, retrain, lambda run: _report_night(bar, spec.name, run))


def _waiting(workflow: str, holder: str) -> None:
    complain(f"{workflow} waits for its turn: {holder} works on it. Ctrl-C stops waiting")


def _report_night(bar: Steps, workflow: str, run: NightRun) -> None:
    """One night on its line, what stopped it included; above the progress bar where there is one."""
    line = f"{workflow} {run.night} {run.outcome}"
    if run.went_well:
        bar.step(line)
    else:
        bar.step(line, why=run.why or "see the run in Dagster")
    raise_if_asked()


@contextmanager
def _errors_in_our_words(context: AppContext) -> Iterator[None]:
    """Dagster's own words for Ctrl-C and for a database that is gone, as ours."""
    from dagster import DagsterExecutionInterruptedError
    from dagster_postgres.utils import DagsterPostgresException
    from sqlalchemy.exc import OperationalError

    from resources.postgres.databases import safe

    try:
        yield
    except DagsterExecutionInterruptedError:
        raise KeyboardInterrupt from None
    except (OperationalError, DagsterPostgresException):
        raise DatabaseUnreachable(
            f"PostgreSQL at {safe(context.databases.dagster_url)} went away while nights ran; start it and give the "
            "same command again: it goes on with the night that was cut off"
        ) from None


def report_runs(name: str, runs: list[NightRun]) -> None:
    """What became of the nights, counted, and what to look at; each that stopped was told on its own line."""
    for run in runs:
        for note in run.notes:
            complain(f"{run.night}: {note}")
    counts = {
        outcome: sum(run.outcome == outcome for run in runs) for outcome in ("done", "passed_over", "blocked", "failed")
    }
    outcomes = ", ".join(f"{count} {outcome.replace('_', ' ')}" for outcome, count in counts.items() if count)
    nights = "night" if len(runs) == 1 else "nights"
    say(f"{name}: {len(runs)} {nights}, {outcomes or 'none in that range has ended'}")
