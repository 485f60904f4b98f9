"""What the checker is given, and what it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: How many of the things that do not add up are named.
NAMED = 3


@dataclass(frozen=True)
class SourceFiles:
    """Where a workflow's rows come from, as far as they are files.

    Attributes:
        folder, pattern: of files by night, `{night}` standing for the key and `{night:%Y%m%d}` for when it begins; no
            pattern for tables. A folder may be an object store's URL, here and below.
        columns: the declared columns, by which a header is known.
        header: how many columns the spec names because the files do not; 0 where they do.
        skip_lines: so many lines, or rows of a sheet, stand before the header or the rows.
        sheet: of a workbook; None for its only one.
    """

    folder: str | None = None
    pattern: str | None = None
    format: str = "csv"
    delimiter: str = ","
    encoding: str = "utf-8"
    columns: frozenset[str] = frozenset()
    header: int = 0
    skip_lines: int = 0
    sheet: str | None = None


@dataclass(frozen=True)
class ActionDestination:
    """Where a workflow's actions arrive: a `folder` of files, or the `shop` on this machine; None where neither."""

    kind: str
    folder: Path | None = None


@dataclass(frozen=True)
class DeclaredWorkflow:
    """One workflow, as its file says.

    Attributes:
        places: destinations of its actions, by name.
        earlier_names: workflows whose decided cases count as its own: their rows may come again and be let go.
        in_dagster: what Dagster calls it, where that is not its name.
    """

    name: str
    decide_from: str
    source: SourceFiles
    places: Mapping[str, ActionDestination] = field(default_factory=dict)
    earlier_names: tuple[str, ...] = ()
    in_dagster: str = ""


@dataclass(frozen=True)
class Where:
    """Where everything lies.

    Attributes:
        ledger_url: of SQLAlchemy.
        lake_url: a folder or an object store's URL.
        repairs: the folder with a workflow's repairs by night below it.
        book: the fake shop's.
        checkpoints: the folder of the signed checkpoints.
        mlflow_url, dagster_url: of SQLAlchemy; None leaves these databases out.
        keys: the folder of the keys; None leaves them out.
    """

    ledger_url: str = field(repr=False)
    lake_url: str
    repairs: str
    book: Path
    checkpoints: str
    mlflow_url: str | None = field(default=None, repr=False)
    dagster_url: str | None = field(default=None, repr=False)
    keys: Path | str | None = None


@dataclass(frozen=True)
class Span:
    """Nights from `first` to `last`, both included; None is open."""

    first: str | None = None
    last: str | None = None

    def __contains__(self, night: object) -> bool:
        return (self.first is None or str(night) >= self.first) and (self.last is None or str(night) <= self.last)

    @property
    def whole(self) -> bool:
        return self.first is None and self.last is None


@dataclass(frozen=True)
class Mismatch:
    """Things that do not add up for one reason; `named` are a few of them."""

    words: str
    count: int
    named: Sequence[str]


@dataclass
class Link:
    """Two things that must agree.

    Attributes:
        counted: how many were compared on each side.
        notes: what could not be looked at, and what is not a break but worth knowing.
    """

    workflow: str
    name: str
    counted: tuple[int, int] = (0, 0)
    breaks: list[Mismatch] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def expect_none(self, mismatch: str, offenders: Iterable[object]) -> None:
        """A break, where anything was found."""
        several = sorted({str(offender) for offender in offenders})
        if several:
            self.breaks.append(Mismatch(mismatch, len(several), several[:NAMED]))

    def note(self, sentence: str, count: int = 1) -> None:
        if count:
            self.notes.append(sentence)

    @property
    def holds(self) -> bool:
        return not self.breaks
