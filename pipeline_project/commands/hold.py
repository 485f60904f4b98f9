"""`pipeline hold`: legal holds, on a workflow or a subject."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline_project.commands.shared.app_context import workflow
from pipeline_project.commands.shared.console import AsJson, Exit, emit, say, table
from pipeline_project.commands.shared.identity import shell_user
from pipeline_project.commands.shared.options import (
    command_app,
    example,
)
from pipeline_project.commands.shared.privacy import open_privacy

app = command_app(
    help="Legal holds: what may be neither forgotten nor erased.",
    epilog=example(
        "pipeline hold add --subject C-1042 --reason 'case 12 O 34/26'", "pipeline hold list", "pipeline hold lift 3"
    ),
)


@app.command("add", epilog=example("pipeline hold add --workflow returns --reason 'audit 2026'"))
def add(
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, with nothing personal in it.")],
    name: Annotated[str | None, typer.Option("--workflow", metavar="WORKFLOW", help="On a whole workflow.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", metavar="SUBJECT", help="On one subject.")] = None,
    as_json: AsJson = False,
) -> None:
    """Places a hold on a workflow or on a subject."""
    raise typer.Exit(add_hold(name, subject, reason, as_json))


@app.command("lift", epilog=example("pipeline hold lift 3"))
def lift(
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="As `list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Ends a hold."""
    raise typer.Exit(lift_hold(number, as_json))


@app.command("list", epilog=example("pipeline hold list --json"))
def listed(as_json: AsJson = False) -> None:
    """Shows the holds that stand."""
    raise typer.Exit(list_holds(as_json))


def add_hold(name: str | None, subject: str | None, reason: str, as_json: bool) -> int:
    """Keeps a workflow's or a subject's data from being forgotten or erased.

    Raises:
        HoldRefused: one stands there already, or it is neither on a workflow nor on a subject.
    """
    privacy = open_privacy()
    if name is not None:
        name = workflow(name).name
    pseudonym = privacy.keyring.named({subject.strip()})[subject.strip()] if subject is not None else None
    number = privacy.forgetting.hold(name, pseudonym, reason, shell_user())
    if as_json:
        emit({"hold": number, "workflow": name, "pseudonym": pseudonym})
    else:
        say(f"Hold {number} stands on {pseudonym or name}; `pipeline hold lift {number}` ends it.")
    return Exit.DONE


def lift_hold(number: int, as_json: bool) -> int:
    """Ends a hold.

    Raises:
        HoldRefused: none of that number stands.
    """
    open_privacy().forgetting.lift(number, shell_user())
    if as_json:
        emit({"lifted": number})
    else:
        say(f"Hold {number} is lifted.")
    return Exit.DONE


def list_holds(as_json: bool) -> int:
    """The holds that stand."""
    standing = open_privacy().forgetting.holds()
    if as_json:
        emit([vars(hold) for hold in standing])
    elif not standing:
        say("No legal hold stands.")
    else:
        lines = [
            (hold.number, hold.pseudonym or hold.workflow, hold.reason, hold.placed_by, f"{hold.placed_at:%Y-%m-%d}")
            for hold in standing
        ]
        table("Legal holds", ("number", "on", "reason", "by", "since"), lines, right=("number",))
    return Exit.DONE
