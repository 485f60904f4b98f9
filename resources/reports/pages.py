"""Where the pages of the nights lie: one file a night, and an index over all of them; in a folder or behind a URL."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import groupby
from typing import Any

from pydantic import TypeAdapter

from pipeline_project.domain.core.errors import FileMissing
from pipeline_project.domain.core.locations import is_url
from pipeline_project.domain.reporting.facts import ReportTerms
from pipeline_project.domain.reporting.index import IndexRow, WorkflowIndex
from pipeline_project.domain.reporting.page import render_index
from resources.files import files_at
from resources.files.small_files import ASIDE

log = logging.getLogger("pipeline.reports")
_ROW = TypeAdapter(IndexRow)
#: Lines of the index that are read from a store at the same time.
READ_AT_ONCE = 16


class ReportFolder:
    """Pages below one folder or URL; a page is replaced whole or not at all.

    Args:
        place: where they go.
        address: of a server that serves them, without a slash at the end.
    """

    def __init__(self, place: str, address: str) -> None:
        self._files, self._address = files_at(place), address

    def write(self, terms: ReportTerms, night: str, page: str, row: IndexRow) -> str:
        """Stores one night's page and its line, makes the index new, and returns the page's address.

        A line of another night that cannot be read is set aside and told: that night is missing from the index until
        it is run again, and no other is.
        """
        self._files.write(f"{terms.workflow}/{night}.html", page)
        line = {"title": terms.title, "currency": terms.currency, "row": asdict(row)}
        self._files.write(f"{terms.workflow}/{night}.json", json.dumps(line))
        self._files.write("index.html", render_index(self._workflows()))
        return f"{self._address}/{terms.workflow}/{night}.html"

    def _workflows(self) -> list[WorkflowIndex]:
        workflows = []
        names = list(self._files.matching("*/*.json"))
        for workflow, of_workflow in groupby(
            zip(names, self._contents(names), strict=True), lambda line: _folder(line[0])
        ):
            lines = [line for name, content in of_workflow if (line := self._line(name, content)) is not None]
            if lines:
                rows = tuple(row for _, _, row in lines)
                workflows.append(WorkflowIndex(workflow, lines[-1][0], lines[-1][1], rows))
        return workflows

    def _contents(self, names: list[str]) -> Iterable[bytes]:
        """The lines of the index, by name; of a store several at once, for each takes its time to answer."""
        if not is_url(self._files.url):
            return map(self._content, names)
        with ThreadPoolExecutor(READ_AT_ONCE) as pool:
            return list(pool.map(self._content, names))

    def _content(self, name: str) -> bytes:
        try:
            return self._files.read(name)
        except FileMissing:
            # it went away after it was listed
            return b""

    def _line(self, name: str, content: bytes) -> tuple[str, str, IndexRow] | None:
        """Title, currency and row of one night; None for a file that was set aside."""
        try:
            entry = json.loads(content)
            return _text(entry["title"]), _text(entry["currency"]), _ROW.validate_python(entry["row"])
        except (ValueError, KeyError, TypeError, RecursionError):
            workflow, night = _folder(name), name.rpartition("/")[2].removesuffix(".json")
            self._files.write(name + ASIDE, content)
            self._files.delete(name)
            log.warning(
                "the report's line of night %s of %s cannot be read; it was set aside as %s and is missing from the "
                "index: pipeline nights %s --from %s --to %s writes it again",
                night, workflow, f"{night}.json{ASIDE}", workflow, night, night,
            )  # fmt: skip
            return None


def _folder(name: str) -> str:
    return name.partition("/")[0]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value
