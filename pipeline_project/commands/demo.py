"""`pipeline demo` and `pipeline sample`: nights of return claims with a known truth, run and shown."""

from __future__ import annotations

from datetime import date, timedelta

from pipeline_project.commands.shared.app_context import lake, settings, usable, workflow
from pipeline_project.commands.shared.console import Exit, complain, emit, facts, say, steps
from pipeline_project.domain.core.nights import nights_between
from pipeline_project.domain.core.schema import CASE_ID
from pipeline_project.serving.ports import Ports
from pipeline_project.spec import WorkflowSpec

SAMPLED = "returns"
#: Decided nights of a sample whose end is not given.
NIGHTS = 60


def run_demo(nights: int, per_night: int, seed: int, as_json: bool) -> int:
    """Sample cases from the workflow's first night to `nights` decided ones, then every one of those nights."""
    from pipeline_project.commands.backfill import run_nights, tell
    from pipeline_project.commands.shared.night_runner import as_rows

    spec = workflow(SAMPLED)
    last = _after(spec, nights)
    try:
        _write(spec, spec.nights.first, last, per_night, seed, quiet=as_json)
        runs = run_nights(spec, spec.nights.first, last, quiet=as_json)
    except KeyboardInterrupt:
        command = f"pipeline demo --nights {nights} --per-night {per_night} --seed {seed}"
        complain(f"Stopped. Nights that are done stay done; go on with: {command}")
        return Exit.INTERRUPTED
    index = settings().home / "reports" / "index.html"
    if as_json:
        emit({"nights": as_rows(runs), "page": str(index)})
    else:
        tell(SAMPLED, runs)
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


def write_sample(first: date | None, last: date | None, per_night: int, seed: int, as_json: bool) -> int:
    """Sample cases alone, without running anything."""
    spec = workflow(SAMPLED)
    start, end = first or spec.nights.first, last or _after(spec, NIGHTS)
    if end < start:
        complain(f"--to {end} is before --from {start}; give them in that order")
        return Exit.WRONG_CALL
    summary = _write(spec, start, end, per_night, seed, quiet=as_json)
    if as_json:
        emit(summary)
    else:
        say(f"{summary['claims']} claims and {summary['photos']} photos in {settings().sample_folder / SAMPLED}")
    return Exit.DONE


def _after(spec: WorkflowSpec, nights: int) -> date:
    return spec.nights.decide_from + timedelta(days=nights - 1)


def _a_case(night: date) -> str:
    decided = lake(settings()).read_night(SAMPLED, "decisions", night.isoformat())
    return str(decided[CASE_ID][0]) if decided is not None and len(decided) else "CASE"


def _write(spec: WorkflowSpec, first: date, last: date, per_night: int, seed: int, quiet: bool) -> dict[str, int]:
    from pipeline_project.sample import make_sample

    usable(settings().home)
    nights = [date.fromisoformat(night) for night in nights_between(first, last)]
    with steps(len(nights), "sample cases", quiet) as bar:
        summary = make_sample(
            settings().sample_folder / SAMPLED,
            nights,
            per_night,
            seed,
            first=spec.nights.first,
            progress=lambda done, total: bar.step(f"sample cases {nights[min(done, total) - 1]}"),
        )
    return {"nights": len(nights), "claims": summary.claims, "photos": summary.photos}
