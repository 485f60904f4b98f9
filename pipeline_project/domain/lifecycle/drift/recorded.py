"""Signals and requests for a training as they stand in the ledger, by column."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class RecordedSignal:
    """One signal of a night, as the run `run_id` found it."""

    id: int
    workflow: str
    night: str
    run_id: str
    signal: str
    value: float
    noise: float
    threshold: float
    psi: float | None
    breached: bool
    severity: str
    cases: int
    recorded_at: datetime


@dataclass(frozen=True)
class TrainingRequest:
    """A training that drift asked for after a night."""

    id: int
    workflow: str
    night: str
    why: str
    cooldown_nights: int
    run_id: str
    asked_at: datetime
