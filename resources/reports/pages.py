"""Where the pages of the nights lie: one file a night, and an index over all of them."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from pipeline_project.domain.reporting.facts import ReportTerms
from pipeline_project.domain.reporting.index import IndexRow, WorkflowIndex
from pipeline_project.domain.reporting.page import render_index
from resources.files.small_files import read_object, set_aside, write_whole

log = logging.getLogger("pipeline.reports")
_ROW = TypeAdapter(IndexRow)


class ReportFolder:
    """Pages below one folder; a page is replaced whole or not at all.

    Args:
        folder: where they go.
        address: of a server that serves the folder, without a slash at the end.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self._folder, self._address = folder, address

    def write(self, terms: ReportTerms, night: str, page: str, row: IndexRow) -> str:
        """Stores one night's page and its line, makes the index new, and returns the page's address.

        A line of another night that cannot be read is set aside and told: that night is missing from the index until
        it is run again, and no other is.
        """
        own = self._folder / terms.workflow
        own.mkdir(parents=True, exist_ok=True)
        write_whole(own / f"{night}.html", page)
        line = {"title": terms.title, "currency": terms.currency, "row": asdict(row)}
        write_whole(own / f"{night}.json", json.dumps(line))
        write_whole(self._folder / "index.html", render_index(self._workflows()))
        return f"{self._address}/{terms.workflow}/{night}.html"

    def _workflows(self) -> list[WorkflowIndex]:
        workflows = []
        for folder in sorted(path for path in self._folder.iterdir() if path.is_dir()):
            read = [_line(file) for file in sorted(folder.glob("*.json"))]
            lines = [line for line in read if line is not None]
            if lines:
                rows = tuple(row for _, _, row in lines)
                workflows.append(WorkflowIndex(folder.name, lines[-1][0], lines[-1][1], rows))
        return workflows


def _line(file: Path) -> tuple[str, str, IndexRow] | None:
    """Title, currency and row of one night; None for a file that was set aside."""
    entry = read_object(file)
    try:
        if entry is None:
            raise ValueError("no JSON object")
        return _text(entry["title"]), _text(entry["currency"]), _ROW.validate_python(entry["row"])
    except (ValueError, KeyError, TypeError):
        workflow, night = file.parent.name, file.stem
        aside = set_aside(file)
        log.warning(
            "the report's line of night %s of %s cannot be read; it was set aside as %s and is missing from the index: "
            "pipeline nights %s --from %s --to %s writes it again",
            night, workflow, aside.name, workflow, night, night,
        )  # fmt: skip
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value
