"""The registry of models."""

from __future__ import annotations

from typing import Protocol

from pipeline_project.domain.core.model_version import ModelVersion, TrainingRecord


class Registry(Protocol):
    """Model versions and their files (MLflow)."""

    def log_training(self, training: TrainingRecord) -> ModelVersion:
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
