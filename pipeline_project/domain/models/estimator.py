"""What every estimator offers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from pipeline_project.domain.core.devices import CPU
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.vectors.modalities import usual_dimensions


@dataclass(frozen=True)
class EstimatorSettings:
    """What an estimator must know beside the data.

    Attributes:
        labels: in the spec's order; the columns of every probability.
        dimensions: the vectors of each modality are reduced to this many.
        masked: features whose values are personal, so that reasons do not show them.
        choices: hyper-parameters of the estimator's `GRID` that replace the ones it comes with.
        device: where it learns and tells, as `core.devices` takes it; no part of a model's files.
    """

    labels: tuple[str, ...]
    dimensions: Mapping[str, int] = field(default_factory=usual_dimensions, hash=False)
    masked: frozenset[str] = frozenset()
    choices: tuple[tuple[str, float], ...] = ()
    device: str = CPU


class Estimator(Protocol):
    """Learns labels from features; holds only what JSON, UBJSON and safetensors can hold.

    Attributes:
        ABOUT: what it learns on, in a few words; docs/workflows.md prints them.
        LIBRARY: what it learns with, as Dagster's UI calls it.
        VECTORS: of `MODALITIES`, those that it sees in full; of the others it sees what the spec asks for.
        REQUIRES: of these, those of which it needs one, or it has nothing to learn from.
        GRID: hyper-parameters worth trying, and their values; see `search`.
        trained_on_: the device that it learned on, in words; set by `fit`.
    """

    ABOUT: ClassVar[str]
    LIBRARY: ClassVar[str]
    VECTORS: ClassVar[frozenset[str]]
    REQUIRES: ClassVar[frozenset[str]]
    GRID: ClassVar[Mapping[str, tuple[float, ...]]]

    trained_on_: str

    def __init__(self, settings: EstimatorSettings) -> None: ...

    def fit(
        self,
        table: FeatureTable,
        y: np.ndarray,
        weights: np.ndarray | None = None,
        seed: int = 7,
        like: Self | None = None,
    ) -> Self:
        """Learns; the same input gives the same bytes in `files`.

        Args:
            y: index of each case's label, shape (n,).
            weights: shape (n,), all ones if not given.
            like: takes over what this one found out by trying (rounds, strength) instead of trying again.
        """
        ...

    def probabilities(self, table: FeatureTable) -> np.ndarray:
        """Shape (n, labels), rows sum to one; not yet calibrated.

        Raises:
            ModelUnavailable: the table lacks a feature the estimator was trained on.
        """
        ...

    def reasons(self, table: FeatureTable, probabilities: np.ndarray, top: int) -> list[list[str]]:
        """At most `top` plain sentences per case why its most probable label is what it is."""
        ...

    def parameters(self) -> dict[str, Any]:
        """What was set or found while learning, for the registry."""
        ...

    def files(self) -> dict[str, bytes]: ...

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], device: str = CPU) -> Self:
        """
        Args:
            device: where it tells.

        Raises:
            ModelUnavailable: a file is missing, damaged or not of an allowed format.
        """
        ...
