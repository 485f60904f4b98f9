"""How commands speak: to people on a terminal, or as one JSON document to a script; and what their exit codes mean."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


class Exit(IntEnum):
    """What the exit codes mean."""

    DONE = 0
    NIGHT_FAILED = 1
    WRONG_CALL = 2
    SPEC_MISTAKE = 3
    GROUND_MISSING = 4
    NOT_FOUND = 5


EXIT_CODES = (
    "Exit codes: 0 done, 1 a night failed or was blocked, 2 wrong call, 3 mistakes in a workflow, "
    "4 database, lake or another part of the ground is missing, 5 not found."
)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, for scripts.")]


def say(text: str = "") -> None:
    """A line for people."""
    out.print(text, markup=False, soft_wrap=True)


def complain(text: str) -> None:
    """A line on standard error."""
    err.print(text, markup=False, soft_wrap=True)


def emit(document: Any) -> None:
    """The one JSON document of a call with --json."""
    out.print(json.dumps(document, indent=2, default=str, ensure_ascii=False), markup=False, soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = ()) -> None:
    """A table for people; the columns named in `right` hold numbers."""
    drawn = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        drawn.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*("" if cell is None else str(cell) for cell in row))
    out.print(drawn)


class Steps:
    """A progress bar with the time left, for work of known length; where no terminal shows a bar, a line a step."""

    def __init__(self, progress: Progress | None, total: int, what: str, quiet: bool) -> None:
        self._progress, self._quiet = progress, quiet
        self._task = progress.add_task(what, total=total) if progress else None

    def step(self, what: str, done: int = 1) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, advance=done, description=what)
        elif not self._quiet:
            complain(what)


@contextmanager
def steps(total: int, what: str, quiet: bool = False) -> Iterator[Steps]:
    """Shows on standard error how far work is; nothing when quiet."""
    if quiet or not err.is_terminal:
        yield Steps(None, total, what, quiet)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=False) as progress:
        yield Steps(progress, total, what, quiet)
