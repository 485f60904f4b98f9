"""A row as strings, and what every format has in common: names of columns, values as text, bounds."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from resources.sources.lines import BEGINNING, MAX_LINE, PhysicalLine, Reading

_SURROGATE = re.compile("[\ud800-\udfff]")
_UNSEEN = dict.fromkeys(map(ord, "\ufeff\u200b\u200c\u200d\u2060\u00ad"))


@dataclass(frozen=True)
class SourceRow:
    """One row: where it starts (the header being line 1), its cells by column, and why it could not be split.

    Attributes:
        inside: values that stand inside of a cell and are asked for by a path, `customer.name`; they are no content of
            their own, so the row's hash leaves them out.
    """

    line: int
    cells: dict[str, str]
    problem: str | None = None
    inside: dict[str, str] = field(default_factory=dict)


def too_long(line: int, beginning: str, size: int, digest: str, problem: str) -> SourceRow:
    """A row of which only the beginning is kept, with what tells it from any other one."""
    cells = {"line": written_out(beginning[:BEGINNING].rstrip("\r\n")), "characters": str(size), "sha256": digest}
    return SourceRow(line, cells, problem)


def long_line(line: PhysicalLine) -> SourceRow:
    return too_long(line.number, line.text, line.size, line.digest or "", TOO_LONG)


TOO_LONG = f"is longer than {MAX_LINE // 1024**2} MiB; only its beginning is kept here, deliver it shorter"


def bounded(row: SourceRow) -> SourceRow:
    """The row, or its beginning where its cells are too long together."""
    size = sum(map(len, row.cells.values()))
    if size <= MAX_LINE:
        return row
    text = json.dumps(row.cells, ensure_ascii=False)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return too_long(row.line, text.replace("\n", " ").replace("\r", " "), size, digest, TOO_LONG)


def unique_names(names: list[str]) -> list[str]:
    """Column names trimmed, the nameless numbered, the repeated told apart."""
    seen: dict[str, int] = {}
    unique = []
    for number, raw in enumerate(names, start=1):
        name = raw.strip() or f"column {number}"
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return unique


def canonical(name: str) -> str:
    """A name without what nobody sees in it: how its accents are written, blanks, marks of no width, case."""
    return " ".join(unicodedata.normalize("NFC", name.translate(_UNSEEN)).casefold().split())


def matched_names(names: Sequence[str], wanted: Collection[str], reading: Reading) -> list[str]:
    """The names of a file's columns, as the spec writes them where a name differs only in what nobody sees; where two
    columns would be the one meant, neither is."""
    missing = {canonical(name): name for name in wanted if name not in names}
    positions: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        if name not in wanted and (key := canonical(name)) in missing:
            positions.setdefault(key, []).append(at)
    result = list(names)
    for key, places in positions.items():
        if len(places) == 1:
            result[places[0]] = missing[key]
            reading.note(f"the column {missing[key]} is written with other accents, blanks or capitals")
    return result


def cleaned(cells: Sequence[str]) -> tuple[list[str], str | None]:
    """The cells with undecodable bytes written out as \\xNN, and the problem if there were any."""
    if not any(map(_SURROGATE.search, cells)):
        return list(cells), None
    problem = "has bytes that are not of the declared encoding; set `encoding` in the spec if it is another"
    return [written_out(cell) for cell in cells], problem


def written_out(text: str) -> str:
    return _SURROGATE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def inside(values: Mapping[str, Any], paths: Collection[str]) -> dict[str, str]:
    """What stands at the paths that are no column themselves: `customer.name`, `items.0.price`."""
    cells = {}
    for path in paths:
        if path in values or "." not in path:
            continue
        head, *steps = path.split(".")
        value = values.get(head)
        for step in steps:
            if isinstance(value, Mapping):
                value = value.get(step)
            elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
                value = value[int(step)]
            else:
                value = None
        if value is not None:
            cells[path] = as_string(value)
    return cells


def as_string(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=as_string)
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)
