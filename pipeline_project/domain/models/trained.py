"""A trained model: estimator, calibration and what is familiar, as files that run nothing when read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from pipeline_project.domain.core.devices import CPU
from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.models import ESTIMATORS, Estimator
from pipeline_project.domain.models import files as model_files
from pipeline_project.domain.models.calibration import Calibration
from pipeline_project.domain.models.out_of_distribution import OutOfDistributionDetector
from pipeline_project.domain.models.segments import SegmentMaps, Slices
from pipeline_project.domain.models.unseen import UnseenKinds

OUT_OF_DISTRIBUTION = "out_of_distribution"
_MODEL, _CALIBRATION, _DETECTOR, _REFERENCES = "model.json", "calibration.json", "familiar.json", "familiar.safetensors"
_UNSEEN, _UNSEEN_REFERENCES = "unseen.json", "unseen.safetensors"
_REASONS = 3


@dataclass(frozen=True)
class Prediction:
    """Aligned with the cases.

    Attributes:
        probabilities: calibrated, shape (n, labels), rows sum to one.
        reasons: sentences per case, the weightiest first.
        problems: per case None, or `out_of_distribution`.
        unfamiliar: how unlike what was seen in training, shape (n,): 1.0 is the limit above which a case has that
            problem; empty where it was not measured.
    """

    probabilities: np.ndarray
    reasons: list[list[str]]
    problems: list[str | None]
    unfamiliar: np.ndarray = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class TrainedModel:
    """What `training.train` gives and a night's scores are made with.

    Attributes:
        labels: the columns of every probability, in the spec's order.
        features: names of the features it was trained on.
        metrics: honest ones, see `training.train`.
        parameters: settings and what was found while learning.
        segments: maps of segments that have their own.
        slices: figures of the later nights by field and value.
        period: of the cases it learned from: `first` and `last` night, how many `nights`, and `later_from`, the first
            of those that it is measured on.
        outcomes: how many cases it learned from, by label.
        unseen: what tells a kind that no label stands for; None where the spec does not ask.
    """

    estimator_name: str
    estimator: Estimator
    calibration: Calibration
    ood_detector: OutOfDistributionDetector
    labels: tuple[str, ...]
    features: tuple[str, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    segments: SegmentMaps = field(default_factory=SegmentMaps)
    slices: Slices = field(default_factory=dict)
    period: Mapping[str, str] = field(default_factory=dict)
    outcomes: Mapping[str, int] = field(default_factory=dict)
    unseen: UnseenKinds | None = None

    def predict(self, table: FeatureTable, explain: bool = True) -> Prediction:
        """
        Args:
            explain: give reasons, which take longer than the probabilities.

        Raises:
            ModelUnavailable: the cases lack a feature that the model was trained on.
        """
        missing = [name for name in self.features if name not in table.names]
        if missing:
            raise ModelUnavailable(
                f"the model was trained on {', '.join(missing[:10])}, which these cases do not have; the spec has "
                "changed since, so train a model for it"
            )
        uncalibrated = self.estimator.probabilities(table)
        probabilities = self.segments.apply(uncalibrated, self.calibration.apply(uncalibrated), table)
        probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
        unfamiliar = self.ood_detector.score(table)
        if self.unseen is not None:
            unfamiliar = np.maximum(unfamiliar, self.unseen.score(table, uncalibrated))
        return Prediction(
            probabilities=probabilities,
            reasons=self.estimator.reasons(table, probabilities, _REASONS) if explain else [[] for _ in unfamiliar],
            problems=[OUT_OF_DISTRIBUTION if score > 1 else None for score in unfamiliar],
            unfamiliar=unfamiliar,
        )

    def files(self) -> dict[str, bytes]:
        """By name; the same training gives the same bytes."""
        model = {
            "estimator": self.estimator_name,
            "labels": list(self.labels),
            "features": list(self.features),
            "metrics": dict(self.metrics),
            "parameters": dict(self.parameters),
            "slices": self.slices,
            "period": dict(self.period),
            "outcomes": dict(self.outcomes),
        }
        calibration = {**self.calibration.to_dict(), "segments": self.segments.to_dict()}
        return model_files.sealed(
            {
                **self.estimator.files(),
                _MODEL: model_files.to_json(model),
                _CALIBRATION: model_files.to_json(calibration),
                _DETECTOR: model_files.to_json(self.ood_detector.to_dict()),
                _REFERENCES: model_files.to_tensors(self.ood_detector.tensors()),
                **self._unseen_files(),
            }
        )

    def _unseen_files(self) -> dict[str, bytes]:
        if self.unseen is None:
            return {}
        return {
            _UNSEEN: model_files.to_json(self.unseen.to_dict()),
            _UNSEEN_REFERENCES: model_files.to_tensors(self.unseen.tensors()),
        }

    @property
    def digest(self) -> str:
        """sha256 over the files."""
        return model_files.digest(self.files())

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], device: str = CPU) -> Self:
        """
        Args:
            device: where it scores, as `core.devices` takes it.

        Raises:
            ModelUnavailable: a file is missing, damaged or of a format that may run code when read.
        """
        model_files.check_formats(files)
        model_files.check_seal(files)
        model = model_files.from_json(files, _MODEL)
        name = model.get("estimator")
        if name not in ESTIMATORS:
            raise ModelUnavailable(
                f"the model's estimator {str(name)[:40]!r} is not one of {', '.join(ESTIMATORS)}; train it again"
            )
        held = model_files.from_json(files, _CALIBRATION)
        # models of before there were segments, whose digests stand in the ledger, say nothing of them
        calibration, segments = Calibration.from_dict(held), SegmentMaps.from_dict(held.get("segments", []))
        references = model_files.from_tensors(files, _REFERENCES)
        try:
            return cls(
                estimator_name=name,
                estimator=ESTIMATORS[name].from_files(files, device),
                calibration=calibration,
                ood_detector=OutOfDistributionDetector.from_parts(model_files.from_json(files, _DETECTOR), references),
                labels=tuple(model["labels"]),
                features=tuple(model["features"]),
                metrics=model["metrics"],
                parameters=model["parameters"],
                segments=segments,
                slices=model.get("slices", {}),
                period=model.get("period", {}),
                outcomes=model.get("outcomes", {}),
                unseen=_unseen_kinds(files),
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise ModelUnavailable(f"the model's files do not fit together ({problem!r}); train it again") from problem


def _unseen_kinds(files: Mapping[str, bytes]) -> UnseenKinds | None:
    """None of a model that does not look for unseen kinds."""
    if _UNSEEN not in files:
        return None
    return UnseenKinds.from_parts(
        model_files.from_json(files, _UNSEEN), model_files.from_tensors(files, _UNSEEN_REFERENCES)
    )
