"""How commands speak: to people on a terminal, or as one JSON document to a script; and what their exit codes mean."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from enum import IntEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

#: What is piped into a file or another program is not folded: a line stays a line for grep and awk.
PIPED_WIDTH = 10_000


class Exit(IntEnum):
    """What the exit codes mean."""

    DONE = 0
    NIGHT_FAILED = 1
    WRONG_CALL = 2
    SPEC_MISTAKE = 3
    ENVIRONMENT_MISSING = 4
    NOT_FOUND = 5
    TAMPERED = 6
    INTERRUPTED = 130


EXIT_WORDS: Mapping[Exit, str] = {
    Exit.DONE: "done",
    Exit.NIGHT_FAILED: "a night failed or was blocked, something does not add up, or a service died",
    Exit.WRONG_CALL: "wrong call: an option, a setting, a port in use",
    Exit.SPEC_MISTAKE: "mistakes in a workflow file",
    Exit.ENVIRONMENT_MISSING: "database, lake, disk or another part of the environment is missing",
    Exit.NOT_FOUND: "no such workflow, case or decision",
    Exit.TAMPERED: "the audit chain, a checkpoint or a fact was tampered with",
    Exit.INTERRUPTED: "stopped by Ctrl-C or SIGTERM; the same command goes on",
}

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, for scripts.")]


def say(text: str = "") -> None:
    """A line for people, as it is: commands and paths in it can be copied whole."""
    out.print(text, markup=False, soft_wrap=True)


def complain(text: str) -> None:
    """A line on standard error."""
    err.print(text, markup=False, soft_wrap=True)


def emit(document: Any) -> None:
    """The one JSON document of a call with --json; a number that is none becomes null, as JSON knows no NaN."""
    typer.echo(json.dumps(_finite(document), indent=2, default=str, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _finite(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _finite(nested) for key, nested in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(nested) for nested in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def paragraph(text: str, indent: str = "  ") -> None:
    """A sentence, folded between words at the terminal's width, each line indented."""
    width = max(40, out.width) if out.is_terminal else PIPED_WIDTH
    say(textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False))


def facts(pairs: Iterable[tuple[str, Any]], indent: str = "  ") -> None:
    """Names and values side by side; a long value folds below itself."""
    shown = [(name, str(value)) for name, value in pairs if value is not None]
    wide = max((len(name) for name, _ in shown), default=0) + 2
    width = max(40, out.width) if out.is_terminal else PIPED_WIDTH
    below = indent + " " * wide
    for name, value in shown:
        first = indent + name.ljust(wide)
        say(textwrap.fill(value, width, initial_indent=first, subsequent_indent=below, break_on_hyphens=False))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = ()) -> None:
    """A table for people, without borders; the columns named in `right` hold numbers."""
    drawn = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        drawn.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*("" if cell is None else str(cell) for cell in row))
    if title:
        heading(title)
    wide = out if out.is_terminal else Console(highlight=False, width=PIPED_WIDTH)
    with wide.capture() as drawing:
        wide.print(drawn)
    for line in drawing.get().splitlines():
        typer.echo(line.rstrip())


def heading(text: str) -> None:
    """A heading with an empty line above it."""
    out.print(f"\n{text}", style="bold", markup=False, soft_wrap=True)


class Steps:
    """A progress bar with the time left, for work of known length; where no terminal shows a bar, a line a step."""

    def __init__(self, progress: Progress | None, total: int, what: str, quiet: bool) -> None:
        self._progress, self._quiet = progress, quiet
        self._task = progress.add_task(what, total=total) if progress else None

    def step(self, what: str, done: int = 1, why: str = "") -> None:
        """
        Args:
            why: what went wrong, whole on a line of its own beside the bar.
        """
        if why and not self._quiet:
            complain(f"{what}: {why}")
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, advance=done, description=what)
        elif not self._quiet and not why:
            complain(what)


@contextmanager
def steps(total: int, what: str, quiet: bool = False) -> Iterator[Steps]:
    """Shows on standard error how far work is; nothing when quiet."""
    if quiet or not err.is_terminal:
        yield Steps(None, total, what, quiet)
        return
    columns = (
        # 30 + 16 + counts and the time left stay below 80 columns
        TextColumn("{task.description:<30}"),
        BarColumn(16),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=err, transient=False) as progress:
        yield Steps(progress, total, what, quiet)
