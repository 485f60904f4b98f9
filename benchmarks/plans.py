"""What statements read: every one that an engine runs is explained first, by carrying it out and taking it back.

Counts of rows are the same on every machine, where times are not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, event

_EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
_EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) "


@dataclass(frozen=True)
class Scan:
    """One table or index as one statement read it.

    Attributes:
        how: PostgreSQL's word for it: `Seq Scan`, `Index Scan`, ...
        rows: read, those that were thrown away again included, over all loops.
    """

    how: str
    table: str
    index: str
    rows: int


@dataclass(frozen=True)
class Explained:
    """One statement: its words, milliseconds of its carrying out, pages of 8 KiB that it touched, what it scanned."""

    words: str
    milliseconds: float
    pages: int
    scans: tuple[Scan, ...]
    plan: Mapping[str, Any] = field(repr=False)

    @property
    def rows(self) -> int:
        """Most rows that one of its scans read."""
        return max((scan.rows for scan in self.scans), default=0)


@contextmanager
def explained(engine: Engine) -> Iterator[list[Explained]]:
    """The plans of all statements that `engine` runs within, in order; each is carried out twice, once for nothing."""
    plans: list[Explained] = []
    busy = False

    def before(_c: Any, cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        nonlocal busy
        if busy or many or not statement.lstrip().upper().startswith(_EXPLAINED):
            return
        busy = True
        try:
            cursor.execute("SAVEPOINT explained")
            cursor.execute(_EXPLAIN + statement, parameters)
            (answer,) = cursor.fetchone()
            cursor.execute("ROLLBACK TO SAVEPOINT explained")
        finally:
            busy = False
        plans.append(_explained(statement, (json.loads(answer) if isinstance(answer, str) else answer)[0]))

    event.listen(engine, "before_cursor_execute", before)
    try:
        yield plans
    finally:
        event.remove(engine, "before_cursor_execute", before)


def _explained(statement: str, answer: Mapping[str, Any]) -> Explained:
    plan = answer["Plan"]
    pages = sum(int(plan.get(f"Shared {kind} Blocks", 0)) for kind in ("Hit", "Read"))
    return Explained(statement, answer["Execution Time"], pages, tuple(_scans(plan)), plan)


def _scans(node: Mapping[str, Any], table: str = "") -> Iterator[Scan]:
    how, here = node["Node Type"], node.get("Relation Name", table)
    if "Scan" in how and how not in ("Subquery Scan", "CTE Scan", "Function Scan", "Values Scan"):
        thrown = sum(int(node.get(f"Rows Removed by {what}", 0)) for what in ("Filter", "Index Recheck"))
        rows = round((node["Actual Rows"] + thrown) * node["Actual Loops"])
        yield Scan(how, here, node.get("Index Name", ""), rows)
    for below in node.get("Plans", ()):
        yield from _scans(below, here)
