"""`pipeline forget`, `retention`, `hold` and `keys`: what becomes of personal values."""

from __future__ import annotations

import getpass
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import typer

from pipeline_project.commands.shared.app_context import AppContext, prepare, workflow
from pipeline_project.commands.shared.console import Exit, complain, emit, facts, say, table
from pipeline_project.domain.core.schema import CASE_ID, NIGHT
from pipeline_project.domain.privacy.fields import PersonalFields
from pipeline_project.domain.privacy.retention import DataClass
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.load import load_all

if TYPE_CHECKING:
    from pipeline_project.operations.retention import Retaining
    from resources.lake.sealed import SealedLake
    from resources.ledger.privacy.forgetting import Forgetting
    from resources.ledger.privacy.keyring import PostgresKeyring

_FOR_EVER = "9999-12-31"


@dataclass(frozen=True)
class Privacy:
    """What these commands work with, as the ledger's owner."""

    context: AppContext
    keyring: PostgresKeyring
    forgetting: Forgetting
    lake: SealedLake

    def retaining(self, spec: WorkflowSpec) -> Retaining:
        from pipeline_project.operations.retention import Retaining
        from resources.postgres.databases import engine_of

        engine = engine_of(self.context.databases.ledger_url)
        return Retaining(self.lake, engine, spec.name, PersonalFields.of(spec.case_schema))

    def cases_of(self, pseudonym: str) -> dict[str, list[tuple[str, str]]]:
        """Night and id of a subject's cases, by workflow, in every workflow with personal fields."""
        found: dict[str, list[tuple[str, str]]] = {}
        for name, spec in load_all(self.context.settings.workflow_folders).specs.items():
            fields = PersonalFields.of(spec.case_schema)
            if fields is None or fields.subject is None:
                continue
            cases = self.lake.read_span(name, "cases", None, _FOR_EVER, [NIGHT, CASE_ID, fields.subject])
            rows = [] if cases is None else cases.to_pylist()
            if theirs := [(row[NIGHT], row[CASE_ID]) for row in rows if row[fields.subject] == pseudonym]:
                found[name] = theirs
        return found


def forget(subject: str, name: str, reason: str, yes: bool, as_json: bool) -> int:
    """Destroys what opens a subject's values, once somebody has said yes.

    Raises:
        ForgettingRefused: a legal hold stands against it.
    """
    spec = workflow(name)
    privacy = _open()
    pseudonym = privacy.keyring.named({subject.strip()})[subject.strip()]
    known = privacy.forgetting.known(pseudonym)
    if known is None:
        complain("nothing is sealed for that subject; give the id as the source spells it, or the pseudonym")
        return Exit.NOT_FOUND
    cases = privacy.cases_of(pseudonym)
    if not as_json:
        _show(pseudonym, known, cases)
    if known.forgotten is None and not (yes or _agreed(as_json)):
        complain("nothing was changed; --yes forgets without asking")
        return Exit.WRONG_CALL
    done = privacy.forgetting.forget(pseudonym, spec.name, _shell(), reason, cases)
    vectors = _erase_vectors(privacy, cases)
    if as_json:
        counts = {of: len(theirs) for of, theirs in cases.items()}
        emit({"pseudonym": pseudonym, "forgotten": done, "cases": counts, "tasks": known.tasks, "vectors": vectors})
    elif done:
        say(f"Forgotten. {pseudonym} stays as the name of cases that nobody can be found behind.")
    else:
        say("It was forgotten before; nothing was left to destroy.")
    return Exit.DONE


def _agreed(as_json: bool) -> bool:
    """Whether somebody at a terminal says yes."""
    asked = not as_json and sys.stdin.isatty()
    return asked and typer.confirm("Forget this subject for good?", err=True)


def _show(pseudonym: str, known: Any, cases: dict[str, list[tuple[str, str]]]) -> None:
    of_cases = [f"{len(theirs)} of {of}" for of, theirs in cases.items()]
    say(f"{pseudonym}, sealed since {known.since:%Y-%m-%d}")
    facts(
        [
            ("cases", ", ".join(of_cases) or "none"),
            ("review tasks", ", ".join(f"{count} of {of}" for of, count in known.tasks.items()) or "none"),
            ("goes", "its personal fields, rows as they came, notes about it, its vectors, its own id"),
            ("stays", "cases and decisions without them; the files they came from, which are not ours"),
        ]
    )


def _erase_vectors(privacy: Privacy, cases: dict[str, list[tuple[str, str]]]) -> int:
    """What a text was about can be read from its vector: those of a forgotten subject go as well."""
    gone, specs = 0, load_all(privacy.context.settings.workflow_folders).specs
    for name, theirs in cases.items():
        retaining = privacy.retaining(specs[name])
        for night in sorted({night for night, _ in theirs}):
            gone += retaining.erase_vectors(night, {case for of, case in theirs if of == night})
    return gone


