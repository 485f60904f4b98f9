"""A YAML file as plain data that remembers where each value stands.

PyYAML's C parser reads the events; the rest is ours, for four reasons: every value keeps its line, duplicate keys are
found, nothing is ever constructed but text, numbers, true, false and null, and plain words mean what YAML 1.2 says
(`no` and `on` are words, `2025-01-31` and `12:30` are text until a key asks for a date).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from pipeline_project.spec.base import SpecFinding, Where

MAX_BYTES = 1_000_000
MAX_DEPTH = 30
MAX_VALUES = 100_000

_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_PADDED = re.compile(r"[-+]?0[0-9]+\Z")
_SPECIAL: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_ADVICE = {
    "mapping values are not allowed": "a text that contains `: ` needs quotes around it; otherwise check that this "
    "line begins exactly below its neighbours",
    "could not find expected ':'": "a key needs a colon and a space after it, as in `title: Return claims`",
    "did not find expected key": "this line must begin exactly below its neighbours; use spaces",
    "did not find expected '-'": "this line stands among list entries; begin it with `- ` or mend the spaces",
    "did not find expected ',' or ']'": "a list that opens with [ must close with ], with commas between its entries",
    "did not find expected ',' or '}'": "what opens with { must close with }, with commas between its entries",
    "unexpected end of stream": "a quote that opens here is never closed; close it",
    "unknown escape character": "inside double quotes \\ begins an escape; use single quotes or double the \\",
    "directive": "a line may not begin with %; put the text in quotes",
}


class NotYaml(Exception):
    """The text cannot be read any further; the message is a sentence."""

    def __init__(self, sentence: str, line: int = 1, column: int = 1) -> None:
        super().__init__(sentence)
        self.line, self.column = line, column


@dataclass
class Tree:
    """A file's content, where its parts stand, and what is wrong with it as YAML.

    Attributes:
        data: dictionaries, lists, text, numbers, true, false, None.
        places: (line, column), both from 1, by position; of a key, or of an entry of a list.
        findings: with the line and column of each.
    """

    data: Any = None
    places: dict[Where, tuple[int, int]] = field(default_factory=dict)
    findings: list[tuple[SpecFinding, int, int]] = field(default_factory=list)

    def place(self, where: Where) -> tuple[int, int]:
        """Line and column of a position, or of the nearest one above it that stands in the file."""
        while where and where not in self.places:
            where = where[:-1]
        return self.places.get(where, (1, 1))


def decoded(content: bytes) -> str:
    """The text of a file.

    Raises:
        NotYaml: too large, empty, or not UTF-8.
    """
    if len(content) > MAX_BYTES:
        raise NotYaml(f"the file is larger than {MAX_BYTES // 1_000_000} MB; a workflow fits in a few pages")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise NotYaml("the file is not UTF-8; save it as UTF-8", line) from error
    if not text.strip():
        raise NotYaml("the file is empty; begin with `workflow: a_name`, see docs/workflows.md")
    return text


def read_tree(text: str) -> Tree:
    """Reads one YAML document.

    Raises:
        NotYaml: the text breaks YAML's rules, so that nothing after it can be judged.
    """
    reader = _Reader(text)
    try:
        return reader.read()
    except yaml.MarkedYAMLError as error:
        raise _syntax_mistake(error, text) from error
    except yaml.reader.ReaderError as error:
        before = text[: int(error.position)]
        raise NotYaml(
            "there is a control character; take it out, or write it as an escape in double quotes",
            before.count("\n") + 1,
        ) from error
    except UnicodeEncodeError as error:
        raise NotYaml("half a character (a lone surrogate) is in the file; save it as UTF-8") from error


def _syntax_mistake(error: yaml.MarkedYAMLError, text: str) -> NotYaml:
    # What is never closed is best seen where it opens.
    opened = "end of stream" in (error.problem or "") or "flow" in (error.context or "")
    mark = (error.context_mark if opened else None) or error.problem_mark or error.context_mark
    line, column = (0, 0) if mark is None else (mark.line, mark.column)
    lines = text.split("\n")
    problem = error.problem or ""
    start = lines[line][: column + 1] if line < len(lines) else ""
    if "tab character" in problem or ("\t" in start and "cannot start any token" in problem):
        sentence = "YAML allows no tabs before a key; use spaces"
    elif "cannot start any token" in problem:
        sentence = f"a text that begins with {start[-1:]} needs quotes around it"
    else:
        fallback = f"this is not YAML ({problem or 'it ends too early'}); mend the line or put its text in quotes"
        sentence = next((advice for part, advice in _ADVICE.items() if part in problem), fallback)
    return NotYaml(sentence, line + 1, column + 1)


class _Reader:
    """Builds a tree out of YAML events; refuses depth before the parser's own recursion could be a danger."""

    def __init__(self, text: str) -> None:
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self.tree = Tree()
        self.anchors: dict[str, Any] = {}
        self.open: set[str] = set()
        self.values = 0

    def read(self) -> Tree:
        event = next(self.events)
        while not isinstance(event, yaml.DocumentStartEvent):
            if isinstance(event, yaml.StreamEndEvent):
                raise NotYaml("the file holds only comments; begin with `workflow: a_name`, see docs/workflows.md")
            event = next(self.events)
        self.tree.data = self._value(next(self.events), ())
        next(self.events)
        after = next(self.events)
        if isinstance(after, yaml.DocumentStartEvent):
            mark: Any = after.start_mark
            raise NotYaml("a second document begins here; one file holds one workflow", mark.line + 1)
        return self.tree

    def _value(self, event: Any, where: Where) -> Any:
        self._count(1, event)
        if len(where) > MAX_DEPTH:
            raise NotYaml(f"nothing may be nested more than {MAX_DEPTH} deep", event.start_mark.line + 1)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, where)
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            self._find(where, f"the tag {_short_tag(event.tag)} is not read, only plain values; take it out", event)
        name = event.anchor
        self.open.add(name)
        before = self.values
        value = self._content(event, where)
        self.open.discard(name)
        if name:
            self.anchors[name] = (value, self.values - before + 1)
        return value

    def _content(self, event: Any, where: Where) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            entries: list[Any] = []
            while not isinstance(entry := next(self.events), yaml.SequenceEndEvent):
                self._place((*where, len(entries)), entry)
                entries.append(self._value(entry, (*where, len(entries))))
            return entries
        return self._mapping(where)

    def _mapping(self, where: Where) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._key(event, where)
            here = (*where, key)
            if key in mapping:
                first = self.tree.place(here)[0]
                self._find(here, f"`{key}` is written twice (first in line {first}); keep one", event)
                self._value(next(self.events), (*where, f"{key} again"))
                continue
            self._place(here, event)
            value = self._value(next(self.events), here)
            if key == "<<":
                for base in value if isinstance(value, list) else [value]:
                    merged.update({k: v for k, v in base.items() if k not in merged} if isinstance(base, dict) else {})
            else:
                mapping[key] = value
        return {**merged, **mapping}

    def _key(self, event: Any, where: Where) -> str:
        # Every key of a spec is text, so 0 and `no` are taken as they are written.
        if isinstance(event, yaml.ScalarEvent):
            return str(event.value)
        self._find(where, "a key must be one word, not a list or a group", event)
        self._value(event, (*where, "?"))
        return "?"

    def _alias(self, event: Any, where: Where) -> Any:
        if event.anchor in self.open:
            raise NotYaml(f"&{event.anchor} contains itself; write it out", event.start_mark.line + 1)
        if event.anchor not in self.anchors:
            raise NotYaml(
                f"*{event.anchor} repeats nothing; mark a value with &{event.anchor} first", event.start_mark.line + 1
            )
        value, size = self.anchors[event.anchor]
        self._count(size, event)
        return value

    def _count(self, values: int, event: Any) -> None:
        self.values += values
        if self.values > MAX_VALUES:
            raise NotYaml(
                f"the file has more than {MAX_VALUES} values, repeated ones included", event.start_mark.line + 1
            )

    def _place(self, where: Where, event: Any) -> None:
        self.tree.places[where] = (event.start_mark.line + 1, event.start_mark.column + 1)

    def _find(self, where: Where, sentence: str, event: Any) -> None:
        mark = event.start_mark
        self.tree.findings.append((SpecFinding(where, sentence), mark.line + 1, mark.column + 1))


def _short_tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _scalar(event: Any) -> Any:
    text: str = event.value
    plain = event.style in (None, "")
    if not plain or event.tag == "tag:yaml.org,2002:str":
        return text
    if text in _SPECIAL:
        return _SPECIAL[text]
    if _INTEGER.match(text):
        return int(text)
    # 007 and numbers of twenty digits are ids, not amounts: as text they keep every digit.
    if _FLOAT.match(text) and not _PADDED.match(text) and any(c in text for c in ".eE"):
        return float(text)
    return text
