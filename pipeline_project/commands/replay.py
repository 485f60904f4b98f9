"""`pipeline replay`: past nights decided again by a candidate, beside what decided them."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_project.commands.shared.app_context import lake, prepare, workflow
from pipeline_project.commands.shared.asked_nights import first_asked, last_asked
from pipeline_project.commands.shared.console import AsJson, Exit, emit, paragraph, say, table
from pipeline_project.commands.shared.options import (
    First,
    Last,
    Workflow,
    command_app,
    example,
)
from pipeline_project.domain.reporting.sentences import percent

if TYPE_CHECKING:
    from pipeline_project.domain.lifecycle.replay.findings import ReplayResult
    from pipeline_project.spec import WorkflowSpec

Span = tuple[str | None, str | None]

app = command_app()


@app.command(
    epilog=example(
        "pipeline replay returns --model 7",
        "pipeline replay returns --from 2025-03-01 --policy cheap_warning.yaml",
    ),
)
def replay(
    workflow: Workflow,
    first: First = None,
    last: Last = None,
    model: Annotated[str | None, typer.Option(metavar="VERSION", help="A model's version in the registry.")] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="A workflow file whose options, costs, and terms of review and policy count; the rest does not.",
        ),
    ] = None,
    knows_the_future: Annotated[
        bool, typer.Option("--knows-the-future", help="Also nights that the model has learned from: for a look.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Decides past nights again, everything as it was known then, and compares with what was decided.

    Without nights it takes the latest ones whose outcomes are in. It writes a page and a row of its own, and
    changes nothing that was decided.
    """
    if model is None and policy is None:
        raise typer.BadParameter("--model VERSION, --policy FILE or both say what is to be replayed")
    raise typer.Exit(replay_nights(workflow, (first, last), model, policy, knows_the_future, as_json))


def replay_nights(
    name: str, span: Span, model: str | None, policy: Path | None, knows_the_future: bool, as_json: bool
) -> int:
    """Replays, keeps the result and its page, and prints a summary.

    Args:
        span: first and last night, or days; what is None is taken from the latest nights whose outcomes are in.
        model: a version in the registry, or None for the probabilities that were recorded.
        policy: a workflow file whose policy is tried, or None for the workflow's own.

    Raises:
        ReplayRefused: nothing can be compared like this; the message says what could be.
        ModelUnavailable: the model is missing, deleted meanwhile, or does not fit the workflow.
        InvalidSpec: the policy file has mistakes.
    """
    from pipeline_project.container.compute import OpenedCompute
    from pipeline_project.services.candidates import candidate_of, mature_span
    from pipeline_project.services.past_nights import keep_replay, run_replay
    from pipeline_project.spec.load import load_spec

    spec = workflow(name)
    first, last = first_asked(spec, span[0]), last_asked(spec, span[1])
    if first and last and first > last:
        raise typer.BadParameter("--from comes after --to")
    context = prepare()
    tables, registry, now = lake(context.settings), context.stores.registry, context.ledger.now()
    candidate = candidate_of(spec, registry, model, policy, load_spec)
    if first is None or last is None:
        known_before = candidate.model.known_before if candidate.model and not knows_the_future else None
        before = spec.nights.of(now)
        mature = mature_span(spec, tables, context.ledger, before, known_before, now)
        first, last = first or mature[0], last or mature[1]
    result = run_replay(
        spec,
        tables,
        context.ledger,
        registry,
        candidate,
        (first, last),
        now,
        knows_the_future=knows_the_future,
        workers=OpenedCompute(context.settings).workers(spec),
    ).result
    number, page = keep_replay(spec, registry, context.stores.replays, candidate, result, _starter())
    if as_json:
        emit({"replay": number, "candidate": candidate.name, "page": str(page), "result": asdict(result)})
    else:
        _report(spec, result, candidate.name, number)
        say(f"Page: {page}")
    return Exit.DONE


def _report(spec: WorkflowSpec, result: ReplayResult, candidate: str, number: int) -> None:
    from pipeline_project.domain.reporting.replay_page import headline, spread

    say(f"Replay {number} of {spec.name}, {candidate}: {len(result.nights)} nights, {result.first} to {result.last}.")
    paragraph(headline(result, spec.currency), indent="")
    if result.money is None:
        paragraph(f"No figure of money: {result.refused}.", indent="")
    else:
        interval = spread(result.money, spec.currency)
        say(f"Candidate minus base per case: {interval}, 95 %; effective sample {result.effective:,.0f}.")
    if result.immature:
        say(f"{len(result.immature)} nights are not settled yet; they count for flips and load only.")
    base, wants = result.base, result.candidate
    rows = [
        ("model version", base.model_version or "none", wants.model_version or "none"),
        ("sent to people", f"{base.asked:,}", f"{wants.asked:,}"),
        ("wanted a person", f"{base.wanted:,}", f"{wants.wanted:,}"),
        ("wrong without people", percent(base.error, 2), percent(wants.error, 2)),
        ("calibration error", f"{base.ece:.4f}", f"{wants.ece:.4f}"),
    ]
    sides = ("base", "candidate")
    table(f"Beside each other ({result.places:,} places)", ("", *sides), rows, right=sides)
    if result.flips:
        ways = [(*way.split(" -> "), f"{n:,}") for way, n in list(result.flips.items())[:12]]
        table("Decided otherwise", ("before", "after", "cases"), ways, right=("cases",))


def _starter() -> str:
    """Who types: the account on this machine."""
    try:
        return f"person:{getpass.getuser()}"
    except (KeyError, OSError):
        return "person:unknown"
