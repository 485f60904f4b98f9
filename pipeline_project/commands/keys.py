"""`pipeline keys`: the master keys that personal values hang on."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline_project.commands.shared.app_context import workflow
from pipeline_project.commands.shared.console import AsJson, Exit, emit, say
from pipeline_project.commands.shared.options import (
    command_app,
    example,
)
from pipeline_project.commands.shared.privacy import open_privacy

app = command_app(
    help="The master keys that personal values hang on.",
    epilog=example("pipeline keys rotate", "pipeline keys rotate --destroy-old"),
)


@app.command("rotate", epilog=example("pipeline keys rotate --destroy-old"))
def rotate(
    destroy: Annotated[
        bool, typer.Option("--destroy-old", help="Older backups of the database can then not be opened any more.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Makes a new master key and wraps the keys of all subjects by it; nothing that is sealed changes."""
    raise typer.Exit(rotate_keys(destroy, as_json))


@app.command("hashes", epilog=example("pipeline keys hashes returns"))
def hashes(
    name: Annotated[str, typer.Argument(metavar="WORKFLOW", help="The workflow's name.")], as_json: AsJson = False
) -> None:
    """Puts the hashes of nights from before they were kept under a key under it; once, after an update."""
    raise typer.Exit(key_hashes(name, as_json))


def rotate_keys(destroy: bool, as_json: bool) -> int:
    """Makes a new master key and wraps every subject's key by it."""
    privacy = open_privacy()
    number, count = privacy.keyring.rotate(destroy)
    left = privacy.keyring.masters.numbers()
    folder = privacy.keyring.masters.folder
    if as_json:
        emit({"master": number, "wrapped": count, "masters": left, "folder": str(folder)})
        return Exit.DONE
    say(f"Master key {number} wraps {count} {'key' if count == 1 else 'keys'}.")
    say(f"Back up {folder} now, apart from the rest: without it nothing sealed is read again.")
    if len(left) > 1:
        say("Older masters stay, for backups of the database; --destroy-old takes them away.")
    return Exit.DONE


def key_hashes(name: str, as_json: bool) -> int:
    """Puts the hashes of earlier nights under the key."""
    from pipeline_project.operations.rehashing import put_under_key

    spec = workflow(name)
    count = put_under_key(open_privacy().lake, spec.name)
    if as_json:
        emit({"workflow": spec.name, "nights": count})
    else:
        say(f"{count} nights of tables of {spec.name} were written anew." if count else "Nothing was left to do.")
    return Exit.DONE
