"""Where a source's files are: `${NAME}` in a spec filled in, relative paths from the spec's own folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from pipeline_project.domain.errors import SourceUnreadable
from pipeline_project.settings import Settings
from pipeline_project.spec.model import WorkflowSpec

# The innermost `${NAME}` or `${NAME:-default}`: its default holds no further braces, so defaults may nest.
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\}")


#: What every spec may name: folders and addresses, no secret. More are allowed by prefix, or by the operator's list.
NAMEABLE = frozenset({"PIPELINE_HOME", "PIPELINE_SAMPLE", "PIPELINE_REAL_DATA", "PIPELINE_SHOP_URL"})
PREFIX = "PIPELINE_SOURCE_"
ALLOWED = "PIPELINE_SPEC_VARIABLES"


def environment(settings: Settings, environ: Mapping[str, str] | None) -> dict[str, str]:
    """The variables that a spec may name: the environment's, with the settings' own values put in."""
    return {**(os.environ if environ is None else environ), **settings.to_environ()}


def expand(text: str, variables: Mapping[str, str]) -> str:
    """The text with every `${NAME}` and `${NAME:-default}` filled in; an empty variable counts as unset.

    Raises:
        SourceUnreadable: a variable without a default is not set, or a spec may not name it: its value could be a
            password, which would then stand in paths, addresses and messages.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        if not nameable(name, variables):
            raise SourceUnreadable(
                f"a spec may not name the environment variable {name}; rename it to {PREFIX}..., or, if it holds no "
                f"secret, add it to {ALLOWED} (names separated by commas)"
            )
        if variables.get(name):
            return variables[name].replace("$", "\0")
        if default is None:
            raise SourceUnreadable(
                f"`{text}` needs the environment variable {name}, which is not set; set it to where the files are"
            )
        return default

    filled, before = text, ""
    while filled != before:
        before, filled = filled, _VARIABLE.sub(value, filled)
    return filled.replace("\0", "$")


def nameable(name: str, variables: Mapping[str, str]) -> bool:
    """Whether a spec may name a variable of the environment."""
    listed = {each.strip() for each in variables.get(ALLOWED, "").split(",")}
    return name in NAMEABLE or name.startswith(PREFIX) or name in listed


def place(text: str, spec: WorkflowSpec, variables: Mapping[str, str]) -> Path:
    """The absolute path that a spec means by `text`.

    Raises:
        SourceUnreadable: a variable is not set.
    """
    return (spec.folder / Path(expand(text, variables)).expanduser()).resolve()


def pattern_place(folder: Path, pattern: str) -> str:
    """The one name of all paths that follow a pattern below a folder: links resolved, `{night}` for the night."""
    steps = re.sub(r"\{night[^}]*\}", "{night}", pattern).split("/")
    fixed = next((at for at, step in enumerate(steps) if re.search(r"[*?\[{]", step)), len(steps) - 1)
    return "/".join([str((folder / Path(*steps[:fixed])).resolve()), *steps[fixed:]])


def is_night(text: str) -> bool:
    """Whether a text is a day as partition keys write it."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
