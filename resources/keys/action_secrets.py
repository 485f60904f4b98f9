"""The secrets that sign actions: from the environment, or made here for a shop on this machine."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from pathlib import Path

from pipeline_project.domain.core.errors import SettingInvalid
from resources.files.small_files import made_once

PREFIX = "whsec_"
_BYTES = 32


def signing_secret(keys: Path, environ: Mapping[str, str], variable: str, made_here: bool = False) -> str:
    """The secret behind an environment variable.

    Args:
        keys: the folder for keys; a secret made here is kept there and found again.
        made_here: make one when the variable is unset, which only makes sense where both sides are this machine.

    Raises:
        SettingInvalid: the variable is unset, or holds no secret.
    """
    given = environ.get(variable)
    if given:
        return _checked(variable, given)
    if not made_here:
        raise SettingInvalid(f"{variable} is not set; set it to the secret that you share with the service (whsec_...)")
    return _stored_secret(keys / f"{variable.lower()}.secret")


def _checked(variable: str, secret: str) -> str:
    try:
        whole = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        whole = b""
    if not whole:
        raise SettingInvalid(f"{variable} holds no secret; it is base64, with or without {PREFIX} before it")
    return secret


def _stored_secret(file: Path) -> str:
    content = made_once(file, lambda: PREFIX.encode() + base64.b64encode(secrets.token_bytes(_BYTES)))
    try:
        return _checked(file.name, content.decode("ascii").strip())
    except (SettingInvalid, ValueError):
        raise SettingInvalid(f"{file} holds no secret; put it back from your backup of the keys") from None
