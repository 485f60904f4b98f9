"""Alerts that nobody has closed yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

#: The kinds of the alerts that say that a night's run stopped: in Dagster, and under a command. Their keys end with the
#: night; alerts of every other kind may name nights that went through.
RUN_FAILED, NIGHT_STOPPED = "run_failed", "night_stopped"
STOPS = (RUN_FAILED, NIGHT_STOPPED)


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
