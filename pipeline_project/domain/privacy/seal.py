"""How a sealed value and a pseudonym are written: `sealed:1:<pseudonym>:<base64>` and `s-` with 30 characters."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass

#: Whose key seals what belongs to nobody known.
NOBODY = "s-none"
#: Columns that begin so hold reviewers' free text of one workflow: `note/<workflow>`.
NOTE = "note/"

_MARK = "sealed:1:"
_NAME = "[a-z2-7]{26}[a-z2-7]{4}"
_PSEUDONYM = re.compile(f"s-{_NAME}")
_TOKEN = re.compile(rf"sealed:1:(s-(?:none|{_NAME})):([A-Za-z0-9_-]+={{0,2}})")
_SUBJECT, _PERIOD, _CHECK = b"subject\0", b"period\0", b"check\0"


@dataclass(frozen=True)
class Sealed:
    """A token taken apart: whose key opens it, and what it opens."""

    pseudonym: str
    content: bytes


def pseudonym_of(subject: str, name_key: bytes, kind: bytes = _SUBJECT) -> str:
    """The name under which a subject stands outside of the sealed values; the same subject always gets the same.

    The last four characters prove that whoever made it had the key, so no customer can take the name of another.
    """
    name = _letters(hmac.digest(name_key, kind + subject.encode(), "sha256")[:16])
    return f"s-{name}{_check(name, name_key)}"


def period_name(what: str, month: str, name_key: bytes) -> str:
    """The name of the key of one month of something, such as a workflow's notes; no subject can have it."""
    return pseudonym_of(f"{what}\0{month}", name_key, _PERIOD)


def is_pseudonym(text: str, name_key: bytes) -> bool:
    """Whether a text is a pseudonym made with this key."""
    if not _PSEUDONYM.fullmatch(text):
        return False
    name, check = text[2:-4], text[-4:]
    return hmac.compare_digest(_check(name, name_key), check)


def looks_pseudonymous(text: str) -> bool:
    """Whether a text has a pseudonym's shape; only who has the key can tell more (`is_pseudonym`)."""
    return text == NOBODY or bool(_PSEUDONYM.fullmatch(text))


def token_of(pseudonym: str, content: bytes) -> str:
    """A token for the page, the lake and the ledger."""
    return f"{_MARK}{pseudonym}:{base64.urlsafe_b64encode(content).decode()}"


def is_sealed(value: object) -> bool:
    """Whether a value is a token."""
    return isinstance(value, str) and value.startswith(_MARK) and _TOKEN.fullmatch(value) is not None


def parsed(token: str) -> Sealed | None:
    """The parts of a token; None where the text is none."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        return None
    try:
        return Sealed(match[1], base64.urlsafe_b64decode(match[2]))
    except binascii.Error:
        return None


def owners(tokens: Iterable[str | None]) -> set[str]:
    """Whose keys open these; texts that are no tokens are passed over."""
    seals = (parsed(token) for token in tokens if token is not None)
    return {sealed.pseudonym for sealed in seals if sealed is not None}


def packed(column: str, value: str) -> bytes:
    """What is sealed: the value with its column's name before it, so that a token moved elsewhere is noticed."""
    return f"{column}\0{value}".encode()


def unpacked(content: bytes) -> tuple[str, str]:
    """The column and the value of what was sealed."""
    column, _, value = content.decode().partition("\0")
    return column, value


def _check(name: str, name_key: bytes) -> str:
    return _letters(hashlib.sha256(hmac.digest(name_key, _CHECK + name.encode(), "sha256")).digest())[:4]


def _letters(content: bytes) -> str:
    return base64.b32encode(content).decode().rstrip("=").lower()
