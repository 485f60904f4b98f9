"""`pipeline quarantine`: refused rows with their reasons, out for repair and back into their own night."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_project.commands.shared.app_context import lake, settings, workflow
from pipeline_project.commands.shared.asked_nights import night_asked
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, facts, heading, say, table
from pipeline_project.commands.shared.options import (
    Workflow,
    command_app,
    example,
    night_option,
)
from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.nights import NIGHT_IN_TEXT, shifted
from pipeline_project.domain.privacy.csv_cells import harmless, harmless_row
from resources.files.small_files import write_whole

if TYPE_CHECKING:
    from pipeline_project.spec import WorkflowSpec

SHOWN = 50
_NUMBERS = re.compile(rf"{NIGHT_IN_TEXT}|(?<!ISO )\b\d+")

app = command_app()


@app.command(
    epilog=example(
        "pipeline quarantine returns",
        "pipeline quarantine returns --night 2025-03-05 --export to_repair.csv",
        "pipeline quarantine returns --night 2025-03-05 --repair to_repair.csv",
    ),
)
def quarantine(
    workflow: Workflow,
    night: Annotated[str | None, night_option("Only this night.", "--night")] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the rows, as they came, to a CSV file to repair.")
    ] = None,
    repair: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A repaired file; its rows re-enter the night, once.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Lists refused rows with their reasons; exports them for repair and takes repaired files back.

    The list repeats no value of a row; an exported file holds what customers wrote.
    """
    raise typer.Exit(run_quarantine(workflow, night, export, repair, as_json))


def run_quarantine(name: str, written: str | None, export: Path | None, repair: Path | None, as_json: bool) -> int:
    """Lists, exports or repairs."""
    spec = workflow(name)
    night = night_asked(spec, written)
    if night is not None and not spec.has_night(night):
        complain(f"{name} has nights from {spec.nights.first_night} on; {night} is none of them")
        return Exit.WRONG_CALL
    if repair is not None:
        return _repair(spec, night, repair, as_json)
    rows = _refused(spec, night)
    if export is not None:
        return _export(spec, rows, export, as_json)
    if as_json:
        emit([_shown(spec, row) for row in rows])
    else:
        _report(spec, night, [_shown(spec, row) for row in rows])
    return Exit.DONE


@dataclass(frozen=True)
class _RefusedRow:
    """A row in quarantine: where it stood, why it was refused, and itself, as JSON."""

    night: str
    file: str
    line: int
    reasons: Sequence[str]
    raw: str


@dataclass(frozen=True)
class _ShownRow:
    """A refused row without its content: no value of it is repeated."""

    night: str
    file: str
    line: int
    reasons: Sequence[str]


def _refused(spec: WorkflowSpec, night: str | None) -> list[_RefusedRow]:
    first, before = (night, shifted(night, 1)) if night else (None, "9999-12-31")
    columns = list(_RefusedRow.__dataclass_fields__)
    refused = lake(settings()).read_span(spec.name, "quarantine", first, before, columns)
    rows = [] if refused is None else [_RefusedRow(**row) for row in refused.to_pylist()]
    return sorted(rows, key=lambda row: (row.night, row.file, row.line))


def _shown(spec: WorkflowSpec, row: _RefusedRow) -> _ShownRow:
    from pipeline_project.domain.privacy.masking import mask, secrets_of_raw, without_values

    secrets = secrets_of_raw(spec.case_schema, row.raw)
    reasons = [mask(without_values(reason), secrets) for reason in row.reasons]
    return _ShownRow(row.night, row.file, row.line, reasons)


def _report(spec: WorkflowSpec, night: str | None, rows: Sequence[_ShownRow]) -> None:
    where = f"{spec.name} {night}" if night else spec.name
    if not rows:
        say(f"{where}: nothing in quarantine")
        return
    say(f"{where}: {len(rows)} {'row' if len(rows) == 1 else 'rows'} refused")
    counts = Counter(_kind(reason) for row in rows for reason in row.reasons)
    table("Why", ("rows", "reason"), [(times, kind) for kind, times in counts.most_common()], right=("rows",))
    for (of, file), lines in groupby(rows[:SHOWN], key=lambda row: (row.night, row.file)):
        heading(f"Night {of}, {file}")
        facts((f"line {row.line}", "; ".join(row.reasons)) for row in lines)
    say()
    if len(rows) > SHOWN:
        say(f"… and {len(rows) - SHOWN} more; --night shows one night, --json lists all")
    say("To repair:")
    chosen = night or rows[0].night
    say(f"  pipeline quarantine {spec.name} --night {chosen} --export to_repair.csv")
    say("  mend the rows in to_repair.csv, leave out what cannot be mended")
    say(f"  pipeline quarantine {spec.name} --night {chosen} --repair to_repair.csv")


def _kind(reason: str) -> str:
    """What a reason has in common with others of its kind; a rule's own numbers, between backticks, are kept."""
    parts = reason.split("`")
    return "`".join(_NUMBERS.sub("…", part) if at % 2 == 0 else part for at, part in enumerate(parts))


def _export(spec: WorkflowSpec, rows: Sequence[_RefusedRow], target: Path, as_json: bool) -> int:
    if not rows:
        complain("nothing is in quarantine there, so no file is written")
        return Exit.NOT_FOUND
    if target.suffix != ".csv":
        complain(f"{target.name} would be CSV; give it a name that ends in .csv")
        return Exit.WRONG_CALL
    from resources.sources import repair_format

    how = repair_format(spec, target)
    raw = [json.loads(row.raw) for row in rows]
    columns = list(dict.fromkeys(column for row in raw for column in row))
    written = io.StringIO(newline="")
    # customers wrote these cells, and a spreadsheet would compute those that look like formulas
    writer = csv.DictWriter(written, [harmless(name) for name in columns], restval="", delimiter=how.delimiter)
    writer.writeheader()
    writer.writerows(harmless_row(row) for row in raw)
    write_whole(target, written.getvalue().encode(how.encoding, errors="replace"), 0o600)
    if as_json:
        emit({"file": str(target), "rows": len(raw)})
    else:
        say(f"{len(raw)} rows in {target}; it holds what customers wrote, treat it so")
    return Exit.DONE


def _repair(spec: WorkflowSpec, night: str | None, file: Path, as_json: bool) -> int:
    if night is None:
        complain("--repair needs --night: a repaired row re-enters its own night")
        return Exit.WRONG_CALL
    if not file.is_file():
        complain(f"{file} is no file")
        return Exit.WRONG_CALL
    from resources.sources import add_repair

    try:
        repair = add_repair(settings(), spec, night, file)
    except SourceUnreadable as error:
        complain(str(error))
        return Exit.WRONG_CALL
    following = f"pipeline nights {shlex.quote(spec.name)} --night {night}"
    if as_json:
        emit({"kept": repair, "next": following})
    else:
        say(f"Kept as {repair}; its rows enter the night with: {following}")
    return Exit.DONE
