"""Cells of CSV files that people open in a spreadsheet: what would be read as a formula is made a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: A cell that begins so is run by Excel, LibreOffice or Sheets as a formula, after blanks too.
_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@|%＝＋－＠]")
_NUMBER = re.compile(r"\s*[+-]?(?:\d+(?:[.,]\d+)*|[.,]\d+)(?:[eE][+-]?\d+)?\s*%?")


def harmless(cell: str) -> str:
    """The cell, with an apostrophe before it where a spreadsheet would compute it; numbers, signed ones too, stay."""
    return f"'{cell}" if _computed(cell) else cell


def harmless_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row whose texts, and column names, no spreadsheet computes."""
    return {harmless(name): harmless(value) if isinstance(value, str) else value for name, value in row.items()}


def as_written(cell: str) -> str:
    """What `harmless` was given: a file that comes back from people must hold the same values again."""
    return cell[1:] if cell.startswith("'") and _computed(cell) else cell


def _computed(cell: str) -> bool:
    # one that begins with an apostrophe already gets another, so that both come back as they were
    bare = cell.lstrip("'")
    return _FORMULA.match(bare) is not None and not _NUMBER.fullmatch(bare)
