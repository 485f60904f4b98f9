"""A version of a model, as the registry and the ledger name it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ModelVersion:
    """One trained model, wherever it is kept.

    Attributes:
        version: the registry's version, as text.
        night: the night as of which it was trained; it has seen nothing known later.
        digest: sha256 over its files.
        run_id: the MLflow run that made it.
        knows_until: the night before which everything it learned from was known; empty means `night`. A challenger is
            held back from the nights on which it is to be replayed.
        trained_by: who started the training: a person's name, `schedule`, or `dagster`.
        signature: over workflow, nights, digest and maker, in hex, by the house's key; empty in the ledger.
    """

    workflow: str
    version: str
    night: str
    digest: str
    run_id: str
    metrics: Mapping[str, float]
    knows_until: str = ""
    trained_by: str = ""
    signature: str = field(default="", repr=False, compare=False)

    @property
    def known_before(self) -> str:
        """The first night of which it has seen nothing: it may be replayed from there on."""
        return self.knows_until or self.night


@dataclass(frozen=True)
class TrainingRecord:
    """One training, as a registry logs it.

    Attributes:
        dataset: the features that were trained on, for their schema and number of rows; its values are not kept.
        knows_until, trained_by: as in `ModelVersion`.
        card: the model card, in Markdown, kept beside the files.
    """

    workflow: str
    night: str
    files: Mapping[str, bytes]
    parameters: Mapping[str, object]
    metrics: Mapping[str, float]
    dataset: pd.DataFrame
    features: Sequence[str]
    labels: Sequence[str]
    knows_until: str = ""
    trained_by: str = ""
    card: str = ""
