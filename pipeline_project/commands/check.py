"""`pipeline check`: every mistake in workflow files, each with its line."""

from __future__ import annotations

from pathlib import Path

from pipeline_project.commands.console import Exit, complain, emit, say
from pipeline_project.commands.ground import settings
from pipeline_project.spec.load import SHIPPED, Mistake, check_file


def run_check(files: list[Path], as_json: bool) -> int:
    """Checks the given files, or every workflow that would be loaded."""
    chosen = files or _known()
    found: dict[Path, list[Mistake]] = {file: check_file(file) for file in chosen}
    mistakes = [mistake for each in found.values() for mistake in each]
    if as_json:
        emit(
            [
                {"file": str(m.file), "line": m.line, "column": m.column, "where": m.where, "sentence": m.sentence}
                for m in mistakes
            ]
        )
    else:
        for mistake in mistakes:
            complain(str(mistake))
        for file, each in found.items():
            if not each:
                say(f"{file}: no mistakes")
    return Exit.SPEC_MISTAKE if mistakes else Exit.DONE


def _known() -> list[Path]:
    folders = (SHIPPED, *settings().workflow_folders)
    return sorted(file for folder in folders for file in folder.glob("*.y*ml"))
