"""Rows out of JSON: one object per line, or one array of objects where that is declared."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.intake.file_hints import DeclaredColumns
from pipeline_project.spec.source import FileFormat
from resources.sources.lines import MAX_COLUMNS, PhysicalLine, Readable, Reading, physical_lines
from resources.sources.rows import SourceRow, as_string, bounded, cleaned, inside, long_line, matched_names

_ARRAY = (
    "is one JSON array and not one object per line; write one object per line (`jq -c '.[]'` does it), or set "
    "`format: json`"
)
_SPREAD = (
    "is JSON that runs over several lines; write one object per line (`jq -c .` does it), or, where it is one array, "
    "set `format: json`"
)
_BLANK = re.compile(r"[ \t\r\n]*")


class _Twice(ValueError):
    """An object names a key twice."""


def jsonl_rows(
    stream: Readable, how: FileFormat, name: str, reading: Reading, declared: DeclaredColumns | None = None
) -> Iterator[SourceRow]:
    """The rows of a file with one JSON object per line; numbers are kept as they are written.

    Raises:
        SourceUnreadable: the encoding is unknown or plainly another one, or the file is no JSON by lines.
    """
    names = _Names(declared, reading)
    first = True
    for line in physical_lines(stream, how.encoding, name, reading):
        if line.digest is not None:
            yield long_line(line)
            continue
        text = line.text.rstrip("\r\n").lstrip("\ufeff")
        if not text.strip():
            reading.passed_over += 1
            continue
        row = _row(line, text, names)
        if first and row.problem and (whole := _not_by_lines(text)):
            raise SourceUnreadable(f"{name}: {whole}")
        first = False
        yield row


def json_rows(
    stream: Readable, how: FileFormat, name: str, reading: Reading, declared: DeclaredColumns | None = None
) -> Iterator[SourceRow]:
    """The rows of a file that is one JSON array of objects.

    Raises:
        SourceUnreadable: it is no such array, or its encoding is another one.
    """
    names = _Names(declared, reading)
    text = "".join(_whole(physical_lines(stream, how.encoding, name, reading), name))
    # Rows and lines are no longer the same, so lines say nothing about rows.
    reading.lines = None
    decoder = json.JSONDecoder(object_pairs_hook=_once, parse_float=str, parse_int=str, parse_constant=str)
    at, line, counted = _after_blank(text, 0), 1, 0
    if text[at : at + 1] != "[":
        raise SourceUnreadable(f"{name}: is no JSON array; it must begin with [, or set `format: jsonl`")
    at = _after_blank(text, at + 1)
    while text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, end = decoder.raw_decode(text, at)
            problem = None
        except _Twice:
            value, end = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str).raw_decode(text, at)
            problem = "names a key twice"
        except (ValueError, RecursionError):
            raise SourceUnreadable(
                f"{name}: is no whole JSON array from line {line} on; it may be half-written. Deliver it again"
            ) from None
        yield _as_row(line, text[at:end], value, names, problem)
        at = _after_blank(text, end)
        if text[at : at + 1] == ",":
            at = _after_blank(text, at + 1)
        elif text[at : at + 1] != "]":
            raise SourceUnreadable(f"{name}: ends in the middle of its JSON array; deliver it again")
    if text[at + 1 :].strip():
        raise SourceUnreadable(f"{name}: goes on after its JSON array; deliver one array in a file")


def _whole(lines: Iterator[PhysicalLine], name: str) -> Iterator[str]:
    for line in lines:
        if line.digest is not None:
            raise SourceUnreadable(f"{name}: line {line.number} is too long to be read; write one object per line")
        yield line.text


def _after_blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _not_by_lines(text: str) -> str:
    """What a file whose first line is no object seems to be; empty where it may be a broken line like any other."""
    bare = text.strip()
    if bare.startswith("["):
        try:
            values = json.loads(bare)
        except (ValueError, RecursionError):
            return _ARRAY
        return _ARRAY if isinstance(values, list) and all(isinstance(value, dict) for value in values) else ""
    return _SPREAD if bare == "{" else ""


class _Names:
    """The names of columns as the spec writes them, worked out once for rows of the same keys."""

    def __init__(self, declared: DeclaredColumns | None, reading: Reading) -> None:
        self.wanted = tuple(declared.columns) if declared else ()
        self._reading, self._known = reading, dict[tuple[str, ...], list[str]]()

    def of(self, keys: tuple[str, ...]) -> list[str]:
        if keys not in self._known:
            names = matched_names(keys, self.wanted, self._reading)
            if len(self._known) > 1_000 or len(keys) > MAX_COLUMNS:
                return names
            self._reading.columns.update(dict.fromkeys(names))
            self._known[keys] = names
        return self._known[keys]

    def note_columns(self, columns: dict[str, str]) -> None:
        self._reading.columns.update(dict.fromkeys(columns))


def _row(line: PhysicalLine, text: str, names: _Names) -> SourceRow:
    problem = None
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_float=str, parse_int=str, parse_constant=str)
    except _Twice:
        value, problem = None, "names a key twice"
    except (ValueError, RecursionError):
        value = None
    return _as_row(line.number, text, value, names, problem)


def _as_row(number: int, text: str, value: Any, names: _Names, problem: str | None) -> SourceRow:
    if problem or not isinstance(value, dict) or len(value) > MAX_COLUMNS:
        shown, wrong = cleaned([text])
        many = f"has more than {MAX_COLUMNS:,} keys" if isinstance(value, dict) and not problem else None
        return bounded(SourceRow(number, {"line": shown[0]}, wrong or problem or many or "is no JSON object"))
    keys = names.of(tuple(value))
    clean, wrong = cleaned([*keys, *(as_string(cell) for cell in value.values())])
    within = inside(value, names.wanted)
    names.note_columns(within)
    within = dict(zip(within, cleaned(list(within.values()))[0], strict=True))
    return bounded(SourceRow(number, dict(zip(clean[: len(keys)], clean[len(keys) :], strict=True)), wrong, within))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        # Which of the two is meant nobody can say; the last one would be taken silently.
        raise _Twice
    return members
