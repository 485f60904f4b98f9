"""A version of a model, as the registry and the ledger name it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
