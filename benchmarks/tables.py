"""Markdown, and what a figure is worth without: the machine it was taken on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; every column but the first holds figures."""
    return "\n".join([head(title, columns), *(line(row) for row in rows), ""])


def head(title: str, columns: Sequence[str]) -> str:
    """What stands above the rows of a `table`, whose lines are printed as they come."""
    return "\n".join([f"### {title}", "", line(columns), line(["---", *["---:"] * (len(columns) - 1)])])


def line(cells: Iterable[object]) -> str:
    """One row of a table."""
    return f"| {' | '.join(_text(cell) for cell in cells)} |"


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:,.1f}" if abs(cell) >= 100 else f"{cell:,.2f}" if abs(cell) >= 1 else f"{cell:,.3f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def percent(share: float) -> str:
    return f"{share:.1%}"


def verdict(reached: bool) -> str:
    return "reached" if reached else "not reached"


def machine() -> str:
    """Cores, processor, Python, and how busy the machine is besides."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    busy = os.getloadavg()[0]
    return (
        f"{cores} cores, {_processor()}, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}; load average {busy:.1f} at the start"
    )


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    if told.exists():
        for line in told.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
