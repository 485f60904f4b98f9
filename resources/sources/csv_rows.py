"""Rows out of CSV: where the header is, what a quote may hold, and no line that is in no row."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.intake.file_hints import HEAD, DeclaredColumns, looks_like
from pipeline_project.domain.intake.readings import holds_rows
from pipeline_project.spec.source import FileFormat
from resources.sources.lines import MAX_COLUMNS, MAX_LINE, PhysicalLine, Readable, Reading, physical_lines
from resources.sources.rows import (
    SourceRow,
    bounded,
    canonical,
    cleaned,
    long_line,
    matched_names,
    too_long,
    unique_names,
)

# So many lines are looked through for the header, so many rows for a delimiter at their end.
_HEADER_WITHIN = 60
_ROWS_LOOKED_AT = 100
# After so many unclosed quotes what one of them runs over is not looked through once more.
_MAX_UNCLOSED = 100
_SEP = re.compile(r'"?sep=(\\t|[^"\w\r\n])"?[;,\t| ]*', re.I)
_BEFORE_HEADER = "stands before the header and looks like a row"
_NEVER_CLOSED = "has a quote that is never closed; the file may be half-written"
_SWALLOWED = (
    "stands in quotes that run over lines which look like rows of their own, so none of these lines is read; close or "
    "double the quote, or take the line breaks out of the cell, on line {}"
)


@dataclass(frozen=True)
class _Record:
    """Cells and the physical lines they stand on; several when a quoted cell has line breaks."""

    lines: list[PhysicalLine]
    cells: list[str]
    problem: str | None = None

    @property
    def number(self) -> int:
        return self.lines[0].number


class _Source:
    """Physical lines that can be given back."""

    def __init__(self, lines: Iterator[PhysicalLine]) -> None:
        self._lines, self._back = lines, deque[PhysicalLine]()

    def __iter__(self) -> _Source:
        return self

    def __next__(self) -> PhysicalLine:
        return self._back.popleft() if self._back else next(self._lines)

    def give_back(self, lines: Sequence[PhysicalLine]) -> None:
        self._back.extendleft(reversed(lines))


def csv_rows(
    stream: Readable, how: FileFormat, name: str, reading: Reading, declared: DeclaredColumns | None = None
) -> Iterator[SourceRow]:
    """The rows of a CSV file; line numbers are those of the file, also with line breaks in quotes.

    Raises:
        SourceUnreadable: the encoding is unknown, or the file is plainly in another one, or has no usable header.
    """
    # What a cell may hold is bounded below, by lines; the library's own limit is 128 KiB.
    csv.field_size_limit(2 * MAX_LINE)
    source = _Source(physical_lines(stream, how.encoding, name, reading))
    delimiter = _delimiter(source, how.delimiter, reading)
    reading.delimiter = delimiter
    wanted = declared.columns if declared else ()
    if how.header:
        yield from _without_header(source, how, delimiter, reading)
        return
    before = _before_header(source, how, delimiter, name, reading, wanted)
    head = next(_records(source, delimiter, reading), None)
    if head is None:
        yield from (_row(line, [line.text.rstrip("\r\n")], [], _BEFORE_HEADER) for line in before)
        return
    names = _header(head, name, delimiter)
    reading.passed_over += len(head.lines)
    names = matched_names(names, wanted, reading)
    reading.columns.update(dict.fromkeys(names))
    for line in before:
        yield _row(line, _alone(line, delimiter, len(names)), names, _BEFORE_HEADER)
    records = _records(source, delimiter, reading)
    looked_at = list(islice(records, _ROWS_LOOKED_AT))
    shape = _Shape.of(names, head.cells, looked_at, reading)
    for record in chain(looked_at, records):
        yield from _rows(record, shape, delimiter)


def _without_header(source: _Source, how: FileFormat, delimiter: str, reading: Reading) -> Iterator[SourceRow]:
    """The rows of a file whose columns the spec names; a first line that holds just these names is refused as a row."""
    reading.passed_over += len(list(islice(source, how.skip_lines)))
    names = list(how.header)
    reading.columns.update(dict.fromkeys(names))
    records = _records(source, delimiter, reading)
    looked_at = list(islice(records, _ROWS_LOOKED_AT))
    shape = _Shape.of(names, names, looked_at, reading)
    for record in chain(looked_at, records):
        yield from _rows(record, shape, delimiter)


def _delimiter(source: _Source, declared: str, reading: Reading) -> str:
    """The delimiter: the declared one, unless the file itself says another in the first line, as Excel writes it."""
    first = next(source, None)
    if first is None:
        return declared
    match = _SEP.fullmatch(first.text.rstrip("\r\n"))
    if match is None:
        source.give_back([first])
        return declared
    reading.passed_over += 1
    delimiter = "\t" if match[1] == "\\t" else match[1]
    reading.note(f"the first line says sep={match[1]}")
    return delimiter


def _before_header(
    source: _Source, how: FileFormat, delimiter: str, name: str, reading: Reading, wanted: Collection[str]
) -> list[PhysicalLine]:
    """Passes over what stands before the header, and returns the lines there that look like rows all the same.

    Raises:
        SourceUnreadable: `skip_lines` would pass over the header.
    """
    ahead = list(islice(source, max(_HEADER_WITHIN, how.skip_lines + 1)))
    keys = {canonical(column) for column in wanted}
    named = [len(keys & set(map(canonical, _alone(line, delimiter)))) if keys else 0 for line in ahead]
    at = how.skip_lines
    if how.skip_lines:
        header = next((n for n, count in enumerate(named[:at]) if count == max(named) > 0), None)
        if header is not None:
            raise SourceUnreadable(
                f"{name}: line {ahead[header].number} holds the names of columns, and `skip_lines: {how.skip_lines}` "
                "would pass over it; correct `skip_lines`"
            )
        if ahead and not any(line.text.strip("\r\n") for line in ahead[at:]):
            raise SourceUnreadable(
                f"{name}: nothing comes after the {how.skip_lines} lines of `skip_lines`, not even a header; correct it"
            )
    else:
        at = next((n for n, line in enumerate(ahead) if line.text.strip("\r\n")), 0)
        best = max(range(len(ahead)), key=lambda n: named[n], default=at)
        recognized = named[at : at + 1] == [0] and named[best] >= min(2, len(keys)) and 2 * named[best] >= len(keys)
        # A page around a table is no preamble: it stops the night, as any file of another kind does.
        passed = "".join(line.text for line in ahead[at:best])[:HEAD]
        if recognized and best > at and not looks_like(passed.encode("utf-8", "replace"), how.format):
            at = best
            reading.note(f"the header is line {ahead[at].number}")
    source.give_back(ahead[at:])
    count = len(_alone(ahead[at], delimiter)) if at < len(ahead) else 0
    if how.skip_lines:
        reading.note(f"{len(ahead[:at])} lines before the header are passed over, as declared")
    rows = [line for line in ahead[:at] if _is_like_a_row(_alone(line, delimiter), count)]
    reading.passed_over += at - len(rows) if at < len(ahead) else len(ahead) - len(rows)
    return rows


def _is_like_a_row(cells: list[str], count: int) -> bool:
    return count > 1 and len(cells) >= count - 1 and 2 * sum(bool(cell.strip()) for cell in cells) > count


def _header(head: _Record, name: str, delimiter: str) -> list[str]:
    if head.problem or head.lines[0].digest:
        why = head.problem or f"is longer than {MAX_LINE // 1024**2} MiB"
        raise SourceUnreadable(f"{name}: the header {why}; correct the file or the spec's `delimiter`")
    if len(head.cells) > MAX_COLUMNS:
        raise SourceUnreadable(f"{name}: the header has {len(head.cells):,} columns; at most {MAX_COLUMNS:,} are read")
    if len(head.lines) > 1 and any(delimiter in cell and ("\n" in cell or "\r" in cell) for cell in head.cells):
        raise SourceUnreadable(
            f"{name}: a quote in the header runs over {len(head.lines)} lines, with delimiters in them; close it"
        )
    return unique_names(cleaned(head.cells)[0])


def _records(source: _Source, delimiter: str, reading: Reading) -> Iterator[_Record]:
    """Every record. A quote that is never closed would swallow the rest of the file: its first line is given with a
    problem, and reading goes on with the next line."""
    unclosed = 0
    for line in source:
        text = line.text.rstrip("\r\n")
        if not text:
            reading.passed_over += 1
        elif line.digest is not None or '"' not in text:
            yield _Record([line], text.split(delimiter))
        else:
            feed = _Feed(line, source)
            cells = next(csv.reader(feed, delimiter=delimiter))
            if not feed.ended:
                wrong = None if len(feed.taken) == 1 or _well_quoted(feed.taken, delimiter) else _SWALLOWED
                yield _Record(feed.taken, cells, wrong)
                continue
            unclosed += 1
            if unclosed > _MAX_UNCLOSED:
                yield from (_Record([physical], [], _NEVER_CLOSED) for physical in feed.taken)
                continue
            source.give_back(feed.taken[1:])
            yield _Record([line], [], _NEVER_CLOSED)


class _Feed:
    """Gives a record's lines and remembers them, and whether more were asked for than there are or may be."""

    def __init__(self, first: PhysicalLine, source: _Source) -> None:
        self._waiting: PhysicalLine | None = first
        self._source, self.taken, self.ended, self._size = source, list[PhysicalLine](), False, 0

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = self._waiting or next(self._source, None)
        self._waiting = None
        if line is not None and (line.digest is not None or self._size + line.size > MAX_LINE) and self.taken:
            self._source.give_back([line])
            line = None
        if line is None:
            self.ended = True
            raise StopIteration
        self.taken.append(line)
        self._size += line.size
        return line.text


