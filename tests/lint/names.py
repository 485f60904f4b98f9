"""Names of the house against the words of CONTEXT.md: its table "In names" says which stand for which."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lint.dead_code import HOUSE, PRODUCTION

CONTEXT = "CONTEXT.md"
HEADING = "## In names"
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
_TERM = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Avoided:
    """What names do not say.

    Attributes:
        parts: words that no name has in it, with what is said instead.
        whole: names that no variable, parameter, function or class has, because they do not say what they hold or do.
    """

    parts: dict[str, str]
    whole: frozenset[str]


def misnamed(house: Path = HOUSE) -> Iterator[str]:
    """Each name that CONTEXT.md rules out, as `path:line: name …`."""
    avoided = read_avoided((house / CONTEXT).read_text(encoding="utf-8"))
    for folder in PRODUCTION:
        for path in sorted((house / folder).rglob("*.py")):
            if "migrations" in path.parts:  # what was once written into a database stays as it was
                continue
            where = path.relative_to(house)
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for line, name, is_field in [(1, path.stem, True), *_names(tree)]:
                if not is_field and name.strip("_").lower() in avoided.whole:
                    yield f"{where}:{line}: {name} does not say what it holds"
                for part in _parts(name) & avoided.parts.keys():
                    yield f"{where}:{line}: {name} says {part}, which CONTEXT.md calls {avoided.parts[part]}"


def read_avoided(context: str) -> Avoided:
    """The table below the heading `In names`: a term, and in backticks what it is not called.

    Raises:
        ValueError: there is no such table, and nothing would be held to it.
    """
    _, heading, rest = context.partition(HEADING)
    parts: dict[str, str] = {}
    whole: frozenset[str] = frozenset()
    for row in re.findall(r"^\|(.+)\|(.+)\|$", rest.partition("\n## ")[0], re.MULTILINE):
        term, names = row[0].strip(), _TERM.findall(row[1])
        if term.startswith("*"):
            whole = frozenset(names)
        else:
            parts.update(dict.fromkeys(names, term))
    if not heading or not parts or not whole:
        raise ValueError(f"{CONTEXT} has no table under {HEADING!r} to hold names to")
    return Avoided(parts, whole)


def _names(tree: ast.Module) -> Iterator[tuple[int, str, bool]]:
    """Line and name of everything that is named here; whether it is a field, a member or a property."""
    nodes = list(ast.walk(tree))
    # a field, a member or a property keeps the name that documents and tables know it by
    bodies = [member for node in nodes if isinstance(node, ast.ClassDef) for member in node.body]
    fields = {id(member.target) for member in bodies if isinstance(member, ast.AnnAssign)}
    fields |= {id(target) for member in bodies if isinstance(member, ast.Assign) for target in member.targets}
    fields |= {id(member) for member in bodies if isinstance(member, ast.FunctionDef) and member.decorator_list}
    for node in nodes:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name, id(node) in fields
            case ast.arg(arg=name):
                yield node.lineno, name, False
            case ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name, id(node) in fields


def _parts(name: str) -> set[str]:
    return {part.lower() for part in _PART.findall(name)}
