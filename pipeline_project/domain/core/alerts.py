"""Alerts that nobody has closed yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class OpenAlert:
    """What somebody must look after.

    Attributes:
        key: what it is about, unique within the workflow.
        next_command: what the owner should run next.
    """

    id: int
    workflow: str
    kind: str
    key: str
    message: str
    owner: str
    next_command: str
    raised_at: datetime
    closed_at: datetime | None = None
