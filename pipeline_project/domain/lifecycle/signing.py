"""Proposals and champions as they stand in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class StandingProposal:
    """A challenger that asked to decide, by column, with what was said to it: `verdict` is None while nobody has.

    Attributes:
        gates: each with `name`, `passed` and `detail`.
        replay: what the comparison found, as `proposing.ModelProposal` has it.
    """

    id: int
    workflow: str
    version: str
    night: str
    digest: str
    base_version: str
    spec_hash: str
    trained_by: str
    passed: bool
    promised_error: float | None
    gates: Sequence[Mapping[str, Any]]
    replay: Mapping[str, Any] | None
    card: str
    hash: str
    proposed_at: datetime
    person: str | None
    verdict: str | None
    note: str | None
    signed_at: datetime | None


@dataclass(frozen=True)
class ChampionEntry:
    """A model and the night from which on it decided, by column."""

    workflow: str
    version: str
    night: str
    digest: str
    run_id: str
    metrics: Mapping[str, float | None]
    recorded_at: datetime
    knows_until: str | None
    trained_by: str | None
    from_night: str
    reason: str
    promoted_at: datetime
