"""Recognises what names a person in a text, and shows as much of a value as pages may."""

from __future__ import annotations

import re

from pipeline_project.domain.privacy.masking import MASK
from pipeline_project.domain.privacy.seal import is_sealed

_EMAIL = re.compile(r"([^\s@])[^\s@]*@([^\s@]+)")
_LAST = 4


def masked(value: str | None) -> str | None:
    """A personal value as a page shows it before it is revealed: how an address or a long number begins or ends.

    A sealed value shows nothing at all; neither does a short one.
    """
    if value is None:
        return None
    if is_sealed(value):
        return MASK
    address = _EMAIL.fullmatch(value.strip())
    if address is not None:
        return f"{address[1]}{MASK}@{MASK}{_ending(address[2])}"
    digits = re.sub(r"\D", "", value)
    if len(digits) >= 9 and not re.search(r"[^\W\d_]{3,}", value):
        return f"{MASK}{digits[-_LAST:]}"
    return MASK


def _ending(host: str) -> str:
    _, dot, ending = host.rpartition(".")
    return f"{dot}{ending}"
