"""Rows out of lines whose columns stand at the same places in each."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_project.domain.intake.file_hints import DeclaredColumns
from pipeline_project.spec.source import FileFormat
from resources.sources.lines import Readable, Reading, physical_lines
from resources.sources.rows import SourceRow, bounded, cleaned, long_line


def fixed_rows(
    stream: Readable, how: FileFormat, name: str, reading: Reading, declared: DeclaredColumns | None = None
) -> Iterator[SourceRow]:
    """The rows of a file by the places of its columns; a line may end early, as blanks at its end are often left out.

    Raises:
        SourceUnreadable: the encoding is unknown or plainly another one.
    """
    columns, end = how.columns, max(last for _, last in how.columns.values())
    reading.columns.update(dict.fromkeys(columns))
    for line in physical_lines(stream, how.encoding, name, reading):
        text = line.text.rstrip("\r\n")
        if line.number <= how.skip_lines or not text.strip():
            reading.passed_over += 1
            continue
        if line.digest is not None:
            yield long_line(line)
            continue
        cells, problem = cleaned([text[first - 1 : last].strip() for first, last in columns.values()])
        beyond = f"goes on after character {end}, where its last column ends" if text[end:].strip() else None
        yield bounded(SourceRow(line.number, dict(zip(columns, cells, strict=True)), problem or beyond))
