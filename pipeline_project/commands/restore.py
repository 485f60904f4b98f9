"""`pipeline restore`: puts a backup into another place, and says what is missing there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_project.commands.shared.app_context import prepare, settings, usable, workflows
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, facts, paragraph, say, table
from pipeline_project.commands.shared.identity import shell_user
from pipeline_project.commands.shared.options import command_app, example, folder_or_url

if TYPE_CHECKING:
    from pipeline_project.operations.moving.restore import Restored
    from pipeline_project.reconcile.scope import Link

app = command_app()


@app.command(epilog=example("pipeline restore backups/monday --keys vault/monday"))
def restore(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="What `pipeline backup` wrote: a folder or a URL.")],
    keys: Annotated[
        Path | None, typer.Option("--keys", metavar="FOLDER", help="The keys that were written with it.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what lies there; keys and checkpoints never are.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Puts a backup where PIPELINE_HOME, PIPELINE_POSTGRES_URL and PIPELINE_FILES_URL say, which must be empty.

    Stopped half-way, the same command goes on; until it ends nothing else runs there. An older ledger is migrated.
    Workflows with unsent actions are stopped, because they may have been sent since. It ends with a check of whether
    all parts are of one age, with 0 where they are and 1 where something is missing.
    """
    raise typer.Exit(put_there(source, keys, overwrite, as_json))


def put_there(source: str, keys: Path | None, overwrite: bool, as_json: bool) -> int:
    """Restores, migrates, stops what may have been sent, checks."""
    from pipeline_project.container.moving import checked_parts, place_of
    from pipeline_project.operations.moving.restore import put_back

    chosen = settings()
    usable(chosen.home)
    done = put_back(
        folder_or_url(source), place_of(chosen), keys, overwrite, (lambda part: None) if as_json else complain
    )
    outbox = prepare().stores.outbox
    for name in done.unsent:
        if not outbox.switch(name).stopped:
            outbox.stop(name, f"restored from a backup of {done.manifest.made_at}", shell_user())
    links = checked_parts(chosen, list(workflows().specs.values()))
    if as_json:
        emit(_document(done, links))
    else:
        _report(done, links, chosen.keys)
    return Exit.DONE if all(link.holds for link in links) and not done.lacking_keys else Exit.NIGHT_FAILED


def _document(done: Restored, links: list[Link]) -> dict[str, object]:
    from pipeline_project.reconcile.run import document

    return {
        "backup": done.manifest.id, "made_at": done.manifest.made_at, "copied": done.copied, "there": done.there,
        "databases": done.databases, "lacking_keys": done.lacking_keys, "stopped": done.unsent, **document(links),
    }  # fmt: skip


def _report(done: Restored, links: list[Link], place: Path | str) -> None:
    say(f"The house as it was at {done.manifest.made_at} is here:")
    facts(
        [
            ("files", f"{done.copied:,} copied, {done.there:,} lay here already"),
            ("databases", ", ".join(done.databases) or "were here already"),
            ("keys", f"{', '.join(done.lacking_keys)} missing" if done.lacking_keys else "all are here"),
        ]
    )
    if done.lacking_keys:
        paragraph(
            "Without these keys personal values that they seal cannot be read, models they signed do not decide, and "
            "the chain is not signed further. Nothing is lost: put the files that `pipeline backup --keys` wrote into "
            f"{place} before anything runs here.",
            "",
        )
    if done.unsent:
        say(
            f"Stopped, because what was unsent may have been sent since: {', '.join(done.unsent)}. Compare with the "
            'destinations, then `pipeline actions WORKFLOW --resume "compared"`.'
        )
    broken = [(link, mismatch) for link in links for mismatch in link.breaks]
    if broken:
        rows = [
            (link.workflow, link.name, mismatch.count, mismatch.words, ", ".join(mismatch.named))
            for link, mismatch in broken
        ]
        table("What is missing", ("workflow", "what", "count", "which", "such as"), rows, right=("count",))
    else:
        say("All parts are of one age; `pipeline reconcile` counts what they hold.")
