"""`pipeline actions`: the outbox of a workflow, its kill switch, and letting held and dead actions go again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from pipeline_project.commands.shared.app_context import prepare, workflow
from pipeline_project.commands.shared.asked_nights import night_asked
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, facts, say, table
from pipeline_project.commands.shared.identity import shell_user
from pipeline_project.commands.shared.options import (
    Workflow,
    command_app,
    count,
    example,
    night_option,
)
from pipeline_project.domain.core.errors import ActionRefused

if TYPE_CHECKING:
    from pipeline_project.domain.delivery.outbox_rows import KillSwitch, OutboxRow, RedeliveryRequest

app = command_app()


@app.command(
    epilog=example(
        "pipeline actions returns --state dead",
        'pipeline actions returns --stop "supplier recall"',
        'pipeline actions returns --redeliver KEY --reason "it is back" --dry-run',
    ),
)
def actions(
    workflow: Workflow,
    state: Annotated[str | None, typer.Option(metavar="STATE", help="Only these, for instance dead or held.")] = None,
    night: Annotated[str | None, night_option("Only this night.", "--night")] = None,
    stop: Annotated[str | None, typer.Option(metavar="REASON", help="The kill switch: nothing more is sent.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="REASON", help="Lifts the kill switch.")] = None,
    redeliver: Annotated[
        str | None,
        typer.Option("--redeliver", "--replay", metavar="KEY", help="Send a dead letter again, under its key."),
    ] = None,
    release: Annotated[str | None, typer.Option(metavar="KEY", help="Let a held action go above the cap.")] = None,
    happened: Annotated[
        str | None, typer.Option(metavar="KEY", help="You looked: this dead letter in doubt has happened.")
    ] = None,
    never: Annotated[
        str | None, typer.Option("--never-happened", metavar="KEY", help="You looked: it has not happened.")
    ] = None,
    reason: Annotated[str, typer.Option(metavar="WORDS", help="Why a letter is sent again or let go.")] = "",
    agree: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Agree, as the second person, to what was asked.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, change nothing.")] = False,
    limit: Annotated[int, count("Rows listed.", 200, least=1)] = 20,
    as_json: AsJson = False,
) -> None:
    """Counts a workflow's actions by state and lists them; stops and resumes it; lets held and dead ones go.

    Where money leaves, --redeliver and --release only ask; a second person, signed in to this machine under another
    name, agrees with --agree.
    """
    if sum(value is not None for value in (stop, resume, redeliver, release, agree, happened, never)) > 1:
        raise typer.BadParameter(
            "--stop, --resume, --redeliver, --release, --agree, --happened and --never-happened exclude each other"
        )
    if stop is not None or resume is not None:
        code = flip_switch(workflow, stop or resume or "", stop is not None, as_json)
    elif redeliver is not None or release is not None:
        code = let_go(redeliver or release or "", release is not None, reason, dry_run, as_json)
    elif happened is not None or never is not None:
        code = resolve(happened or never or "", happened is not None, reason, as_json)
    elif agree is not None:
        code = agree_to(agree, as_json)
    else:
        code = show_actions(workflow, state, night, limit, as_json)
    raise typer.Exit(code)


def show_actions(name: str, state: str | None, written: str | None, limit: int, as_json: bool) -> int:
    """Counts by state, then the actions asked for."""
    spec, outbox = workflow(name), prepare().stores.outbox
    night = night_asked(spec, written)
    rows = outbox.listed(name, state, night, limit=limit)
    counts, switch = outbox.counts(name, night), outbox.switch(name)
    asked = outbox.asked(name)
    if as_json:
        emit(
            {
                "counts": counts,
                "switch": _document(name, switch),
                "live": spec.action_terms.live,
                "actions": rows,
                "asked": asked,
            }
        )
        return Exit.DONE
    if switch.stopped:
        complain(f"{name} is stopped by {switch.changed_by}: {switch.reason}; --resume lifts it")
    if not spec.action_terms.live:
        say(f"{name} is not live: its actions are rehearsed, never sent (`actions.live` in its file).")
    facts((label, f"{count.actions:,} actions, {count.money:,.2f} {spec.currency}") for label, count in counts.items())
    if rows:
        table(
            "",
            ("night", "case", "action", "state", "money", "tries", "why", "key"),
            [_table_row(row) for row in rows],
            right=("money", "tries"),
        )
    elif not counts:
        say(f"{name} has no actions yet.")
    for wish in asked:
        say(
            f"{wish.asked_by} asks to let {wish.kind} of {wish.case_id} go ({wish.money:,.2f}: {wish.reason}); "
            f"agree with pipeline actions {name} --agree {wish.id}"
        )
    return Exit.DONE


def flip_switch(name: str, reason: str, stop: bool, as_json: bool) -> int:
    """The kill switch of a workflow."""
    workflow(name)
    outbox, person = prepare().stores.outbox, shell_user()
    (outbox.stop if stop else outbox.resume)(name, reason, person)
    if as_json:
        emit(_document(name, outbox.switch(name)))
    else:
        say(f"{name} is {'stopped: nothing more is sent' if stop else 'running again'}.")
    return Exit.DONE


def let_go(key: str, held: bool, reason: str, dry_run: bool, as_json: bool) -> int:
    """Asks that a dead letter is sent again, or that a held action goes.

    Raises:
        ActionRefused: it is not in that state, no reason is given, or too many went within a minute.
    """
    outbox = prepare().stores.outbox
    act = outbox.let_go if held else outbox.redeliver
    return _report_request(act(_key(key), shell_user(), reason, dry_run), as_json)


def agree_to(redelivery: int, as_json: bool) -> int:
    """Agrees, as the second person, to what somebody else asked.

    Raises:
        SecondPersonNeeded: it was the same person, or the action has changed since.
    """
    return _report_request(prepare().stores.outbox.approve(redelivery, shell_user()), as_json)


def resolve(key: str, happened: bool, reason: str, as_json: bool) -> int:
    """Says what became of a dead letter of which nobody could know.

    Raises:
        ActionRefused: it is none, or no reason is given.
    """
    prepare().stores.outbox.resolve(_key(key), happened, shell_user(), reason)
    if as_json:
        emit({"key": key, "happened": happened})
    else:
        say("It is done, and its case goes on." if happened else "It has not happened; --redeliver sends it again.")
    return Exit.DONE


def _report_request(asked: RedeliveryRequest, as_json: bool) -> int:
    row = asked.action
    if as_json:
        emit({"action": row, "money": asked.money, "replay": asked.redelivery, "gone": asked.gone})
        return Exit.DONE
    what = f"{row.kind} of {row.case_id}"
    if asked.gone:
        say(f"{what} goes under its own key; {asked.money:,.2f} leaves.")
    elif asked.redelivery is None:
        say(f"{what} would go under its own key; {asked.money:,.2f} would leave. Nothing was changed.")
    else:
        say(
            f"{what} would let {asked.money:,.2f} leave, so a second person must agree: "
            f"pipeline actions {row.workflow} --agree {asked.redelivery}"
        )
    return Exit.DONE


def _key(key: str) -> UUID:
    try:
        return UUID(key)
    except ValueError:
        raise ActionRefused(f"{key!r} is no key; `pipeline actions WORKFLOW` lists them") from None


def _document(name: str, switch: KillSwitch) -> Mapping[str, object]:
    """A switch that somebody threw names its workflow."""
    return vars(switch) if switch.changed_at is None else {"workflow": name, **vars(switch)}


def _table_row(row: OutboxRow) -> tuple[str, ...]:
    why = row.held_reason or row.error_class or ""
    return (
        row.night,
        row.case_id,
        row.kind,
        row.state,
        f"{row.money:,.2f}" if row.money else "",
        str(row.attempts),
        f"{why}, with {row.owner}" if row.owner else why,
        str(row.key),
    )
