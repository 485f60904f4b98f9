"""`pipeline audit`: checks, signs, searches and proves the audit chain."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline_project.commands.shared.app_context import prepare
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, facts, heading, paragraph, say, table
from pipeline_project.commands.shared.options import (
    command_app,
    count,
    day_option,
    example,
)
from pipeline_project.commands.shared.signing_in import signed_in
from pipeline_project.domain.audit.findings import AcceptedBreak, Tampering
from pipeline_project.domain.core.errors import BreakRefused
from pipeline_project.domain.core.people import PersonRole

if TYPE_CHECKING:
    from resources.ledger.audit.breaks import Parted
    from resources.ledger.audit.trail import Checked, Entry

FINDINGS_SHOWN = 30
#: What a ledger that was restored looks like until somebody accepts that.
_AFTER_A_RESTORE = (Tampering.TRUNCATED, Tampering.RECHAINED)
_RESTORED = "If an older ledger was restored on purpose, an auditor looks and accepts that:"
_PLACE = re.compile(r"(\d+):(\d+)")

app = command_app(
    help="The audit chain: search it, check it, prove one fact of it.",
    epilog=example(
        "pipeline audit verify --json",
        "pipeline audit search --case C-1042",
        "pipeline audit proof 17 3",
    ),
)

PublicKey = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The public key kept elsewhere; else the own key's, else the one beside."),
]


@app.command(
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
    raise typer.Exit(run_verify(public_key, not chain_only, as_json))


@app.command(
    epilog=example("pipeline audit checkpoint", "pipeline audit checkpoint --anew"),
    short_help="Signs the chain as it stands now.",
)
def checkpoint(
    anew: Annotated[bool, typer.Option("--anew", help="Sign although earlier checkpoints are lost.")] = False,
    as_json: AsJson = False,
) -> None:
    """Checks what was added since the last checkpoint and signs it; Dagster does the same every five minutes."""
    raise typer.Exit(run_checkpoint(anew, as_json))


@app.command(
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
    if not dry_run and not (person and reason.strip()):
        raise typer.BadParameter("--as NAME says who accepts the break, --reason WORDS why")
    raise typer.Exit(run_accept_break(person, reason, password_file, dry_run, as_json))


@app.command(
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
    first: Annotated[datetime | None, day_option("Recorded on that day (UTC) or later.", "--from")] = None,
    last: Annotated[datetime | None, day_option("Recorded on that day (UTC) or earlier.", "--to")] = None,
    limit: Annotated[int, count("Rows at a time.", 1_000, least=1)] = 50,
    before: Annotated[str | None, typer.Option(metavar="BATCH:ROW", help="Where the page before ended.")] = None,
    as_json: AsJson = False,
) -> None:
    """Finds what the chain recorded by case, person, kind, workflow and day, newest first."""
    raise typer.Exit(run_search(SearchQuery(case, person, kind, workflow, first, last, limit, before), as_json))


@app.command(
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
    raise typer.Exit(run_proof(batch, row, public_key, as_json))


@dataclass(frozen=True)
class SearchQuery:
    """What a search was asked for, as it was typed."""

    case: str | None = None
    person: str | None = None
    kind: str | None = None
    workflow: str | None = None
    first: datetime | None = None
    last: datetime | None = None
    limit: int = 50
    before: str | None = None


def run_verify(public_key: Path | None, tables: bool, as_json: bool) -> int:
    """The verdict on the chain and on the tables beside it."""
    context = prepare()
    checkpoints = context.stores.checkpoints.read(public_key)
    checked = context.stores.trail.verify(checkpoints, tables)
    verdict = checked.verdict
    if as_json:
        emit(_document(checked))
    else:
        _report(checked, len(checkpoints))
    return Exit.DONE if verdict.intact else Exit.TAMPERED


def _report(checked: Checked, checkpoints: int) -> None:
    verdict = checked.verdict
    read = f"{verdict.rows:,} rows in {verdict.batches:,} batches, {checkpoints:,} checkpoints"
    covered = ", ".join(f"{compared.table} ({compared.facts:,})" for compared in checked.tables if compared.facts)
    facts([("read", read), ("compared with", covered or None), ("vouched", verdict.words)])
    for accepted in verdict.breaks:
        paragraph(f'BREAK, accepted because of "{accepted.reason}": {accepted.words}.', "")
    if verdict.intact:
        say()
        apart = f", apart from the {_breaks(len(verdict.breaks))} above" if verdict.breaks else ""
        say(f"Nothing was tampered with{apart}.")
        return
    shown = verdict.findings[:FINDINGS_SHOWN]
    rows = [(finding.what.replace("_", " "), finding.batch or "", finding.words) for finding in shown]
    table("Tampered with", ("what", "batch", "where"), rows, right=("batch",))
    more = len(verdict.findings) + verdict.more - len(shown)
    if more:
        say(f"and {more:,} more: pipeline audit verify --json")
    say()
    paragraph("Keep the database as it is, and compare with a backup from before the first batch named.", "")
    if any(finding.what in _AFTER_A_RESTORE for finding in verdict.findings):
        paragraph(f"{_RESTORED} pipeline audit accept-break --as NAME --reason WORDS", "")


def _document(checked: Checked) -> dict[str, Any]:
    verdict = checked.verdict
    return {
        "intact": verdict.intact,
        "vouched": None if verdict.vouched is None else _checkpoint(verdict.vouched),
        "words": verdict.words,
        "batches": verdict.batches,
        "rows": verdict.rows,
        "tip": verdict.tip,
        "findings": [asdict(finding) for finding in verdict.findings],
        "more": verdict.more,
        "breaks": [asdict(accepted) for accepted in verdict.breaks],
        "tables": [
            {"table": compared.table, "facts": compared.facts, "covered": compared.covered, "outside": compared.outside}
            for compared in checked.tables
        ],
    }


def run_checkpoint(anew: bool, as_json: bool) -> int:
    """Signs what was added since the last checkpoint."""
    signer = prepare().stores.checkpoints
    signed = signer.checkpoint(anew)
    if as_json:
        emit({"signed": None if signed is None else _checkpoint(signed), "folder": signer.place})
    elif signed is None:
        say("Nothing was added since the last checkpoint.")
    else:
        say(f"Signed the chain up to batch {signed.number} in {signer.place}.")
    return Exit.DONE


def run_accept_break(person: str, reason: str, password_file: Path | None, dry_run: bool, as_json: bool) -> int:
    """Signs that the chain goes on without what a restored ledger lacks; with `dry_run` only says what would be signed.

    Raises:
        BreakRefused: there is no break, something else is broken too, or the person may not.
        SignInRefused: name or password is wrong.
    """
    context = prepare()
    signer = context.stores.checkpoints
    if dry_run:
        parted = signer.parted()
        ends = {name: vars(getattr(parted, name)) for name in ("agreed", "lost", "kept")}
        if as_json:
            emit(ends)
        else:
            say(f"{_gone(parted)} Nothing was signed.")
        return Exit.DONE
    by = signed_in(context, person, password_file, PersonRole.AUDITOR, BreakRefused)
    accepted = signer.accept_break(by.name, reason)
    if as_json:
        emit(asdict(accepted))
    else:
        say(f"{_gone(accepted)} Accepted by {by.name}; `pipeline audit verify` says so from now on.")
    return Exit.DONE


def _gone(parted: Parted | AcceptedBreak) -> str:
    """Both ends of a break, in two sentences."""
    agreed, lost, last = parted.agreed, parted.lost, parted.kept
    return (
        f"The last checkpoint was signed over batch {lost.number}, which ended in {lost.hash[:12]}; the ledger agrees "
        f"with what was signed up to batch {agreed.number}, and ends with batch {last.number} in {last.hash[:12]}."
    )


def _breaks(count: int) -> str:
    return "break" if count == 1 else f"{count} breaks"


def run_search(asked: SearchQuery, as_json: bool) -> int:
    """One page of what was recorded."""
    from resources.ledger.audit.trail import Sought

    before = None
    if asked.before is not None:
        place = _PLACE.fullmatch(asked.before)
        if place is None:
            complain(f"--before is {asked.before!r}; write it as the page before shows it, for instance 17:3")
            return Exit.WRONG_CALL
        before = (int(place[1]), int(place[2]))
    until = asked.last.replace(tzinfo=UTC) + timedelta(days=1) if asked.last else None
    since = asked.first.replace(tzinfo=UTC) if asked.first else None
    sought = Sought(asked.case, asked.person, asked.kind, asked.workflow, since, until)
    page = prepare().stores.trail.search(sought, asked.limit, before)
    older = f"{page.older[0]}:{page.older[1]}" if page.older else None
    if as_json:
        emit({"entries": [asdict(entry) for entry in page.entries], "older": older})
        return Exit.DONE
    columns = ("batch", "row", "recorded", "kind", "workflow", "case", "person", "what")
    table("", columns, [_line(entry) for entry in page.entries], right=("batch", "row"))
    if older:
        say()
        say(f"There is more: --before {older}")
    return Exit.DONE


def _line(entry: Entry) -> tuple[Any, ...]:
    fields = entry.said
    what = next((fields[name] for name in ("option", "event", "state", "reason") if fields.get(name)), None)
    what = what or fields.get("table")
    recorded = entry.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return (entry.batch, entry.position, recorded, entry.kind, entry.workflow, entry.case_id, entry.person, what)


def run_proof(batch: int, row: int, public_key: Path | None, as_json: bool) -> int:
    """The way from one row to a signed checkpoint."""
    from pipeline_project.domain.audit.proofs import holds

    context = prepare()
    proof = context.stores.trail.proof(batch, row, context.stores.checkpoints.read(public_key))
    if proof is None:
        complain(f"there is no row {row} in batch {batch}; `pipeline audit search` shows what there is")
        return Exit.NOT_FOUND
    right = holds(proof)
    if as_json:
        signed = None if proof.checkpoint is None else _checkpoint(proof.checkpoint)
        links = [asdict(link) for link in proof.links]
        emit({"holds": right, "body": proof.body, "path": asdict(proof.path), "links": links, "checkpoint": signed})
        return Exit.DONE if right else Exit.TAMPERED
    heading(f"Row {row} of batch {batch}")
    first, signed_by = proof.links[0], proof.checkpoint
    facts(
        [
            ("says", proof.body),
            ("recorded", first.at.astimezone(UTC).isoformat(timespec="seconds")),
            ("root", f"{first.root}, {len(proof.path.path)} hashes away"),
            ("batch's hash", first.hash),
            ("signed", _signed_words(signed_by.number, signed_by.signed_at) if signed_by else "not yet"),
            ("proof", "holds" if right else "DOES NOT HOLD: run `pipeline audit verify`"),
        ]
    )
    return Exit.DONE if right else Exit.TAMPERED


def _signed_words(number: int, at: datetime) -> str:
    return f"over batch {number} on {at.isoformat(timespec='seconds')}"


def _checkpoint(checkpoint: Any) -> dict[str, Any]:
    return {name: getattr(checkpoint, name) for name in ("number", "hash", "signed_at")}
