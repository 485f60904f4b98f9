"""What comes from the lake and goes into it beside the rows: which writing of a night they are, and what is noted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class StoredTable:
    """Rows as they were read from the lake, and what tells from which writing of their table.

    Attributes:
        name: "workflow/asset".
        version: of the whole table; it rises with every night that is written.
        content: which writing of their night the rows are: it changes only when this very night is written again.
            None where they are of several nights, or of none.
    """

    rows: pa.Table
    name: str
    version: int
    content: str | None = None

    @property
    def asset_name(self) -> str:
        return self.name.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class NotedTable:
    """Rows of a night, and words that the lake keeps in the very commit that writes them (`ports.Lake.note`)."""

    rows: pa.Table
    note: Mapping[str, str]


def versions_of(tables: Iterable[StoredTable]) -> dict[str, int]:
    """The lake versions that these tables were read from, as {"workflow/asset": version}."""
    return {table.name: table.version for table in tables}


def contents_of(tables: Iterable[StoredTable]) -> dict[str, str]:
    """Which writings of one night these tables are, by asset name."""
    return {table.asset_name: table.content for table in tables if table.content is not None}