def _well_quoted(lines: list[PhysicalLine], delimiter: str) -> bool:
    """Whether every quote that closes a cell stands before a delimiter or at the end, as it does when it was meant."""
    try:
        list(csv.reader((line.text for line in lines), delimiter=delimiter, strict=True))
    except csv.Error:
        return False
    return True


@dataclass(frozen=True)
class _Shape:
    """How many cells a row has.

    Attributes:
        names: of the columns.
        header: the header's cells as they stand.
        more: empty cells at the end of every row, beyond the header's.
        nameless: columns at the header's end without a name, which the rows need not have.
    """

    names: list[str]
    header: list[str]
    more: int
    nameless: int

    @classmethod
    def of(cls, names: list[str], header: list[str], looked_at: list[_Record], reading: Reading) -> _Shape:
        count = len(names)
        whole = [record for record in looked_at if not record.problem and len(record.lines) == 1]
        sizes = {len(record.cells) for record in whole if record.lines[0].digest is None}
        size = sizes.pop() if len(sizes) == 1 else count
        more = size - count if size > count and all(_empty(record.cells[count:]) for record in whole) else 0
        nameless = next((n for n, cell in enumerate(reversed(header)) if cell.strip()), 0)
        if more:
            reading.note(f"rows end with {more} delimiter{'s' * (more > 1)} more than the header")
        if nameless and size == count - nameless:
            reading.note(f"the header ends with {nameless} delimiter{'s' * (nameless > 1)} more than the rows")
        return cls(names, header, more, nameless if size == count - nameless else 0)

    def fitting(self, cells: list[str]) -> list[str]:
        """The cells as the header has them, where the end of a line is all that differs."""
        count = len(self.names)
        if self.more and len(cells) == count + self.more and _empty(cells[count:]):
            return cells[:count]
        return [*cells, *[""] * self.nameless] if self.nameless and len(cells) == count - self.nameless else cells


