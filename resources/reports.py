"""Where the pages of the nights lie: one file a night, and an index over all of them."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from pipeline_project.domain.report import IndexRow, ReportTerms, WorkflowIndex, render_index


class ReportFolder:
    """Pages below one folder; a page is replaced whole or not at all.

    Args:
        folder: where they go.
        address: of a server that serves the folder, without a slash at the end.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self._folder, self._address = folder, address

    def write(self, terms: ReportTerms, night: str, page: str, row: IndexRow) -> str:
        """Stores one night's page and its line, makes the index new, and returns the page's address."""
        own = self._folder / terms.workflow
        own.mkdir(parents=True, exist_ok=True)
        _replace(own / f"{night}.html", page)
        line = {"title": terms.title, "currency": terms.currency, "row": asdict(row)}
        _replace(own / f"{night}.json", json.dumps(line))
        _replace(self._folder / "index.html", render_index(self._workflows()))
        return f"{self._address}/{terms.workflow}/{night}.html"

    def _workflows(self) -> list[WorkflowIndex]:
        found = []
        for folder in sorted(path for path in self._folder.iterdir() if path.is_dir()):
            lines = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
            if lines:
                rows = tuple(IndexRow(**line["row"]) for line in lines)
                found.append(WorkflowIndex(folder.name, lines[-1]["title"], lines[-1]["currency"], rows))
        return found


def _replace(target: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)
