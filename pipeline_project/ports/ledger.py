"""The ledger: decisions, outcomes, and all that a night leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.alerts import OpenAlert
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.deciding.clearance import Basis, CheckVerdict
from pipeline_project.domain.deciding.recorded import NewDecision
from pipeline_project.domain.review.night_work import NightWork


class Ledger(Protocol):
    """Facts that must be true exactly once."""

    @property
    def code(self) -> str:
        """The version of the code that writes through it, which stands in every verdict."""
        ...

    def now(self) -> datetime:
        """The database's time: what hosts have to agree on goes by no clock of theirs."""
        ...

    def record_workflow(self, workflow: str, spec_hash: str, spec: Mapping[str, Any]) -> None: ...

    def workflow_specs(self, workflow: str) -> Mapping[str, Mapping[str, Any]]:
        """Every spec under which a workflow has decided, by hash, in the order in which they came."""
        ...

    def record_readers(self, workflow: str, places: Sequence[str]) -> None:
        """A workflow has read these places (`CaseSource.places`); the same fact twice is one row."""
        ...

    def source_readers(self) -> dict[str, list[str]]:
        """The places that each workflow has read, of workflows that have decided anything."""
        ...

    def night_specs(self, workflow: str, night: str) -> set[str]:
        """The hashes of the specs under which cases of a night were decided."""
        ...

    def decided_cases(self, workflow: str, cases: Sequence[str]) -> set[str]:
        """Which of these cases have a decision."""
        ...

    def record_outcomes(self, workflow: str, outcomes: pa.Table) -> int:
        """Adds outcomes that are not yet known (same case, label, known_at and source), returning how many are new."""
        ...

    def outcomes_known(self, workflow: str, as_of: datetime) -> pd.DataFrame:
        """The outcome of each case as it was known before `as_of`: case_id, label, known_at. Later corrections
        (by known_at) win."""
        ...

    def record_champion(self, workflow: str, model: ModelVersion, night: str, reason: str) -> None:
        """From `night` on this version decides. Append-only; the same fact twice is one row."""
        ...

    def record_model(self, model: ModelVersion) -> None:
        """A version that was trained; the same fact twice is one row."""
        ...

    def models(self, workflow: str) -> list[ModelVersion]:
        """A workflow's model versions, by the night as of which they were trained, then as recorded."""
        ...

    def outcome_history(self, workflow: str, before: datetime) -> pd.DataFrame:
        """Every outcome that became known before then, corrections included: case_id, label, known_at, in the order
        in which they became known."""
        ...

    def contradictions(self, workflow: str) -> pd.DataFrame:
        """Cases of which several labels became known at one and the same time, and nothing since, by case: case_id,
        known_at, labels, sources."""
        ...

    def decided(self, workflow: str, first: str, last: str) -> pd.DataFrame:
        """What was first decided of each case on the nights first <= night <= last, by night and case: night, case_id,
        option, reason, probabilities, propensity, model_version, data_versions."""
        ...

    def decided_further(self, workflow: str, first: str, before: str) -> dict[str, str]:
        """Of the cases of first <= night < before that were decided further, by people above all, what stands."""
        ...

    def labels_of_models(self, workflow: str, versions: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The labels of which each version gives probabilities, in order; versions that never decided are missing."""
        ...

    def outcomes_since(self, workflow: str, after: datetime | None, before: datetime) -> int:
        """How many cases have an outcome that became known in after <= known_at < before."""
        ...

    def training_asked(self, workflow: str, since: str | None, before: str) -> str | None:
        """Why drift asked for a training after a night in since <= night < before, last; None if it has not."""
        ...

    def raise_alert(self, workflow: str, kind: str, key: str, message: str, owner: str, next_command: str) -> bool:
        """Raises an alert, or raises a closed one again; False when it is open already."""
        ...

    def close_alert(self, workflow: str, *keys: str) -> bool:
        """Closes alerts; False when none of them is open."""
        ...

    def open_alerts(self) -> list[OpenAlert]:
        """Alerts nobody has closed, oldest first."""
        ...

    def champion(self, workflow: str, night: str) -> ModelVersion | None:
        """Who decides on a night: the last recorded with from_night <= night."""
        ...

    def begin_attempt(self, workflow: str, night: str, run_id: str, ends: datetime | None = None) -> int:
        """A new attempt at deciding a night; older ones can no longer write.

        Args:
            ends: the end of the night, which must have come by the database's clock.

        Raises:
            NightNotEnded: it has not.
        """
        ...

    def record_decisions(
        self,
        workflow: str,
        night: str,
        attempt: int,
        decisions: Sequence[NewDecision],
        work: NightWork | None = None,
        *,
        basis: Basis,
    ) -> pd.DataFrame:
        """Adds decisions for cases never decided, with the tasks and actions of `work` that belong to them, in one
        transaction fenced by `attempt`; returns the standing decision of every case given (case_id, option, made_by,
        reason, night, new).

        Args:
            basis: what they rest on; the night's checks must have passed on it.

        Raises:
            StaleAttempt: a newer attempt at this night has begun.
            LedgerRefused: a check has not passed on the basis.
        """
        ...

    def record_verdict(self, workflow: str, night: str, verdict: CheckVerdict, run_id: str) -> None:
        """Adds what a blocking check found."""
        ...

    def verdicts(self, workflow: str, night: str) -> list[CheckVerdict]:
        """What a night's blocking checks found, in the order in which it was recorded; of the same check over the
        same tables the last word only."""
        ...

    def release(self, workflow: str, night: str, run_id: str, *, basis: Basis) -> int:
        """Lets the actions of a decided night out; returns how many became ready.

        Args:
            basis: what the night rests on; its checks must have passed on it, and it must have been decided on it.

        Raises:
            NightUndecided: the night was never decided whole.
            LedgerRefused: a check has not passed on the basis.
        """
        ...
