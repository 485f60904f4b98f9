"""Names of files below a place: what one may be, and which follow a pattern."""

from __future__ import annotations

import fnmatch
import re


def safe(name: str) -> str:
    """The name, if it stays below its place.

    Raises:
        ValueError: it could lead elsewhere; it is not repeated, for names of files hold names of people.
    """
    if "\0" in name or any(step in ("", ".", "..") for step in name.split("/")):
        raise ValueError("a file's name has no empty step, no `.` or `..` and no NUL")
    return name


def hidden(name: str) -> bool:
    """Whether the last step of a name begins with a dot: such a file is being written."""
    return name.rpartition("/")[2].startswith(".")


def fixed_steps(pattern: str) -> int:
    """How many steps at the beginning of a pattern hold no wildcard."""
    steps = pattern.split("/")
    return next((number for number, step in enumerate(steps) if re.search(r"[*?\[]", step)), len(steps))


def step_matches(step: str, pattern: str) -> bool:
    """Whether one step of a name follows one of a pattern, letter by letter; `*` stands for no hidden name."""
    return fnmatch.fnmatchcase(step, pattern)
