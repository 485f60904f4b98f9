"""`pipeline rollback`: the way back by hand, with one command and a reason."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline_project.commands.shared.app_context import prepare, workflow
from pipeline_project.commands.shared.console import AsJson, Exit, emit, say
from pipeline_project.commands.shared.identity import shell_user
from pipeline_project.commands.shared.options import (
    Workflow,
    command_app,
    example,
)

app = command_app()


@app.command(
    epilog=example(
        'pipeline rollback returns --reason "complaints since Monday"',
        'pipeline rollback returns --review-all --reason "recall of a supplier"',
        'pipeline rollback returns --open --reason "the new model was signed"',
    ),
)
def rollback(
    workflow: Workflow,
    to: Annotated[str | None, typer.Option(metavar="VERSION", help="To this version, which decided before.")] = None,
    review_all: Annotated[bool, typer.Option("--review-all", help="People decide everything.")] = False,
    reopen: Annotated[bool, typer.Option("--open", help="The policy decides again.")] = False,
    reason: Annotated[str, typer.Option(metavar="WORDS", help="Why; it stands in the audit chain.")] = "",
    as_json: AsJson = False,
) -> None:
    """Ends the rollout on its way or, without one, goes back to the champion before, from the next night on.

    Actions above the spec's `rollout.hold_above` that were not sent yet are held.
    """
    if (to is not None) + review_all + reopen > 1:
        raise typer.BadParameter("--to, --review-all and --open exclude each other")
    raise typer.Exit(run_rollback(workflow, to, review_all, reopen, reason, as_json))


def run_rollback(name: str, to: str | None, review_all: bool, reopen: bool, reason: str, as_json: bool) -> int:
    """Ends a rollout, goes back to an earlier champion, or closes or opens the policy.

    Raises:
        RollbackRefused: no reason is given, there is nobody to go back to, or it was done already.
    """
    spec, turning = workflow(name), prepare().stores.turning
    terms = spec.rollout
    if review_all:
        turned = turning.review_all(name, reason, shell_user(), terms)
    elif reopen:
        turned = turning.reopen(name, reason, shell_user())
    else:
        turned = turning.roll_back(name, to, reason, shell_user(), terms)
    if as_json:
        emit(vars(turned))
        return Exit.DONE
    if turned.withdrawn:
        say(f"The rollout of version {turned.withdrawn} has ended.")
    who = "people decide everything" if turned.closed else f"version {turned.champion} decides"
    say(f"From {turned.from_night} on {who if turned.champion or turned.closed else 'people decide everything'}.")
    if turned.held:
        say(f"{turned.held:,} actions that were not sent are held; `pipeline actions {name} --state held` lists them.")
    if not turned.closed and not reopen:
        say(f"What was decided stands; `pipeline recall {name} --model VERSION` says what would be decided now.")
    return Exit.DONE
