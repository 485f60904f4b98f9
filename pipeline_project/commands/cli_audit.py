"""`pipeline audit ...`: what each command takes; the work is in `audit.py`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from pipeline_project.commands.shared.console import AsJson
from pipeline_project.commands.shared.options import count, example, night_option

audit = typer.Typer(
    help="The audit chain: search it, check it, prove one fact of it.",
    epilog=example(
        "pipeline audit verify --json",
        "pipeline audit search --case C-1042",
        "pipeline audit proof 17 3",
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)

PublicKey = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The public key kept elsewhere; else the own key's, else the one beside."),
]


@audit.command(
    epilog=example("pipeline audit verify", "pipeline audit verify --public-key ~/vault/checkpoints.pub.pem"),
    short_help="Checks the whole chain; exits with 6 if it was tampered with.",
)
def verify(
    public_key: PublicKey = None,
    chain_only: Annotated[bool, typer.Option("--chain-only", help="Leave out the ledger's tables.")] = False,
    as_json: AsJson = False,
) -> None:
    """Checks every row, batch and checkpoint, and the ledger's tables against them; says how far back it can vouch.

    Exits with 0 where nothing was found, with 6 where anything was.
    """
    from pipeline_project.commands.audit import run_verify

    raise typer.Exit(run_verify(public_key, not chain_only, as_json))


@audit.command(
    epilog=example("pipeline audit checkpoint", "pipeline audit checkpoint --anew"),
    short_help="Signs the chain as it stands now.",
)
def checkpoint(
    anew: Annotated[bool, typer.Option("--anew", help="Sign although earlier checkpoints are lost.")] = False,
    as_json: AsJson = False,
) -> None:
    """Checks what was added since the last checkpoint and signs it; Dagster does the same every five minutes."""
    from pipeline_project.commands.audit import run_checkpoint

    raise typer.Exit(run_checkpoint(anew, as_json))


@audit.command(
    "accept-break",
    epilog=example(
        "pipeline audit accept-break --dry-run",
        'pipeline audit accept-break --as olga --reason "disk lost"',
    ),
    short_help="After an older ledger was restored: goes on, signed by an auditor.",
)
def accept_break(
    person: Annotated[str, typer.Option("--as", metavar="NAME", help="The auditor who accepts it.")] = "",
    reason: Annotated[str, typer.Option(metavar="WORDS", help="Why; kept for good, so name nobody.")] = "",
    password_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A file with the password; else it is asked.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be signed, and sign nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Signs a record of both ends: what was signed and is gone, and how the restored ledger stands.

    Needs a role of its own, auditor. `verify` tells the break for good, and fails for any other.
    """
    from pipeline_project.commands.audit import run_accept_break

    if not dry_run and not (person and reason.strip()):
        raise typer.BadParameter("--as NAME says who accepts the break, --reason WORDS why")
    raise typer.Exit(run_accept_break(person, reason, password_file, dry_run, as_json))


@audit.command(
    epilog=example(
        "pipeline audit search --case C-1042",
        "pipeline audit search --person anna --kind answers --from 2026-03-01",
    ),
    short_help="Finds what was recorded, newest first.",
)
def search(
    case: Annotated[str | None, typer.Option(metavar="CASE", help="Of one case.")] = None,
    person: Annotated[str | None, typer.Option(metavar="NAME", help="What one person did.")] = None,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="decisions, actions, answers ...")] = None,
    workflow: Annotated[str | None, typer.Option(metavar="WORKFLOW", help="Of one workflow.")] = None,
    first: Annotated[datetime | None, night_option("Recorded on that day (UTC) or later.", "--from")] = None,
    last: Annotated[datetime | None, night_option("Recorded on that day (UTC) or earlier.", "--to")] = None,
    limit: Annotated[int, count("Rows at a time.", 1_000, least=1)] = 50,
    before: Annotated[str | None, typer.Option(metavar="BATCH:ROW", help="Where the page before ended.")] = None,
    as_json: AsJson = False,
) -> None:
    """Finds what the chain recorded by case, person, kind, workflow and day, newest first."""
    from pipeline_project.commands.audit import Asked, run_search

    raise typer.Exit(run_search(Asked(case, person, kind, workflow, first, last, limit, before), as_json))


@audit.command(
    epilog=example("pipeline audit proof 17 3", "pipeline audit proof 17 3 --json > proof.json"),
    short_help="Proves that one row is in the chain.",
)
def proof(
    batch: Annotated[int, typer.Argument(metavar="BATCH", min=1, help="As `search` shows it.")],
    row: Annotated[int, typer.Argument(metavar="ROW", min=0, help="As `search` shows it.")],
    public_key: PublicKey = None,
    as_json: AsJson = False,
) -> None:
    """Shows the way from one row to a signed checkpoint: whoever has the public key can follow it without the rest."""
    from pipeline_project.commands.audit import run_proof

    raise typer.Exit(run_proof(batch, row, public_key, as_json))


def register(app: typer.Typer) -> None:
    """Adds the group to `pipeline`."""
    app.add_typer(audit, name="audit", short_help="The audit chain: check it, search it, prove a fact.")
