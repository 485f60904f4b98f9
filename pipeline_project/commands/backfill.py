"""What `pipeline nights` and `pipeline demo` share: a range of nights, run and told."""

from __future__ import annotations

import os
from datetime import date

from pipeline_project.commands.console import Exit, complain, emit, say, steps
from pipeline_project.commands.ground import dagster_instance, prepare, workflow
from pipeline_project.commands.nights import NightRun, NightRunner, as_rows
from pipeline_project.domain.nights import nights_between
from pipeline_project.partitions import last_ended
from pipeline_project.spec import WorkflowSpec


def run_range(
    name: str, first: date | None, last: date | None, again: bool, retrain: bool | None, as_json: bool
) -> int:
    """Runs the nights of one workflow; without bounds, all that have ended."""
    spec = workflow(name)
    start, end = first or spec.nights.first, last or date.fromisoformat(last_ended(spec))
    if start < spec.nights.first or end < start:
        complain(f"{name} has nights from {spec.nights.first} on; give --from and --to in that order")
        return Exit.WRONG_CALL
    runs = run_nights(spec, start, end, again, retrain, quiet=as_json)
    if as_json:
        emit({"workflow": name, "nights": as_rows(runs)})
    else:
        tell(name, runs)
    return Exit.DONE if all(run.went_well for run in runs) else Exit.NIGHT_FAILED


def run_nights(
    spec: WorkflowSpec, first: date, last: date, again: bool = False, retrain: bool | None = None, quiet: bool = False
) -> list[NightRun]:
    """Runs a range of nights through Dagster in this process, with a progress bar unless quiet."""
    ground = prepare()
    from pipeline_project.definitions import build_definitions
    from resources.doors import SourceDoors, open_ledger

    definitions = build_definitions(os.environ)
    total = len(list(nights_between(first, last)))
    with dagster_instance(ground) as instance, steps(total, spec.name, quiet) as bar:
        runner = NightRunner(spec, definitions, instance, SourceDoors(ground.settings), open_ledger(ground.settings))
        return runner.run(first, last, again, retrain, lambda run: bar.step(f"{spec.name} {run.night} {run.outcome}"))


def tell(name: str, runs: list[NightRun]) -> None:
    """What became of the nights, in words; every night that stopped with its reason."""
    for run in runs:
        if not run.went_well:
            complain(f"{run.night} {run.outcome}: {run.why}")
    counts = {
        outcome: sum(run.outcome == outcome for run in runs) for outcome in ("done", "passed_over", "blocked", "failed")
    }
    words = ", ".join(f"{count} {outcome.replace('_', ' ')}" for outcome, count in counts.items() if count)
    say(f"{name}: {len(runs)} nights, {words or 'none in that range has ended'}")
