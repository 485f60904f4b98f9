"""The commands about actions: `actions`, `dispatch`, `shop`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from pipeline_project.commands.shared.console import AsJson
from pipeline_project.commands.shared.options import Workflow, count, day, example, night_option, port_option


def register(app: typer.Typer) -> None:
    """Adds the commands to `pipeline`."""

    @app.command(
        epilog=example(
            "pipeline actions returns --state dead",
            'pipeline actions returns --stop "supplier recall"',
            'pipeline actions returns --replay KEY --reason "the shop is back" --dry-run',
        ),
        short_help="The outbox of a workflow, and its kill switch.",
    )
    def actions(
        workflow: Workflow,
        state: Annotated[
            str | None, typer.Option(metavar="STATE", help="Only these, for instance dead or held.")
        ] = None,
        night: Annotated[datetime | None, night_option("Only this night.", "--night")] = None,
        stop: Annotated[
            str | None, typer.Option(metavar="REASON", help="The kill switch: nothing more is sent.")
        ] = None,
        resume: Annotated[str | None, typer.Option(metavar="REASON", help="Lifts the kill switch.")] = None,
        replay: Annotated[
            str | None, typer.Option(metavar="KEY", help="Send a dead letter again, under its key.")
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

        Where money leaves, --replay and --release only ask; a second person, signed in to this machine under another
        name, agrees with --agree.
        """
        from pipeline_project.commands import actions as commands

        if sum(value is not None for value in (stop, resume, replay, release, agree, happened, never)) > 1:
            raise typer.BadParameter(
                "--stop, --resume, --replay, --release, --agree, --happened and --never-happened exclude each other"
            )
        if stop is not None or resume is not None:
            code = commands.flip_switch(workflow, stop or resume or "", stop is not None, as_json)
        elif replay is not None or release is not None:
            code = commands.let_go(replay or release or "", release is not None, reason, dry_run, as_json)
        elif happened is not None or never is not None:
            code = commands.resolve(happened or never or "", happened is not None, reason, as_json)
        elif agree is not None:
            code = commands.agree(agree, as_json)
        else:
            chosen = day(night)
            code = commands.show_actions(workflow, state, chosen.isoformat() if chosen else None, limit, as_json)
        raise typer.Exit(code)

    @app.command(
        epilog=example("pipeline dispatch", "pipeline dispatch --drain"),
        short_help="Sends what is ready; part of `up`.",
    )
    def dispatch(
        workers: Annotated[int, count("Workers side by side.", 64, least=1)] = 2,
        drain: Annotated[bool, typer.Option("--drain", help="End when nothing is due any more.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """Sends the actions of released nights, each once; it may be killed at any time and started again."""
        from pipeline_project.commands.dispatch import run_dispatcher

        raise typer.Exit(run_dispatcher(workers, drain, as_json))

    @app.command(epilog=example("pipeline shop", "pipeline shop --port 3106"), short_help="A fake shop; part of `up`.")
    def shop(port: Annotated[int, port_option("The shop's.")] = 3006, as_json: AsJson = False) -> None:
        """Serves a small fake shop that takes the sample's actions; its book is at http://127.0.0.1:3006."""
        from pipeline_project.commands.dispatch import run_shop

        raise typer.Exit(run_shop(port, as_json))
