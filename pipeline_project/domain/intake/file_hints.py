"""What a file that is not what was declared looks like: hints for the message that refuses it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

#: So many bytes at the beginning of a file are looked at.
HEAD = 2048
_MARKS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "it is a PDF; export the table itself"),
    (b"\xd0\xcf\x11\xe0", "it is an old Excel or Word file; set `format: excel` if it is a workbook"),
    (b"PK\x03\x04", "it is a zip archive; unpack it and deliver what is in it"),
    (b"PK\x05\x06", "it is an empty zip archive; deliver the file itself"),
    (b"\x1f\x8b", "it is packed with gzip, perhaps twice; deliver it unpacked"),
    (b"PAR1", "it is a Parquet file; set `format: parquet`"),
    (b"SQLite format 3", "it is an SQLite database; export the table itself"),
    (b"\x89PNG", "it is a picture"),
    (b"\xff\xd8\xff", "it is a picture"),
)
_ZIP = b"PK\x03\x04"
#: How files of a format begin; workbooks of LibreOffice and of Excel are zip archives.
_OWN = {"parquet": (b"PAR1",), "excel": (_ZIP, b"\xd0\xcf\x11\xe0")}
_PAGE = "it is an HTML page, perhaps a sign-in or an error page that a download left behind; deliver the file itself"
_HTML = re.compile(r"<!doctype\s+html|<html[\s>]|<head[\s>]|<body[\s>]|<script[\s>]|<title[\s>]|<meta\s", re.I)
_MESSAGE = re.compile(r"\s*\{\s*\"?(error|errors|message|status|detail|code|fault)\"?\s*:", re.I)


def format_of(head: bytes) -> str | None:
    """The format that the first bytes of a file tell by their mark, as a spec names it; None for a text."""
    if _is_workbook(head):
        return "excel"
    return next((name for name, marks in _OWN.items() if head.startswith(marks) and not head.startswith(_ZIP)), None)


def _is_workbook(head: bytes) -> bool:
    """Whether it is an archive that Excel wrote; those of LibreOffice say it farther on."""
    return head.startswith(_ZIP) and (
        b"[Content_Types].xml" in head or b"xl/" in head or b"opendocument.spreadsheet" in head
    )


def looks_like(head: bytes, wanted: str = "csv") -> str:
    """What the beginning of a file says it is, if that is not what is wanted; empty where it says nothing.

    Args:
        wanted: the format that was declared.
    """
    if _is_workbook(head):
        return "" if wanted == "excel" else "it is an Excel workbook; set `format: excel`, or save the sheet as CSV"
    for mark, hint in _MARKS:
        if head.startswith(mark):
            return "" if mark in _OWN.get(wanted, ()) else hint
    text = _text(head).lstrip()
    if _HTML.search(text[:HEAD]):
        return _PAGE
    if text.startswith("<?xml") or re.match(r"<[A-Za-z][\w:.-]*[\s/>]", text):
        return "it is XML, perhaps an error that a server gave instead of the file; deliver the file itself"
    if _MESSAGE.match(text):
        return "it is a JSON message, perhaps an error that a server gave instead of the file; deliver the file itself"
    return ""


def _text(head: bytes) -> str:
    # Only for a hint, nothing is read by it: without its NULs UTF-16 is near enough.
    return head.decode("latin-1").replace("\0", "").lstrip("\xef\xbb\xbf\xfe\xff")


@dataclass(frozen=True)
class DeclaredColumns:
    """The columns that a file should have.

    Attributes:
        required: column -> the key of the spec that names it.
        optional: may be missing; a file that has one of them is one of ours all the same.
        strict: each required column must be there, also where others are.
    """

    required: dict[str, str]
    optional: Collection[str] = ()
    strict: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them, in a fixed order."""
        return (*self.required, *sorted(self.optional))

    def problem(self, columns: Sequence[str], rows: bool, another: bool = False) -> str | None:
        """Why a file with these columns is not the one declared; None where it may be.

        The rows of a file are judged one by one, later, so that each stands in quarantine and can be repaired; of a
        file without any row nothing would be said at all.

        Args:
            columns: its columns; empty when it has none, as a file of no bytes.
            rows: whether it holds any row.
            another: whether its beginning looks like a file of another kind.
        """
        if not columns:
            return None
        missing = [column for column in self.required if column not in columns]
        recognised = any(column in columns for column in (*self.required, *self.optional))
        if not missing or (rows and not self.strict and (recognised or not another)):
            return None
        return column_advice(missing[0], columns, self.required[missing[0]])


def column_advice(column: str, names: Sequence[str], key: str = "column") -> str:
    """What to do about a column that is not there. Names are repeated only where they are near misses: the header of a
    file without one holds data.

    Args:
        names: the columns there are.
        key: the key of the spec that names it.
    """
    mark = next((m for m in ";,\t|" if len(names) == 1 and m in names[0]), None)
    close = get_close_matches(column.lower(), [name.lower() for name in names], n=1, cutoff=0.8)
    if mark:
        advice = f"no column is called {column!r}: there is one column only, and {mark!r} in its name; "
        return f"{advice}is `delimiter: {mark!r}` right?"
    if close:
        like = next(name for name in names if name.lower() == close[0])
        return f"no column is called {column!r}, but one is called {like!r}; set `{key}` in the spec"
    return f"no column is called {column!r}; correct the file, or `{key}` in the spec"
