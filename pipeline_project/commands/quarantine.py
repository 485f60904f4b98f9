"""`pipeline quarantine`: refused rows with their reasons, out for repair and back into their own night."""

from __future__ import annotations

import csv
import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

from pipeline_project.commands.console import Exit, complain, emit, say, table
from pipeline_project.commands.ground import settings, workflow
from pipeline_project.domain.nights import shifted
from pipeline_project.domain.schema import NIGHT
from pipeline_project.spec import WorkflowSpec

SHOWN = 50


def run_quarantine(name: str, night: date | None, export: Path | None, repair: Path | None, as_json: bool) -> int:
    """Lists, exports or repairs."""
    spec = workflow(name)
    if repair is not None:
        return _repair(spec, night, repair)
    rows = _refused(spec, night)
    if export is not None:
        return _export(rows, export)
    if as_json:
        emit([_shown(row) for row in rows])
    else:
        _tell(spec, rows)
    return Exit.DONE


def _refused(spec: WorkflowSpec, night: date | None) -> list[dict[str, Any]]:
    from resources.doors import open_lake

    first, before = (night.isoformat(), shifted(night.isoformat(), 1)) if night else (None, "9999-12-31")
    found = open_lake(settings()).read_span(spec.name, "quarantine", first, before)
    return [] if found is None else found.to_pylist()


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A refused row without its content: where it stands and why it was refused."""
    return {name: row[name] for name in (NIGHT, "file", "line", "reasons")}


def _tell(spec: WorkflowSpec, rows: list[dict[str, Any]]) -> None:
    if not rows:
        say(f"{spec.name}: nothing in quarantine")
        return
    counts = Counter(reason.split(":")[0] for row in rows for reason in row["reasons"])
    table(f"{spec.name}: {len(rows)} rows refused", ("field", "times"), counts.most_common(), right=("times",))
    shown = [(row[NIGHT], row["file"], row["line"], "; ".join(row["reasons"])) for row in rows[:SHOWN]]
    table("Where and why", ("night", "file", "line", "reasons"), shown, right=("line",))
    if len(rows) > SHOWN:
        say(f"… and {len(rows) - SHOWN} more; --json lists them all")
    say(f"To repair: pipeline quarantine {spec.name} --night N --export FILE, mend FILE, then --repair FILE")


def _export(rows: list[dict[str, Any]], target: Path) -> int:
    raw = [json.loads(row["raw"]) for row in rows]
    columns = list(dict.fromkeys(column for row in raw for column in row))
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(raw)
    say(f"{len(raw)} rows in {target}; it holds what customers wrote, treat it so")
    return Exit.DONE


def _repair(spec: WorkflowSpec, night: date | None, file: Path) -> int:
    if night is None:
        complain("--repair needs --night: a repaired row re-enters its own night")
        return Exit.WRONG_CALL
    if not file.is_file():
        complain(f"{file} is no file")
        return Exit.WRONG_CALL
    from resources.sources import add_repair

    kept = add_repair(settings(), spec, night.isoformat(), file)
    say(f"Kept as {kept.name}; next: pipeline nights {spec.name} --from {night} --to {night}")
    return Exit.DONE
