"""`pipeline actions`: the outbox of a workflow, its kill switch, and letting held and dead actions go again."""

from __future__ import annotations

import getpass
from typing import Any
from uuid import UUID

from pipeline_project.commands.console import Exit, complain, emit, facts, say, table
from pipeline_project.commands.ground import prepare, workflow
from pipeline_project.domain.errors import ActionRefused


def show_actions(name: str, state: str | None, night: str | None, limit: int, as_json: bool) -> int:
    """Counts by state, then the actions asked for."""
    spec, outbox = workflow(name), _outbox()
    rows = outbox.listed(name, state, night, limit=limit)
    counts, switch = outbox.counts(name, night), outbox.switch(name)
    if as_json:
        emit({"counts": counts, "switch": switch, "live": spec.action_terms.live, "actions": rows})
        return Exit.DONE
    if switch["stopped"]:
        complain(f"{name} is stopped by {switch['changed_by']}: {switch['reason']}; --resume lifts it")
    if not spec.action_terms.live:
        say(f"{name} is not live: its actions are rehearsed, never sent (`actions.live` in its file).")
    facts(
        (each, f"{found['actions']:,} actions, {found['money']:,.2f} {spec.currency}") for each, found in counts.items()
    )
    if rows:
        table(
            "",
            ("night", "case", "action", "state", "money", "tries", "why", "key"),
            [_told(row) for row in rows],
            right=("money", "tries"),
        )
    elif not counts:
        say(f"{name} has no actions yet.")
    return Exit.DONE


def flip_switch(name: str, reason: str, stop: bool, as_json: bool) -> int:
    """The kill switch of a workflow."""
    workflow(name)
    outbox, person = _outbox(), _person()
    (outbox.stop if stop else outbox.resume)(name, reason, person)
    if as_json:
        emit(outbox.switch(name))
    else:
        say(f"{name} is {'stopped: nothing more is sent' if stop else 'running again'}.")
    return Exit.DONE


def let_go(key: str, held: bool, reason: str, approver: str | None, dry_run: bool, as_json: bool) -> int:
    """Sends a dead letter again, or lets a held action go.

    Raises:
        ActionRefused: it is not in that state, or a second person is needed.
    """
    outbox = _outbox()
    act = outbox.let_go if held else outbox.replay
    row = act(_key(key), _person(), reason, approver, dry_run)
    if as_json:
        emit({**row, "dry_run": dry_run})
    else:
        would = "would be" if dry_run else "is"
        say(
            f"{row['kind']} of {row['case_id']} {would} sent again under its own key; {row['money_behind']:.2f} leaves."
        )
    return Exit.DONE


def _key(key: str) -> UUID:
    try:
        return UUID(key)
    except ValueError:
        raise ActionRefused(f"{key!r} is no key; `pipeline actions WORKFLOW` lists them") from None


def _person() -> str:
    return f"shell:{getpass.getuser()}"


def _outbox() -> Any:
    from resources.actions.steering import Outbox

    return Outbox(prepare().databases.ledger_url)


def _told(row: dict[str, Any]) -> tuple[str, ...]:
    why = row["held_reason"] or row["error_class"] or ""
    return (
        row["night"],
        row["case_id"],
        row["kind"],
        row["state"],
        f"{row['money']:,.2f}" if row["money"] else "",
        str(row["attempts"]),
        f"{why}, with {row['owner']}" if row["owner"] else why,
        str(row["key"]),
    )
