"""The secrets that sign actions: from the environment, or made here for a shop on this machine."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from pathlib import Path

from pipeline_project.domain.core.errors import SettingInvalid
from resources.keys.key_files import KeyFiles, keys_at

PREFIX = "whsec_"
_BYTES = 32


def signing_secret(keys: Path | str, environ: Mapping[str, str], variable: str, made_here: bool = False) -> str:
    """The secret behind an environment variable.

    Args:
        keys: the folder or URL for keys; a secret made here is kept there and found again.
        made_here: make one when the variable is unset, which only makes sense where both sides are this machine.

    Raises:
        SettingInvalid: the variable is unset, or holds no secret.
    """
    given = environ.get(variable)
    if given:
        return _checked(variable, given)
    if not made_here:
        raise SettingInvalid(f"{variable} is not set; set it to the secret that you share with the service (whsec_...)")
    return _stored_secret(keys_at(keys), f"{variable.lower()}.secret")


def _checked(variable: str, secret: str) -> str:
    try:
        whole = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        whole = b""
    if not whole:
        raise SettingInvalid(f"{variable} holds no secret; it is base64, with or without {PREFIX} before it")
    return secret


def _stored_secret(keys: KeyFiles, name: str) -> str:
    content = keys.made_once(name, lambda: PREFIX.encode() + base64.b64encode(secrets.token_bytes(_BYTES)))
    try:
        return _checked(name, content.decode("ascii").strip())
    except (SettingInvalid, ValueError):
        raise SettingInvalid(f"{keys.where(name)} holds no secret; put it back from your backup of the keys") from None
