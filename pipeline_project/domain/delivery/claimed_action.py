"""One action as a destination sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class ClaimedAction:
    """One action on its way.

    Attributes:
        attempt: which try this is, from 1.
        seconds: since the first try was begun.
        uncertain: an earlier try may have had its effect.
        case_id: as the row's column says, whatever its payload does.
        wrong: why this row may not be sent as it stands, in words; None where nothing is wrong with it.
    """

    id: int
    workflow: str
    destination: str
    kind: str
    key: UUID
    fingerprint: str
    payload: Mapping[str, Any]
    money: float
    live: bool
    attempt: int
    seconds: float
    uncertain: bool
    case_id: str = ""
    wrong: str | None = None

    @property
    def body(self) -> bytes:
        """What is sent: the payload with its key, the same bytes at every try."""
        return json.dumps({"key": str(self.key), **self.payload}, sort_keys=True, separators=(",", ":")).encode()