def retention(name: str | None, dry: bool, tidy_days: int, as_json: bool) -> int:
    """Erases what was kept long enough, or only says what that would be."""
    privacy = _open()
    today = datetime.now(UTC).date()
    specs = [workflow(name)] if name else list(load_all(privacy.context.settings.workflow_folders).specs.values())
    told: list[dict[str, Any]] = []
    for spec in specs:
        terms = {data: getattr(spec.retention, data.value) for data in DataClass}
        if not any(terms.values()):
            continue
        found = privacy.retaining(spec).run(terms, today, dry)
        told += [
            {"workflow": spec.name, "data": one.data.value, "when": one.when, "rows": one.rows, "held": one.held}
            for one in found
        ]
        if not dry:
            _tidy(privacy, spec, terms, tidy_days)
    if as_json:
        emit({"dry_run": dry, "today": today.isoformat(), "erased": told})
    else:
        _tell(told, dry, today)
    return Exit.DONE


def _tidy(privacy: Privacy, spec: WorkflowSpec, terms: dict[DataClass, int | None], days: int) -> None:
    """Earlier versions of a table still hold what its newest no longer does."""
    tables = {
        DataClass.ARRIVALS: ("arrivals", "quarantine"), DataClass.CASES: ("cases",), DataClass.PHOTOS: ("embeddings",)
    }  # fmt: skip
    for data, names in tables.items():
        for asset in names if terms.get(data) else ():
            if privacy.lake.version(spec.name, asset) is not None:
                privacy.lake.tidy(spec.name, asset, days)


def _tell(told: list[dict[str, Any]], dry: bool, today: date) -> None:
    if not told:
        say(f"Nothing is due on {today}.")
        return
    sums: Counter[tuple[str, str]] = Counter()
    held: Counter[tuple[str, str]] = Counter()
    spans: dict[tuple[str, str], list[str]] = {}
    for one in told:
        of = (one["workflow"], one["data"])
        sums[of] += one["rows"]
        held[of] += one["held"]
        spans.setdefault(of, []).append(one["when"])
    columns = ("workflow", "data", "from", "to", "rows", "held")
    lines = [(*of, min(spans[of]), max(spans[of]), sums[of], held[of]) for of in spans]
    table("Would be erased" if dry else "Erased", columns, lines, right=("rows", "held"))
    if dry:
        say("Nothing was changed; without --dry-run it is.")


def add_hold(name: str | None, subject: str | None, reason: str, as_json: bool) -> int:
    """Keeps a workflow's or a subject's data from being forgotten or erased.

    Raises:
        HoldRefused: one stands there already, or it is neither on a workflow nor on a subject.
    """
    privacy = _open()
    if name is not None:
        name = workflow(name).name
    pseudonym = privacy.keyring.named({subject.strip()})[subject.strip()] if subject is not None else None
    number = privacy.forgetting.hold(name, pseudonym, reason, _shell())
    if as_json:
        emit({"hold": number, "workflow": name, "pseudonym": pseudonym})
    else:
        say(f"Hold {number} stands on {pseudonym or name}; `pipeline hold lift {number}` ends it.")
    return Exit.DONE


def lift_hold(number: int, as_json: bool) -> int:
    """Ends a hold.

    Raises:
        HoldRefused: none of that number stands.
    """
    _open().forgetting.lift(number, _shell())
    if as_json:
        emit({"lifted": number})
    else:
        say(f"Hold {number} is lifted.")
    return Exit.DONE


def list_holds(as_json: bool) -> int:
    """The holds that stand."""
    standing = _open().forgetting.holds()
    if as_json:
        emit([vars(hold) for hold in standing])
    elif not standing:
        say("No legal hold stands.")
    else:
        lines = [
            (hold.number, hold.pseudonym or hold.workflow, hold.reason, hold.placed_by, f"{hold.placed_at:%Y-%m-%d}")
            for hold in standing
        ]
        table("Legal holds", ("number", "on", "reason", "by", "since"), lines, right=("number",))
    return Exit.DONE


def rotate_keys(destroy: bool, as_json: bool) -> int:
    """Makes a new master key and wraps every subject's key by it."""
    privacy = _open()
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
    count = put_under_key(_open().lake, spec.name)
    if as_json:
        emit({"workflow": spec.name, "nights": count})
    else:
        say(f"{count} nights of tables of {spec.name} were written anew." if count else "Nothing was left to do.")
    return Exit.DONE


def _open() -> Privacy:
    from pipeline_project.container.privacy import open_sealed_lake
    from resources.ledger.privacy.forgetting import Forgetting
    from resources.ledger.privacy.keyring import PostgresKeyring
    from resources.postgres.databases import engine_of

    context = prepare()
    engine = engine_of(context.databases.ledger_url)
    return Privacy(
        context, PostgresKeyring(engine, context.settings.keys), Forgetting(engine), open_sealed_lake(context.settings)
    )


def _shell() -> str:
    return f"shell:{getpass.getuser()}"
