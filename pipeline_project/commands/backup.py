"""`pipeline backup`: one consistent point of the house, written while everything goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline_project.commands.shared.app_context import settings, usable
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, facts, say
from pipeline_project.commands.shared.options import command_app, example, folder_or_url
from pipeline_project.container.moving import house_of
from resources.files.unfinished import refuse_unfinished

app = command_app()


@app.command(epilog=example("pipeline backup backups/monday --keys vault/monday"))
def backup(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="An empty folder, or an object store's URL.")],
    keys: Annotated[
        Path | None, typer.Option("--keys", metavar="FOLDER", help="Also the keys, there; best on another disk.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Writes databases, lake, models, pages and repairs as one point; nights, desk and dispatcher go on meanwhile.

    Keys are left out unless a folder of their own is named: who holds a backup alone reads nothing that is sealed.
    Stopped half-way, the same command goes on. Sources and workflow files are not part of it.
    """
    raise typer.Exit(write_backup(target, keys, as_json))


def write_backup(target: str, keys: Path | None, as_json: bool) -> int:
    """Writes a backup; migrates nothing, so that it can be made before an update."""
    from pipeline_project.operations.moving.backup import back_up

    chosen = settings()
    refuse_unfinished(usable(chosen.home))
    made = back_up(house_of(chosen), folder_or_url(target), keys, _quiet if as_json else _progress)
    if as_json:
        emit(
            {
                "id": made.id, "made_at": made.made_at, "chain": made.chain[0], "tables": len(made.lake),
                "models": sum(map(len, made.registry.values())), "files": len(made.files), "bytes": made.size,
                "keys": str(keys) if keys else None,
            }
        )  # fmt: skip
        return Exit.DONE
    say(f"The house as it was at {made.made_at}:")
    facts(
        [
            ("ledger", f"schema {made.revisions['ledger']}, chain up to batch {made.chain[0]}"),
            ("lake", f"{len(made.lake)} tables, each at a version of its own"),
            ("models", f"{sum(map(len, made.registry.values()))} versions"),
            ("files", f"{len(made.files):,}, {made.size / 2**20:,.1f} MiB"),
            ("keys", f"{len(made.keys)} in {keys}" if keys else "left out; without them nothing sealed is read again"),
        ]
    )
    say(f"pipeline restore {target}{f' --keys {keys}' if keys else ''} puts it into an empty home.")
    return Exit.DONE


def _progress(part: str) -> None:
    complain(part)


def _quiet(part: str) -> None:
    """One JSON document, and nothing beside it."""
