"""Who signs at a terminal: the account's password, from a file or asked for, and the role that the signature needs."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_project.commands.shared.app_context import AppContext
from pipeline_project.domain.core.errors import PipelineError
from pipeline_project.domain.core.people import PersonRole

if TYPE_CHECKING:
    from pipeline_project.domain.core.people import Person


def signed_in(
    context: AppContext, person: str, file: Path | None, role: PersonRole, refused: type[PipelineError]
) -> Person:
    """The person, whose password was right and who has the role.

    Raises:
        SignInRefused: name or password is wrong.
        The error given: there is no password to be had, or the role is missing.
    """
    signer = context.stores.people.verify(person, _password(person, file, refused))
    if role not in signer.roles:
        title = role.replace("_", " ")
        raise refused(f"{signer.name} is no {title}; an admin grants that role: pipeline people grant {person} {role}")
    return signer


def _password(person: str, file: Path | None, refused: type[PipelineError]) -> str:
    """From a file, or asked for on a terminal; never from the command line, where others can read it."""
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    if not sys.stdin.isatty():
        raise refused("there is no terminal to ask for the password; give --password-file FILE")
    return getpass.getpass(f"Password of {person}: ")