def _empty(cells: Sequence[str]) -> bool:
    return not any(cell.strip() for cell in cells)


def _rows(record: _Record, shape: _Shape, delimiter: str) -> Iterator[SourceRow]:
    first, count = record.lines[0], len(shape.names)
    if first.digest is not None:
        yield long_line(first)
        return
    if record.problem:
        for line in record.lines:
            yield _refused(line, shape, delimiter, record.problem.format(record.number))
        return
    cells = shape.fitting(record.cells)
    if len(record.lines) > 1 and (len(cells) != count or holds_rows(cells, delimiter)):
        for line in record.lines:
            yield _refused(line, shape, delimiter, _SWALLOWED.format(record.number))
        return
    problem = None
    if len(cells) != count:
        problem = f"has {len(cells)} cells where the header has {count}"
        if len(cells) > count and _empty(cells[count:]):
            problem += ", those beyond it empty, but not in every row"
    elif record.cells == shape.header:
        problem = "repeats the header"
    yield _row(first, cells, shape.names, problem)


def _refused(line: PhysicalLine, shape: _Shape, delimiter: str, problem: str) -> SourceRow:
    if line.digest is not None:
        return long_line(line)
    cells = _alone(line, delimiter, len(shape.names) + shape.more, half_written=problem == _NEVER_CLOSED)
    return _row(line, shape.fitting(cells), shape.names, problem)


def _row(line: PhysicalLine, cells: list[str], names: list[str], problem: str | None) -> SourceRow:
    if len(cells) > MAX_COLUMNS:
        digest = hashlib.sha256(line.text.encode("utf-8", "surrogatepass")).hexdigest()
        return too_long(line.number, line.text, line.size, digest, f"has more than {MAX_COLUMNS:,} cells")
    clean, wrong = cleaned(cells)
    names = [*names, *(f"column {n + 1}" for n in range(len(names), len(clean)))]
    return bounded(SourceRow(line.number, dict(zip(names, clean, strict=False)), problem or wrong))


def _alone(line: PhysicalLine, delimiter: str, count: int = 0, half_written: bool = False) -> list[str]:
    """A line's cells by itself: with its quotes as they stand where it then has so many, else as far as they close; of
    one that ends in the middle of its last cell the other way round."""
    text = line.text.rstrip("\r\n")
    literal = text.split(delimiter)
    if '"' not in text or (len(literal) == count and not half_written):
        return literal
    closed = next(csv.reader([text], delimiter=delimiter))
    return literal if len(literal) == count != len(closed) else closed
