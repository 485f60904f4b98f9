"""`pipeline sample`: return claims with a known truth, written as a shop would drop them in a folder."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_project.commands.shared.app_context import settings, usable, workflow
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, say, steps
from pipeline_project.commands.shared.options import (
    PerNight,
    Seed,
    command_app,
    day,
    day_option,
    example,
)
from pipeline_project.domain.core.nights import nights_between

if TYPE_CHECKING:
    from pipeline_project.spec import WorkflowSpec

SAMPLED = "returns"
#: Decided nights of a sample whose end is not given.
NIGHTS = 60

app = command_app()


@app.command(
    epilog=example("pipeline sample --from 2025-03-01 --to 2025-03-31 --per-night 200"),
)
def sample(
    first: Annotated[datetime | None, day_option("First night, as in 2025-03-01.", "--from")] = None,
    last: Annotated[datetime | None, day_option("Last night, included.", "--to")] = None,
    per_night: PerNight = 80,
    seed: Seed = 7,
    as_json: AsJson = False,
) -> None:
    """Writes sample return claims with a known truth, as a shop would drop them in a folder.

    Without a range: from the workflow's first night to its sixtieth decided one.
    """
    raise typer.Exit(write_sample(day(first), day(last), per_night, seed, as_json))


def write_sample(first: date | None, last: date | None, per_night: int, seed: int, as_json: bool) -> int:
    """Sample cases alone, without running anything."""
    spec = workflow(SAMPLED)
    start, end = first or spec.nights.first, last or last_night(spec, NIGHTS)
    if end < start:
        complain(f"--to {end} is before --from {start}; give them in that order")
        return Exit.WRONG_CALL
    summary = write_nights(spec, start, end, per_night, seed, quiet=as_json)
    if as_json:
        emit(summary)
    else:
        say(f"{summary['claims']} claims and {summary['photos']} photos in {settings().sample_folder / SAMPLED}")
    return Exit.DONE


def last_night(spec: WorkflowSpec, nights: int) -> date:
    """The last night of so many decided ones."""
    return spec.nights.decide_from + timedelta(days=nights - 1)


def write_nights(spec: WorkflowSpec, first: date, last: date, per_night: int, seed: int, quiet: bool) -> dict[str, int]:
    """Writes the sample's nights; counts nights, claims and photos."""
    from pipeline_project.sample import make_sample

    usable(settings().home)
    nights = [date.fromisoformat(night) for night in nights_between(first.isoformat(), last.isoformat())]
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
