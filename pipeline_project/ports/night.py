"""Where assets and resources meet: what an asset asks of the outside, as Protocols, so a plain object can stand in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.core.nights import NightWindow
from pipeline_project.domain.deciding.clearance import Basis, Verdict
from pipeline_project.domain.intake.expectation import Expectation
from pipeline_project.domain.review.night_work import NightWork


class CaseSource(Protocol):
    """Where a workflow's arrivals come from."""

    def read(self, window: NightWindow) -> pa.Table:
        """What came in for a night, untouched, as `schema.ARRIVALS`; no rows when nothing landed.

        Raises:
            SourceUnreadable: a file is there and cannot be read whole; the message says what to do.
            SourceStillGrowing: a file changed while it was read; trying again later is right.
        """
        ...

    def fingerprint(self, window: NightWindow) -> str:
        """A hash of what has landed for a night, without reading it whole; it changes when anything lands."""
        ...

    def nights_landed(self) -> list[str]:
        """Nights for which something has landed, in order."""
        ...

    def places(self) -> tuple[str, ...]:
        """Where it reads, the same for everybody who reads there, however it is spelled."""
        ...


class OutcomeSource(Protocol):
    """Where the truth about earlier cases comes from."""

    def read(self, window: NightWindow) -> pa.Table:
        """Outcomes that arrived that night, as `outcomes.OUTCOMES` (case_id, label, known_at, source)."""
        ...


class Lake(Protocol):
    """Delta tables by night; one table per workflow and asset."""

    def read_night(self, workflow: str, asset: str, night: str, version: int | None = None) -> pa.Table | None:
        """One night of one table with its version noted (`schema.versions_of`), or None if it was never written.

        Args:
            version: the table's version to read, instead of the newest.
        """
        ...

    def nights(self, workflow: str, asset: str) -> set[str]:
        """Every night that was written, those without a row included."""
        ...

    def night_commits(self, workflow: str, asset: str) -> dict[str, list[tuple[int, datetime]]]:
        """The versions that replaced each night, with their times (UTC), in order; as far back as history is kept."""
        ...

    def read_span(
        self,
        workflow: str,
        asset: str,
        first: str | None,
        before: str,
        columns: Sequence[str] | None = None,
    ) -> pa.Table | None:
        """The nights first <= night < before, in night order, with the version noted; None if there is no table."""
        ...

    def content(self, workflow: str, asset: str, night: str) -> str | None:
        """Which writing of a night stands now (`schema.contents_of`); None if it was never written."""
        ...

    def note(self, workflow: str, asset: str, content: str) -> Mapping[str, str]:
        """What was kept in the commit of one writing of a night (`schema.with_note`); empty where nothing was."""
        ...

    def write_night(self, workflow: str, asset: str, night: str, table: pa.Table, evolve: bool = False) -> int:
        """Replaces one night of one table in one atomic commit and returns the table's new version."""
        ...

    def keyed(self, workflow: str, hashes: Sequence[str]) -> list[str]:
        """Hashes of contents as a workflow's tables hold them: under a key where its fields are personal."""
        ...


