"""`pipeline check`: every mistake in workflow files, each with its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline_project.commands.console import Exit, complain, emit, say
from pipeline_project.commands.ground import settings
from pipeline_project.spec.load import Mistake, check_file, load_all


def run_check(files: list[Path], as_json: bool) -> int:
    """Checks the given files, or every workflow that would be loaded."""
    found = {str(file): check_file(file) for file in files} if files else _known()
    mistakes = [mistake for each in found.values() for mistake in each]
    if as_json:
        emit([{**asdict(mistake), "file": str(mistake.file)} for mistake in mistakes])
    else:
        for mistake in mistakes:
            complain(str(mistake))
        for name, each in found.items():
            if not each:
                say(f"{name}: no mistakes")
    return Exit.SPEC_MISTAKE if mistakes else Exit.DONE


def _known() -> Mapping[str, Sequence[Mistake]]:
    """By workflow, or by file where it has none: missing folders and names used twice are mistakes as well."""
    loaded = load_all(settings().workflow_folders)
    return {**dict.fromkeys(loaded.specs, ()), **{str(broken.file): broken.mistakes for broken in loaded.broken}}
