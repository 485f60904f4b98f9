"""Every command that a page or a help text shows can be given like that."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pytest
import typer
from typer.exceptions import TyperException

from tests.docs.test_documents import PAGES, ROOT

_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_EXAMPLE = re.compile(r"(?<![(`])pipeline [a-z][^\n`>]*")
#: What is neither ours nor Python's, with what a page may do with it.
OTHERS = {
    "source", "eval", "export", "dagster", "dg", "$EDITOR", "useradd", "git", "install", "psql", "systemctl", "sudo",
    "docker", "helm", "mkdir",
}  # fmt: skip


def shown() -> list[tuple[str, list[str]]]:
    """Page and words of each line of each block of commands; comments and variables before it are left out."""
    found = []
    for page in PAGES:
        for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words.pop(0)
                if words:
                    words[0] = words[0].removeprefix(".venv/bin/")
                    found.append((str(page.relative_to(ROOT)), words))
    return found


@lru_cache(maxsize=1)
def pipeline_group() -> Any:
    from pipeline_project.cli import app

    return typer.main.get_group(app)


def parsed(words: list[str]) -> None:
    """Reads a call of `pipeline` as the command would, without carrying it out.

    Raises:
        KeyError: there is no such command.
        TyperException: there is no such option or argument, one is missing, or a value is none.
    """
    command, rest = pipeline_group(), [word for word in words if word != "--help"]
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    if "--help" in words:
        return
    try:
        command.make_context(words[0], rest)
    except TyperException as error:
        # a file of the reader's own
        if "does not exist" not in str(error):
            raise


def examples() -> Iterator[tuple[str, str]]:
    """Name and example of each command's help."""

    def within(name: str, command: Any) -> Iterator[tuple[str, str]]:
        for line in _EXAMPLE.findall(command.epilog or ""):
            yield name, line
        for own, sub in getattr(command, "commands", {}).items():
            yield from within(f"{name} {own}".strip(), sub)

    yield from within("", pipeline_group())


@pytest.mark.parametrize(("page", "words"), [pytest.param(p, w, id=f"{p}: {' '.join(w)[:50]}") for p, w in shown()])
def test_what_a_page_shows_can_be_given(page: str, words: list[str]) -> None:
    program, *rest = words
    if program == "pipeline":
        parsed(rest)
    elif program == "make":
        targets = re.findall(r"^([\w.$()/-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert [word for word in rest if re.fullmatch(r"[a-z-]+", word) and word not in targets] == []
    elif program == "python" and rest[0].endswith(".py"):
        assert (ROOT / rest[0]).is_file()
    elif program == "python":
        assert rest[0] == "-m" and importlib.util.find_spec(rest[1]) is not None
    else:
        assert program in OTHERS, f"{page}: nobody looks whether `{program}` can be called like that"


@pytest.mark.parametrize(("name", "line"), [*examples()], ids=lambda value: str(value)[:60])
def test_the_examples_of_a_commands_help_can_be_given(name: str, line: str) -> None:
    parsed(shlex.split(line)[1:])


def test_parts_of_the_benchmarks_that_pages_name_are_there() -> None:
    wanted: dict[str, set[str]] = {}
    for _, (program, *rest) in shown():
        if program == "python" and rest[1].startswith("benchmarks."):
            wanted.setdefault(rest[1], set()).update(w for w in rest[2:] if re.fullmatch(r"[a-z-]+|--[a-z-]+", w))
    for module, words in wanted.items():
        told = subprocess.run(
            [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=600, check=True
        )
        # an option may belong to a part, whose own help says it
        parts = {word for word in words if not word.startswith("-")}
        assert {part for part in parts if part not in told.stdout} == set(), module


@pytest.mark.parametrize("words", [["recal", "returns"], ["why"], ["replay", "returns", "--until", "2025-01-01"]])
def test_a_slip_would_be_seen(words: list[str]) -> None:
    with pytest.raises((KeyError, TyperException)):
        parsed(words)
