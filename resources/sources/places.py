"""Where a source's files are: `${NAME}` in a spec filled in, relative paths from the spec's own folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.core.locations import below, is_url
from pipeline_project.domain.core.variables import LIST, VARIABLE, Use, holds_password, nameable, not_nameable
from pipeline_project.settings import Settings
from pipeline_project.spec.workflow import WorkflowSpec

#: Whose spec it is, and what it may read besides, a line for each: handed on with the variables.
_TENANT, _READS = "PIPELINE_TENANT", "PIPELINE_TENANT_READS"


def environment(settings: Settings, environ: Mapping[str, str] | None) -> dict[str, str]:
    """The variables that a spec may name: the environment's, with the settings' own values put in."""
    named = {**(os.environ if environ is None else environ), LIST: "", **settings.to_environ()}
    if settings.tenant:
        # the variables of the settings are those of the house
        own = {LIST: "", "PIPELINE_HOME": str(settings.home), "PIPELINE_SAMPLE": str(settings.sample_folder)}
        return {**named, **own, _READS: "\n".join((*_own_places(settings), *settings.reads))}
    return {**named, _TENANT: ""}


def expand(text: str, variables: Mapping[str, str]) -> str:
    """The text with every `${NAME}` and `${NAME:-default}` filled in; an empty variable counts as unset.

    Raises:
        SourceUnreadable: a variable without a default is not set, or a spec may not name it: its value could be a
            password, which would then stand in paths, addresses and messages.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        allowed(name, variables, Use.TEXT)
        if given := variables.get(name):
            if holds_password(given):
                raise SourceUnreadable(
                    f"{name} holds an address with a password, which belongs into no text of a spec; name the variable "
                    "where the spec asks for one that holds a URL or a secret"
                )
            return given.replace("$", "\0")
        if default is None:
            raise SourceUnreadable(
                f"`{text}` needs the environment variable {name}, which is not set; set it to where the files are"
            )
        return default

    filled, before = text, ""
    while filled != before:
        before, filled = filled, VARIABLE.sub(value, filled)
    return filled.replace("\0", "$")


def secret(name: str, variables: Mapping[str, str]) -> str | None:
    """The value of a variable in which a spec says that a URL or a secret is; None where it is not set.

    Raises:
        SourceUnreadable: a spec may not name it.
    """
    allowed(name, variables, Use.SECRET)
    return variables.get(name) or None


def allowed(name: str, variables: Mapping[str, str], use: Use) -> None:
    """Nothing, where a spec may use a variable so.

    Raises:
        SourceUnreadable: it may not; the message says what to set.
    """
    listed = {variable.strip() for variable in variables.get(LIST, "").split(",")}
    tenant = variables.get(_TENANT, "")
    if not nameable(name, listed, use, tenant):
        raise SourceUnreadable(not_nameable(name, use, tenant))


def location(text: str, spec: WorkflowSpec, variables: Mapping[str, str]) -> str:
    """The absolute path, or the object store's URL without a slash at the end, that a spec means by `text`.

    Raises:
        SourceUnreadable: a variable is not set, or it is a URL behind which no files can lie.
    """
    filled = expand(text, variables)
    if is_url(filled):
        return _within_reach(filled.rstrip("/"), text, variables)
    if "://" in filled:
        raise SourceUnreadable(
            f"`{text}` is neither a path nor the URL of an object store; write a folder, s3://bucket/prefix, "
            "gs://bucket/prefix or az://container/prefix"
        )
    return _within_reach(str((spec.folder / Path(filled).expanduser()).resolve()), text, variables)


def _own_places(settings: Settings) -> tuple[str, ...]:
    """Where a tenant's files may lie without its operator's saying so: beside its specs, and in its own home."""
    return (*(str(folder.resolve()) for folder in settings.workflow_folders), str(settings.home.resolve()))


def _within_reach(where: str, text: str, variables: Mapping[str, str]) -> str:
    """The place, where it is one that the tenant may read; the house itself reads wherever its user may.

    Raises:
        SourceUnreadable: it is not; the message says who can allow it.
    """
    tenant = variables.get(_TENANT)
    roots = [root.rstrip("/") for root in variables.get(_READS, "").splitlines()]
    if not tenant or (".." not in where.split("/") and any(f"{where}/".startswith(f"{root}/") for root in roots)):
        return where
    raise SourceUnreadable(
        f"`{text}` lies outside what tenant {tenant} may read; put it below {roots[0]}, or ask whoever runs the house "
        f"to add it to `reads` of {tenant} in tenants.yaml"
    )


def place(text: str, spec: WorkflowSpec, variables: Mapping[str, str]) -> Path:
    """The absolute path that a spec means by `text`, where nothing but a folder of this machine will do.

    Raises:
        SourceUnreadable: a variable is not set, or it is a URL.
    """
    where = location(text, spec, variables)
    if is_url(where):
        raise SourceUnreadable(f"`{text}` is a URL, and only a folder that is mounted here can be used; write its path")
    return Path(where)


def pattern_place(folder: str, pattern: str) -> str:
    """The one name of all paths that follow a pattern below a folder: links resolved, `{night}` for the night."""
    steps = re.sub(r"\{night[^}]*\}", "{night}", pattern).split("/")
    if is_url(folder):
        return below(folder, *steps)
    fixed = next((at for at, step in enumerate(steps) if re.search(r"[*?\[{]", step)), len(steps) - 1)
    return "/".join([str((folder / Path(*steps[:fixed])).resolve()), *steps[fixed:]])