class VectorStore(Protocol):
    """Vectors by the content they were encoded from; a content is encoded once per encoder version."""

    def get(self, encoder: str, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """Unit-length float32 vectors of those keys that are stored."""
        ...

    def put(self, encoder: str, vectors: Mapping[str, np.ndarray]) -> None: ...


@runtime_checkable
class TextEncoder(Protocol):
    """Turns texts into vectors."""

    @property
    def version(self) -> str:
        """Changes whenever the same text could give another vector."""
        ...

    @property
    def dimension(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit-length float32, shape (texts, dimension), aligned with `texts`."""
        ...


class ImageEncoder(Protocol):
    """Turns photos into vectors."""

    @property
    def version(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def encode(self, images: Sequence[bytes]) -> tuple[np.ndarray, list[str | None]]:
        """Unit-length float32 vectors (zeros where a photo failed) and, aligned, why each failed or None."""
        ...


class PhotoSource(Protocol):
    """Opens the photos that a case names."""

    def read(self, path: str) -> bytes:
        """The bytes of one photo.

        Raises:
            PhotoUnreadable: missing, outside the workflow's folder, or too large; the message names the path.
        """
        ...

    def stamp(self, paths: Iterable[str]) -> str:
        """Changes when one of these photos lands, changes or goes; looks at each once and reads none."""
        ...


class Contract(Protocol):
    """A Great Expectations suite built from a spec."""

    def validate(self, frame: pd.DataFrame) -> list[Expectation]:
        """Every rule's verdict over the rows of `frame`; order of the rules is fixed."""
        ...


class Registry(Protocol):
    """Model versions and their files (MLflow)."""

    def log_training(
        self,
        workflow: str,
        night: str,
        files: Mapping[str, bytes],
        parameters: Mapping[str, Any],
        metrics: Mapping[str, float],
        dataset: pd.DataFrame,
        features: Sequence[str],
        labels: Sequence[str],
        knows_until: str = "",
        trained_by: str = "",
        card: str = "",
    ) -> ModelVersion:
        """Logs one training as one run, signs and registers its version and points the alias `challenger` at it."""
        ...

    def trained(self, workflow: str, night: str) -> list[ModelVersion]:
        """The versions that were trained on a night, newest first."""
        ...

    def version(self, workflow: str, version: str) -> ModelVersion | None:
        """One version by its number, or None."""
        ...

    def pointed(self, workflow: str, alias: str) -> str | None:
        """The version an alias points at, or None."""
        ...

    def card(self, model: ModelVersion) -> str:
        """A version's model card, in Markdown; empty where it has none."""
        ...

    def load(self, model: ModelVersion) -> dict[str, bytes]:
        """The files of a version, verified against its digest.

        Raises:
            ModelUnavailable: unreachable, missing, changed or of a format that may run code.
        """
        ...

    def point(self, workflow: str, alias: str, version: str) -> None:
        """Makes an alias follow the ledger."""
        ...


class Ledger(Protocol):
    """Facts that must be true exactly once."""

    def record_workflow(self, workflow: str, spec_hash: str, spec: Mapping[str, Any]) -> None: ...

    def workflow_specs(self, workflow: str) -> dict[str, dict[str, Any]]:
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

    def close_alert(self, workflow: str, key: str) -> bool: ...

    def open_alerts(self) -> list[dict[str, Any]]:
        """Alerts nobody has closed: workflow, kind, key, message, owner, next_command, raised_at."""
        ...

    def champion(self, workflow: str, night: str) -> ModelVersion | None:
        """Who decides on a night: the last recorded with from_night <= night."""
        ...

    def begin_attempt(self, workflow: str, night: str, run_id: str) -> int:
        """A new attempt at deciding a night; older ones can no longer write."""
        ...

    def record_decisions(
        self,
        workflow: str,
        night: str,
        attempt: int,
        decisions: Sequence[Mapping[str, Any]],
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

    def record_verdict(self, workflow: str, night: str, verdict: Verdict, run_id: str) -> None:
        """Adds what a blocking check found."""
        ...

    def verdicts(self, workflow: str, night: str) -> list[Verdict]:
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


class Keyring(Protocol):
    """Seals personal values with a key per subject; a subject's key can be destroyed, and its values with it."""

    def pseudonyms(self, subjects: Sequence[str | None]) -> list[str | None]:
        """The names under which subjects stand in the lake and the ledger; the same subject always gets the same."""
        ...

    def seal(self, pseudonyms: Sequence[str | None], column: str, values: Sequence[str | None]) -> list[str | None]:
        """Tokens for values of one column, each under its subject's key; None stays None."""
        ...

    def open(self, tokens: Sequence[str | None]) -> list[str | None]:
        """The values behind tokens, None where the subject was forgotten."""
        ...
