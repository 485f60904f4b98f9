"""`pipeline drift`: the signals of a night, and all of them for whoever subscribes."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pipeline_project.commands.shared.app_context import prepare, workflow
from pipeline_project.commands.shared.asked_nights import night_asked
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, facts, say, table
from pipeline_project.commands.shared.options import (
    Workflow,
    command_app,
    example,
    night_option,
)

#: Trainings asked for that are shown.
REQUESTS = 5

app = command_app()


@app.command(
    epilog=example(
        "pipeline drift returns",
        "pipeline drift returns --night 2025-03-01 --json",
        "pipeline drift returns --follow 0",
    ),
)
def drift(
    workflow: Workflow,
    night: Annotated[str | None, night_option("The night; else the last that was judged.", "--night")] = None,
    follow: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="ID",
            help="For subscribers: the signals of all nights after this id, one JSON object a line; 0 is from the "
            "beginning. Ask again with the last id.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The signals of a night, of what is breached first, with the trainings that drift asked for lately."""
    if follow is not None:
        raise typer.Exit(run_follow(workflow, follow))
    raise typer.Exit(run_drift(workflow, night, as_json))


def run_drift(name: str, written: str | None, as_json: bool) -> int:
    """A night's signals, breached ones first."""
    # a name that is none is told before anything is looked up
    asked = night_asked(workflow(name), written)
    quality = prepare().stores.quality
    night = asked or quality.last_night(name)
    signals = quality.night_signals(name, night) if night else []
    requests = quality.requests(name)[-REQUESTS:]
    if as_json:
        emit({"workflow": name, "night": night, "signals": signals, "trainings_asked": requests})
        return Exit.DONE if signals else Exit.NOT_FOUND
    if not signals:
        complain(
            f"no signals of {name} on {night or 'any night'}: a night is judged once a champion decides and two nights "
            f"before it were sketched; run `pipeline nights {name}`"
        )
        return Exit.NOT_FOUND
    breached = [signal.signal for signal in signals if signal.breached]
    rows = [
        (
            signal.signal,
            f"{signal.value:.3f}",
            f"{signal.noise:.3f}",
            f"{signal.threshold:g}",
            "" if signal.psi is None else f"{signal.psi:.3f}",
            f"{signal.cases:,}",
            signal.severity if signal.breached else "",
        )
        for signal in sorted(signals, key=lambda signal: (not signal.breached, -signal.value))
    ]
    columns = ("signal", "value", "noise", "threshold", "PSI", "cases", "breached")
    table(f"{name}, {night}", columns, rows, right=columns[1:-1])
    say()
    facts([("breached", ", ".join(breached) or "nothing"), *((f"asked {r.night}", r.why) for r in requests)])
    return Exit.DONE


def run_follow(name: str, since: int) -> int:
    """The signals after an id, one JSON object a line, in the order in which they became visible."""
    workflow(name)  # a name that is none is told before anything is looked up
    quality = prepare().stores.quality
    while page := quality.signals(name, since):
        for row in page:
            typer.echo(json.dumps(vars(row), default=str, ensure_ascii=False))
        since = page[-1].id
    return Exit.DONE
