"""The text of a file, line by line: its encoding made sure of, its lines counted, and none held that is too long."""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from pipeline_project.domain.core.errors import SourceUnreadable

#: A line, or a row of several lines, of more characters is refused: what it holds is no row that anybody meant.
MAX_LINE = 4 * 1024**2
#: More columns, or more cells in a row, are refused.
MAX_COLUMNS = 10_000
#: Of what is too long so much is kept.
BEGINNING = 200
_CHUNK = 256 * 1024
_LINE = re.compile("[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LOOKED_AT = 4096
_KEPT = "pipeline-kept"


def _as_surrogates(error: UnicodeError) -> tuple[str, int]:
    """Bytes that are not of the encoding as lone surrogates, U+DC00 and the byte, in every encoding."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_KEPT, _as_surrogates)


class Readable(Protocol):
    """Anything that gives bytes, fewer than asked for only at its end or none at all."""

    def read(self, size: int, /) -> bytes: ...


@dataclass
class Reading:
    """What is learned of one file while it is read; see `readings.FileReading`.

    Attributes:
        columns: the names of its columns as they are known so far; a dictionary for its order.
        detected: what the spec does not say, each once.
    """

    columns: dict[str, None] = field(default_factory=dict)
    lines: int | None = 0
    passed_over: int = 0
    delimiter: str | None = None
    detected: dict[str, None] = field(default_factory=dict)

    def note(self, detail: str) -> None:
        self.detected[detail] = None


@dataclass(frozen=True)
class PhysicalLine:
    """A physical line with its line break.

    Attributes:
        number: counted from 1.
        text: of one that is too long only the beginning.
        size: its characters.
        digest: of the whole text, where it is too long.
    """

    number: int
    text: str
    size: int
    digest: str | None = None


def physical_lines(stream: Readable, encoding: str, name: str, reading: Reading) -> Iterator[PhysicalLine]:
    """The lines of a file, ended by any of the three line breaks; `reading.lines` counts them in another way.

    Raises:
        SourceUnreadable: the encoding is unknown, or the file is plainly in another one.
    """
    number, parts, size, digest = 0, list[str](), 0, None
    for chunk in _without_split_breaks(_counted(_decoded(stream, encoding, name, reading), reading)):
        for piece in _LINE.findall(chunk):
            size += len(piece)
            if digest is None and size > MAX_LINE:
                digest = hashlib.sha256("".join(parts).encode("utf-8", "surrogatepass"))
                parts = ["".join(parts)[:BEGINNING]]
            if digest is not None:
                digest.update(piece.encode("utf-8", "surrogatepass"))
                parts = [(parts[0] + piece[:BEGINNING])[:BEGINNING]]
            else:
                parts.append(piece)
            if piece[-1] in "\r\n":
                number += 1
                yield PhysicalLine(number, "".join(parts), size, digest.hexdigest() if digest else None)
                parts, size, digest = [], 0, None
    if size:
        yield PhysicalLine(number + 1, "".join(parts), size, digest.hexdigest() if digest else None)


def _counted(chunks: Iterator[str], reading: Reading) -> Iterator[str]:
    """Counts the line breaks that pass by."""
    breaks, last = 0, ""
    for chunk in chunks:
        breaks += chunk.count("\n") + chunk.count("\r") - chunk.count("\r\n")
        breaks -= last == "\r" and chunk[:1] == "\n"
        last = chunk[-1:] or last
        yield chunk
    reading.lines = breaks + (last not in ("", "\r", "\n"))


def _without_split_breaks(chunks: Iterator[str]) -> Iterator[str]:
    held = ""
    for chunk in chunks:
        chunk, held = held + chunk, ""
        if chunk.endswith("\r"):
            chunk, held = chunk[:-1], "\r"
        yield chunk
    yield held


def _decoded(stream: Readable, encoding: str, name: str, reading: Reading) -> Iterator[str]:
    head = stream.read(_CHUNK)
    codec = _codec(head[:_LOOKED_AT], encoding, name, reading)
    decoder = codecs.getincrementaldecoder(codec)(_KEPT)
    text, begun = "", False
    while True:
        more = stream.read(_CHUNK) if head else b""
        try:
            text = decoder.decode(head, final=not more)
        except UnicodeError as error:
            raise SourceUnreadable(
                f"{name}: cannot be read as {encoding} ({type(error).__name__}); set `encoding` to what it is"
            ) from None
        if not begun and text:
            begun = True
            if codec.startswith("utf"):
                bare = text.lstrip("\ufeff")
                if len(text) - len(bare) > 1:
                    reading.note("the byte order mark stands there twice")
                text = bare
        yield text
        if not more:
            return
        head = more


def _codec(head: bytes, encoding: str, name: str, reading: Reading) -> str:
    """The codec to decode with: the declared one, with the byte order that the file itself says."""
    try:
        declared = codecs.lookup(encoding).name.replace("utf-8-sig", "utf-8")
        codecs.getincrementaldecoder(declared)
        b"a".decode(declared, "replace")
    except (LookupError, UnicodeError) as error:
        raise SourceUnreadable(f"{name}: {encoding!r} is no encoding; write for instance `encoding: utf-8`") from error
    family = declared.removesuffix("-le").removesuffix("-be")
    marked = next((codec for mark, codec in _MARKS if head.startswith(mark)), None)
    if marked is not None:
        if not marked.startswith(family):
            real = marked.removesuffix("-le").removesuffix("-be")
            raise SourceUnreadable(
                f"{name}: begins like {real.upper()} but is declared {encoding}; set `encoding: {real}`"
            )
        reading.note(f"a byte order mark of {marked}")
        return marked
    seen = _order(head)
    if family in ("utf-16", "utf-32"):
        if family == "utf-16" and seen and declared != family and seen != declared:
            raise SourceUnreadable(f"{name}: is {seen} but is declared {encoding}; set `encoding: {seen}`")
        if len(head) > 8 and b"\0" not in head and head.isascii():
            raise SourceUnreadable(f"{name}: does not look like {encoding}; is `encoding: utf-8` right?")
        if family == "utf-16" and declared == family and seen:
            reading.note(f"{seen}, without a byte order mark")
            return seen
        return f"{declared}-le" if declared == family else declared
    if seen:
        raise SourceUnreadable(
            f"{name}: looks like UTF-16 without a byte order mark but is declared {encoding}; set `encoding: {seen}`"
        )
    return declared


def _order(head: bytes) -> str | None:
    """The byte order of UTF-16 without a mark, by where the NULs of its digits and delimiters stand."""
    pairs = len(head) // 2
    first, second = head[: pairs * 2 : 2].count(0), head[1 : pairs * 2 : 2].count(0)
    if pairs < 4 or max(first, second) < 0.3 * pairs or min(first, second) > 0.1 * pairs:
        return None
    return "utf-16-le" if second > first else "utf-16-be"
