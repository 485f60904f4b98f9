"""What a query of a source may be: one SELECT, whose parameters stand where values stand, and that only reads.

This is the first of several guards and the one that can say what is wrong: the connection is read-only, its role may
neither run programs nor read files, and the cursor takes nothing but a SELECT.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

#: The pieces of a text as PostgreSQL cuts it, in the order in which they are tried. Everything beyond ASCII is a letter
#: to it, spaces of other alphabets included: to read it otherwise would be to see other quotes than the server.
_PIECES = re.compile(
    r"""
      (?P<comment>--[^\r\n]*)
    | (?P<block>/\*)
    | (?P<escaped>[eE]')
    | (?P<literal>[bBxXnN]?'(?:[^']|'')*')
    | (?P<dollar>\$(?P<tag>(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?)\$.*?\$(?P=tag)\$)
    | (?P<unicode>[uU]&")
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<number>[0-9][A-Za-z0-9_.]*)
    | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
    | (?P<space>[ \t\n\r\f\v]+)
    | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
#: A name behind a colon is a parameter to the driver wherever it stands, in a literal too, which its value would end.
_PARAMETER = re.compile(r"(?<![:\w\\]):\w")

_BEGINNINGS = {"select", "with", "values", "table"}
#: The words by which something inside a SELECT changes something.
_CHANGES = {"insert", "update", "delete", "merge", "into"}
#: Functions that change, end, lock, wait, reach other servers or files, or run a text as a query of its own.
_FUNCTIONS = re.compile(
    r"""(?:
      set_config | setval | nextval | pg_terminate_backend | pg_cancel_backend | pg_notify | pg_sleep\w*
    | pg_reload_conf | pg_rotate_logfile\w* | pg_promote | pg_switch_\w+ | pg_create_\w+ | pg_copy_\w+ | pg_drop_\w+
    | pg_logical_\w+ | pg_replication_\w+ | pg_advisory_\w+ | pg_try_advisory_\w+ | pg_export_snapshot | pg_import_\w+
    | pg_backup_\w+ | pg_wal_replay_\w+ | pg_log_\w+ | pg_stat_reset\w* | pg_stat_force\w* | pg_restore_\w+
    | pg_clear_\w+ | pg_set_\w+
    | pg_read_\w+ | pg_ls_\w+ | pg_stat_file | pg_file_\w+ | pg_current_logfile | lo_\w+ | loread | lowrite
    | dblink\w* | query_to_xml\w* | cursor_to_xml\w* | table_to_xml\w* | schema_to_xml\w* | database_to_xml\w*
    | ts_stat | ts_rewrite | load_extension | readfile | writefile | edit | fts3_tokenizer
    )\Z""",
    re.VERBOSE | re.IGNORECASE,
)
_IN_QUOTES = "has a parameter inside quotes or a comment; write :start and :end outside of them"


class _Problem(Exception):
    """What is wrong with the text."""


@dataclass
class _Text:
    """What was found in a text: its words without quotes, and the names before an opening bracket."""

    words: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)


def query_problem(query: str) -> str | None:
    """Why a source may not ask this, or None: the end of a sentence that begins with `query`."""
    try:
        tokens = _cut(query)
    except _Problem as problem:
        return str(problem)
    if not tokens.words or tokens.words[0] not in _BEGINNINGS:
        return "must be a SELECT; a source only reads"
    for word in tokens.words:
        if word in _CHANGES:
            return f'must only read, and {word.upper()} changes something (a column of that name is written "{word}")'
    for name in tokens.calls:
        if _FUNCTIONS.match(name):
            return f"must only read, and {name.lower()} is no function for a source"
    return None


def _cut(query: str) -> _Text:
    tokens, last, at, ended = _Text(), "", 0, False
    while at < len(query):
        piece = _PIECES.match(query, at)
        assert piece is not None  # the last alternative takes any character
        kind = next(name for name, text in piece.groupdict().items() if text is not None and name != "tag")
        at = _end_of_comment(query, piece.end()) if kind == "block" else piece.end()
        text = query[piece.start() : at]
        _check_piece(kind, text, ended)
        ended = ended or text == ";"
        if kind == "word":
            tokens.words.append(text.lower())
        if text == "(" and last:
            tokens.calls.append(last)
        if kind not in ("space", "comment", "block"):
            last = {"word": text, "quoted": text[1:-1].replace('""', '"')}.get(kind, "")
    return tokens


def _check_piece(kind: str, text: str, ended: bool) -> None:
    if kind in ("comment", "block", "literal", "dollar", "quoted") and _PARAMETER.search(text):
        raise _Problem(_IN_QUOTES)
    if ended and kind not in ("space", "comment", "block") and text != ";":
        raise _Problem("must be one statement; a ; may only stand at its end")
    if kind == "escaped":
        raise _Problem("may not use E'...'; write '...', and chr(10) for a line break")
    if kind == "unicode":
        raise _Problem('may not use U&"..."; write the characters themselves')
    if kind == "sign" and text in "'\"`\0":
        raise _Problem("has a quote that never ends, a ` or a NUL; write names as \"name\" and text as 'text'")


def _end_of_comment(query: str, at: int) -> int:
    """Where the comment that opened before `at` ends. PostgreSQL nests comments and others do not: none may be read."""
    close, again = query.find("*/", at), query.find("/*", at)
    if close < 0 or -1 < again < close:
        raise _Problem("has a comment that never ends or holds another")
    return close + 2
