"""`pipeline rollback`: the way back by hand, with one command and a reason."""

from __future__ import annotations

import getpass

from pipeline_project.commands.shared.app_context import prepare, workflow
from pipeline_project.commands.shared.console import Exit, emit, say


def run_rollback(name: str, to: str | None, review_all: bool, reopen: bool, reason: str, as_json: bool) -> int:
    """Ends a rollout, goes back to an earlier champion, or closes or opens the policy.

    Raises:
        RollbackRefused: no reason is given, there is nobody to go back to, or it was done already.
    """
    from resources.ledger.rollout.rollback import Turning

    spec, turning = workflow(name), Turning(prepare().databases.ledger_url)
    terms = spec.rollout.terms
    if review_all:
        turned = turning.review_all(name, reason, person(), terms)
    elif reopen:
        turned = turning.reopen(name, reason, person())
    else:
        turned = turning.roll_back(name, to, reason, person(), terms)
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


def person() -> str:
    """Who is signed in to this machine."""
    return f"shell:{getpass.getuser()}"
