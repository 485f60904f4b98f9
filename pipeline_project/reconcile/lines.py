"""How many rows a file holds, counted from its physical lines.

A CSV is counted twice over: its lines are split where line breaks stand, quotes or not, and once more by the csv module
alone. A line counts as a row where a row begins; a line inside a cell counts as well once any line of that cell holds
as many delimiters as a row: then a quote has swallowed rows, and each of these lines must be somewhere.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import io
import json
import lzma
import re
import sys
import zipfile
import zlib
from dataclasses import dataclass
from xml.etree import ElementTree

from pipeline_project.reconcile.scope import SourceFiles

_SHEETS = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATED = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_SHARED = "xl/sharedStrings.xml"
_BREAK = re.compile(r"\r\n|\n|\r")
_GZIP, _ZIP, _PARQUET = b"\x1f\x8b", b"PK\x03\x04", b"PAR1"
_BZIP2, _XZ, _ZSTD = b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Counted:
    """One file.

    Attributes:
        sha256: of the file as it lies there.
        needed: lines, counted from 1, each of which must be a row.
        allowed: lines that may be one: what lies inside a cell, and what holds nothing but blanks and delimiters.
        rows: how many, where rows are no lines: several objects of a JSON array may stand on one.
        why_not: why it cannot be counted, in words; then nothing else is known.
    """

    sha256: str
    needed: frozenset[int] = frozenset()
    allowed: frozenset[int] = frozenset()
    rows: int | None = None
    why_not: str | None = None


def count(packed: bytes, kind: str, source: SourceFiles) -> Counted:
    """The rows of a file.

    Args:
        packed: the file as it lies there.
        kind: csv, json, jsonl, parquet, fixed or excel, as declared; a file that plainly is something else is taken as
            that.
        source: what else is declared of its files.

    Raises:
        OSError: it is not there, or may not be read.
    """
    digest = hashlib.sha256(packed).hexdigest()
    if kind == "excel":
        return _excel(digest, packed, source)
    try:
        data = _unpacked(packed)
    except (OSError, EOFError, ValueError, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return Counted(digest, why_not="no whole archive of one file")
    if kind == "parquet" or data.startswith(_PARQUET):
        return _parquet(digest, data)
    text = _text(data, source.encoding)
    if kind in ("json", "jsonl"):
        return _json(digest, text)
    if kind == "fixed":
        numbered = enumerate(_BREAK.split(text), 1)
        return Counted(digest, frozenset(n for n, line in numbered if n > source.skip_lines and line.strip()))
    return _csv(digest, text, source)


def _unpacked(packed: bytes) -> bytes:
    if packed.startswith(_GZIP):
        return gzip.decompress(packed)
    if packed.startswith(_BZIP2):
        return bz2.decompress(packed)
    if packed.startswith(_XZ):
        return lzma.decompress(packed)
    if packed.startswith(_ZSTD):
        import pyarrow as pa

        return bytes(pa.CompressedInputStream(pa.BufferReader(packed), "zstd").read())
    if not packed.startswith(_ZIP):
        return packed
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) != 1:
            raise zipfile.BadZipFile("not one file")
        return archive.read(members[0])


def _text(data: bytes, encoding: str) -> str:
    for mark, of_mark in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            encoding = of_mark
            break
    return data.decode(encoding, "replace").removeprefix("\ufeff")


def _parquet(digest: str, data: bytes) -> Counted:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.ParquetFile(io.BytesIO(data)).metadata.num_rows
    except (pa.ArrowException, OSError):
        return Counted(digest, why_not="no whole Parquet file")
    return Counted(digest, frozenset(range(1, rows + 1)))


def _excel(digest: str, packed: bytes, source: SourceFiles) -> Counted:
    """The rows of a sheet that hold a value, from the XML of the workbook itself."""
    if not packed.startswith(_ZIP):
        return Counted(digest, why_not="is no .xlsx workbook, and others are not counted")
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            sheets = {
                sheet.get("name"): sheet.get(f"{_RELATED}id")
                for sheet in ElementTree.fromstring(archive.read("xl/workbook.xml")).iter(f"{_SHEETS}sheet")
            }
            targets = {
                one.get("Id"): str(one.get("Target"))
                for one in ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
            }
            target = targets[sheets[source.sheet or next(iter(sheets))]]
            content = archive.read(target.lstrip("/") if target.startswith("/") else f"xl/{target}")
            shared = archive.read(_SHARED) if _SHARED in archive.namelist() else b"<sst/>"
            texts = ["".join(one.itertext()) for one in ElementTree.fromstring(shared)]
    except (KeyError, StopIteration, zlib.error, zipfile.BadZipFile, ElementTree.ParseError):
        return Counted(digest, why_not="no whole .xlsx workbook with that sheet")
    filled = [
        int(row.get("r", at))
        for at, row in enumerate(ElementTree.fromstring(content).iter(f"{_SHEETS}row"), 1)
        if any(_holds_a_value(cell, texts) for cell in row)
    ]
    rows = sorted(number for number in filled if number > source.skip_lines)
    return Counted(digest, frozenset(rows if source.header else rows[1:]))


def _holds_a_value(cell: ElementTree.Element, texts: list[str]) -> bool:
    """Whether a cell is not blank; a formula counts for what was saved of it."""
    value = next((part.text or "" for part in cell if part.tag == f"{_SHEETS}v"), "")
    if cell.get("t") == "s" and value:
        value = texts[int(value)]
    inline = "".join(text for part in cell if part.tag == f"{_SHEETS}is" for text in part.itertext())
    return bool((value + inline).strip())


def _json(digest: str, text: str) -> Counted:
    if text.lstrip().startswith("["):
        try:
            rows = len(json.loads(text))
        except ValueError:
            return Counted(digest, why_not="begins like a JSON array and is none")
        return Counted(digest, rows=rows)
    lines = _BREAK.split(text)
    return Counted(digest, frozenset(number for number, line in enumerate(lines, 1) if line.strip()))


def _csv(digest: str, text: str, source: SourceFiles) -> Counted:
    lines, delimiter = _BREAK.split(text), source.delimiter
    # where the spec names the columns, the line before the first row takes the header's place
    header = source.skip_lines - 1 if source.header else _header(lines, delimiter, source.columns)
    if header is None:
        return Counted(digest)
    between = source.header - 1 if source.header else lines[header].count(delimiter)
    csv.field_size_limit(sys.maxsize)
    needed: set[int] = set()
    allowed: set[int] = set()
    reader = csv.reader((line + "\n" for line in lines[header + 1 :]), delimiter=delimiter)
    # the header is line `header + 1`; a row begins on the line after the one where the row before it ended
    begun = header + 2
    for cells in reader:
        ended = header + 1 + reader.line_num
        own = range(begun, ended + 1)
        if any(cell.strip() for cell in cells):
            needed.add(begun)
            inner = [part for cell in cells for part in cell.split("\n")[1:]]
            if between and any(part.count(delimiter) >= between for part in inner):
                needed.update(number for number in own if lines[number - 1].strip(delimiter + " \t"))
        allowed.update(own)
        begun = ended + 1
    return Counted(digest, frozenset(needed), frozenset(allowed - needed))


def _header(lines: list[str], delimiter: str, columns: frozenset[str]) -> int | None:
    """The first line that names a declared column, or else the first that holds anything; counted from 0."""
    filled = [number for number, line in enumerate(lines) if line.strip()]
    for number in filled:
        names = {name.strip().strip('"').strip() for name in lines[number].split(delimiter)}
        if names & columns:
            return number
    return filled[0] if filled else None
