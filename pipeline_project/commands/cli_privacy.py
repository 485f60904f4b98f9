"""`pipeline forget`, `retention`, `hold ...` and `keys ...`: what each takes; the work is in `privacy.py`."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline_project.commands.shared.console import AsJson
from pipeline_project.commands.shared.options import count, example

holds = typer.Typer(
    help="Legal holds: what may be neither forgotten nor erased.",
    epilog=example(
        "pipeline hold add --subject C-1042 --reason 'case 12 O 34/26'", "pipeline hold list", "pipeline hold lift 3"
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)
keys = typer.Typer(
    help="The master keys that personal values hang on.",
    epilog=example("pipeline keys rotate", "pipeline keys rotate --destroy-old"),
    no_args_is_help=True,
    rich_markup_mode=None,
)

Named = Annotated[str | None, typer.Option("--workflow", metavar="WORKFLOW", help="Of one workflow only.")]


def forget(
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="The id as its source spells it, or the pseudonym.")
    ],
    name: Annotated[str, typer.Option("--workflow", metavar="WORKFLOW", help="In whose name it is done.")],
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why, with nothing personal in it; the audit chain keeps it.")
    ] = "the subject asked for it",
    yes: Annotated[bool, typer.Option("--yes", help="Without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Destroys the key of one subject, and with it every personal value sealed for it, in all workflows, for good.

    Shows first what goes; refuses while a legal hold stands. A night run again does not bring it back.
    """
    from pipeline_project.commands.privacy import forget as run

    raise typer.Exit(run(subject, name, reason, yes, as_json))


def retention(
    name: Named = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Say what is due, change nothing.")] = False,
    tidy_days: Annotated[int, count("Days after which replaced files of the lake are deleted.", 3_650, least=1)] = 30,
    as_json: AsJson = False,
) -> None:
    """Erases personal data whose time, by the spec's `retention`, is over; what a legal hold keeps stays."""
    from pipeline_project.commands.privacy import retention as run

    raise typer.Exit(run(name, dry, tidy_days, as_json))


@holds.command("add", epilog=example("pipeline hold add --workflow returns --reason 'audit 2026'"))
def add(
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, with nothing personal in it.")],
    name: Annotated[str | None, typer.Option("--workflow", metavar="WORKFLOW", help="On a whole workflow.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", metavar="SUBJECT", help="On one subject.")] = None,
    as_json: AsJson = False,
) -> None:
    """Places a hold on a workflow or on a subject."""
    from pipeline_project.commands.privacy import add_hold

    raise typer.Exit(add_hold(name, subject, reason, as_json))


@holds.command("lift", epilog=example("pipeline hold lift 3"))
def lift(
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="As `list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Ends a hold."""
    from pipeline_project.commands.privacy import lift_hold

    raise typer.Exit(lift_hold(number, as_json))


@holds.command("list", epilog=example("pipeline hold list --json"))
def listed(as_json: AsJson = False) -> None:
    """Shows the holds that stand."""
    from pipeline_project.commands.privacy import list_holds

    raise typer.Exit(list_holds(as_json))


@keys.command("rotate", epilog=example("pipeline keys rotate --destroy-old"))
def rotate(
    destroy: Annotated[
        bool, typer.Option("--destroy-old", help="Older backups of the database can then not be opened any more.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Makes a new master key and wraps the keys of all subjects by it; nothing that is sealed changes."""
    from pipeline_project.commands.privacy import rotate_keys

    raise typer.Exit(rotate_keys(destroy, as_json))


def register(app: typer.Typer) -> None:
    """Adds the commands to `pipeline`."""
    app.command(
        epilog=example("pipeline forget C-1042 --workflow returns"), short_help="Forgets one subject, for good."
    )(forget)
    app.command(
        epilog=example("pipeline retention --dry-run", "pipeline retention --workflow returns"),
        short_help="Erases personal data whose time is over.",
    )(retention)
    app.add_typer(holds, name="hold", short_help="Legal holds: what may not be forgotten or erased.")
    app.add_typer(keys, name="keys", short_help="Turns the master key of personal values.")


@keys.command("hashes", epilog=example("pipeline keys hashes returns"))
def hashes(
    name: Annotated[str, typer.Argument(metavar="WORKFLOW", help="The workflow's name.")], as_json: AsJson = False
) -> None:
    """Puts the hashes of nights from before they were kept under a key under it; once, after an update."""
    from pipeline_project.commands.privacy import key_hashes

    raise typer.Exit(key_hashes(name, as_json))
