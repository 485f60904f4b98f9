"""`pipeline actions`: the outbox of a workflow, its kill switch, and letting held and dead actions go again."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pipeline_project.commands.shared.app_context import prepare, workflow
from pipeline_project.commands.shared.console import Exit, complain, emit, facts, say, table
from pipeline_project.domain.core.errors import ActionRefused

if TYPE_CHECKING:
    from resources.ledger.outbox.overview import Outbox
    from resources.ledger.outbox.redelivery import Asked


def show_actions(name: str, state: str | None, night: str | None, limit: int, as_json: bool) -> int:
    """Counts by state, then the actions asked for."""
    spec, outbox = workflow(name), _outbox()
    rows = outbox.listed(name, state, night, limit=limit)
    counts, switch = outbox.counts(name, night), outbox.switch(name)
    asked = outbox.asked(name)
    if as_json:
        emit({"counts": counts, "switch": switch, "live": spec.action_terms.live, "actions": rows, "asked": asked})
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
    for each in asked:
        say(
            f"{each['asked_by']} asks to let {each['kind']} of {each['case_id']} go ({each['money']:,.2f}: "
            f"{each['reason']}); agree with pipeline actions {name} --agree {each['id']}"
        )
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


def let_go(key: str, held: bool, reason: str, dry_run: bool, as_json: bool) -> int:
    """Asks that a dead letter is sent again, or that a held action goes.

    Raises:
        ActionRefused: it is not in that state, no reason is given, or too many went within a minute.
    """
    outbox = _outbox()
    act = outbox.let_go if held else outbox.replay
    return _told_asked(act(_key(key), _person(), reason, dry_run), as_json)


def agree(replay: int, as_json: bool) -> int:
    """Agrees, as the second person, to what somebody else asked.

    Raises:
        SecondPersonNeeded: it was the same person, or the action has changed since.
    """
    return _told_asked(_outbox().approve(replay, _person()), as_json)


def resolve(key: str, happened: bool, reason: str, as_json: bool) -> int:
    """Says what became of a dead letter of which nobody could know.

    Raises:
        ActionRefused: it is none, or no reason is given.
    """
    _outbox().resolve(_key(key), happened, _person(), reason)
    if as_json:
        emit({"key": key, "happened": happened})
    else:
        say("It is done, and its case goes on." if happened else "It has not happened; --replay sends it again.")
    return Exit.DONE


def _told_asked(asked: Asked, as_json: bool) -> int:
    row = asked.action
    if as_json:
        emit({"action": row, "money": asked.money, "replay": asked.replay, "gone": asked.gone})
        return Exit.DONE
    what = f"{row['kind']} of {row['case_id']}"
    if asked.gone:
        say(f"{what} goes under its own key; {asked.money:,.2f} leaves.")
    elif asked.replay is None:
        say(f"{what} would go under its own key; {asked.money:,.2f} would leave. Nothing was changed.")
    else:
        say(
            f"{what} would let {asked.money:,.2f} leave, so a second person must agree: "
            f"pipeline actions {row['workflow']} --agree {asked.replay}"
        )
    return Exit.DONE


def _key(key: str) -> UUID:
    try:
        return UUID(key)
    except ValueError:
        raise ActionRefused(f"{key!r} is no key; `pipeline actions WORKFLOW` lists them") from None


def _person() -> str:
    return f"shell:{getpass.getuser()}"


def _outbox() -> Outbox:
    from resources.ledger.outbox.overview import Outbox

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
