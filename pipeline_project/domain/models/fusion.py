"""A network that joins text, photos, numbers and categories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Self

import numpy as np

from pipeline_project.domain.core.devices import CPU, described, torch_device_name
from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.features.timeline import later_share
from pipeline_project.domain.models import files as model_files
from pipeline_project.domain.models.estimator import EstimatorSettings
from pipeline_project.domain.models.explanations import spoken, weighty
from pipeline_project.domain.models.fusion_inputs import FusionInputs
from pipeline_project.domain.models.network import (
    InputBatch,
    Lesson,
    Recipe,
    Weights,
    average_case,
    contributions,
    fresh,
    learned,
    logits,
    softmax,
)

_WEIGHTS, _SETTINGS, _REDUCTION = "network.safetensors", "fusion.json", "fusion_reduction.safetensors"
_STOP_SHARE, _FEWEST_TO_STOP = 0.2, 200
_FIXED_EPOCHS, _FEWEST_EPOCHS = 10, 3
_MIDDLE = "middle."


class FusionNetwork:
    """Towers for numbers, categories, text and photos that meet in one layer.

    The number of epochs is found on the latest fifth of the nights, then all rows are learned with it.
    """

    ABOUT: ClassVar[str] = "a network that joins text, photos and fields"
    LIBRARY: ClassVar[str] = "pytorch"
    VECTORS: ClassVar[frozenset[str]] = frozenset({"text", "image"})
    REQUIRES: ClassVar[frozenset[str]] = frozenset()
    GRID: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "dropout": (0.15, 0.3, 0.5),
        "decay": (0.005, 0.02, 0.1),
        "rate": (0.001, 0.002, 0.004),
    }

    inputs_: FusionInputs
    weights_: Weights
    middle_: dict[str, np.ndarray]
    recipe_: Recipe
    epochs_: int
    trained_on_: str

    def __init__(self, settings: EstimatorSettings) -> None:
        self.settings = settings

    def fit(
        self,
        table: FeatureTable,
        y: np.ndarray,
        weights: np.ndarray | None = None,
        seed: int = 7,
        like: Self | None = None,
    ) -> Self:
        """
        Raises:
            ModelUnavailable: the cases have no feature at all that says anything.
        """
        self.trained_on_ = described(self.settings.device, self._device)
        self.inputs_ = FusionInputs().fit(table, self.settings.dimensions)
        self.recipe_ = Recipe(**dict(self.settings.choices))
        weight = np.ones(len(y)) if weights is None else weights
        batch = self._batch(table)
        if not batch.dense and not batch.codes.shape[1]:
            raise ModelUnavailable("no feature of these cases varies, so there is nothing to learn from; name others")
        self.epochs_ = like.epochs_ if like is not None else self._epochs(batch, y, weight, table.nights, seed)
        lesson, start = Lesson(batch, y, weight), self._fresh(batch, seed)
        self.weights_, _ = learned(lesson, start, self.recipe_, seed, self.epochs_, device=self._device)
        self.middle_ = average_case(self.weights_, batch)
        return self

    def _epochs(self, batch: InputBatch, y: np.ndarray, weight: np.ndarray, nights: np.ndarray, seed: int) -> int:
        """How many epochs did best on later nights; a fixed number where those say too little."""
        later = later_share(nights, _STOP_SHARE)
        if later.sum() < _FEWEST_TO_STOP or (~later).sum() < _FEWEST_TO_STOP or len(np.unique(y[~later])) < 2:
            return _FIXED_EPOCHS
        early, stop = (Lesson(batch.select(of), y[of], weight[of]) for of in (~later, later))
        start = self._fresh(early.batch, seed)
        return max(learned(early, start, self.recipe_, seed, None, stop, self._device)[1], _FEWEST_EPOCHS)

    @property
    def _device(self) -> str:
        return torch_device_name(self.settings.device)

    def _fresh(self, batch: InputBatch, seed: int) -> Weights:
        return fresh(batch, self.inputs_.sizes, len(self.settings.labels), seed)

    def _batch(self, table: FeatureTable) -> InputBatch:
        return InputBatch(*self.inputs_.groups(table))

    def probabilities(self, table: FeatureTable) -> np.ndarray:
        batch = self._batch(table)
        if not len(table):
            return np.empty((0, len(self.settings.labels)))
        return softmax(logits(self.weights_, batch, self._device))

    def reasons(self, table: FeatureTable, probabilities: np.ndarray, top: int) -> list[list[str]]:
        if not len(table):
            return []
        chosen = probabilities.argmax(axis=1)
        shares = contributions(self.weights_, self._batch(table), self.middle_, chosen, self._device)
        owners = {kind: self._owners(kind) for kind in shares}
        features = list(dict.fromkeys(name for names in owners.values() for name in names))
        summed = np.zeros((len(table), len(features)))
        for kind, names in owners.items():
            summed += shares[kind] @ (np.array(names)[:, None] == np.array(features)[None, :]).astype(np.float64)
        labels = [self.settings.labels[i] for i in chosen]
        describe = spoken(self.inputs_.columns, self.settings.masked, table)
        return weighty(summed, features, labels, top, describe)

    def _owners(self, kind: str) -> list[str]:
        if kind != "categories":
            return self.inputs_.owners(kind)
        widths = [self.weights_[f"embedding{i}"].shape[1] for i in range(len(self.inputs_.sizes))]
        return [name for name, width in zip(self.inputs_.sizes, widths, strict=True) for _ in range(width)]

    def parameters(self) -> dict[str, Any]:
        many = sum(array.size for array in self.weights_.values())
        return {**asdict(self.recipe_), "epochs": self.epochs_, "weights": many}

    def files(self) -> dict[str, bytes]:
        settings = {
            "labels": list(self.settings.labels),
            "masked": sorted(self.settings.masked),
            "recipe": asdict(self.recipe_),
            "epochs": self.epochs_,
            "inputs": self.inputs_.to_dict(),
        }
        middle = {_MIDDLE + kind: part for kind, part in self.middle_.items()}
        return {
            _WEIGHTS: model_files.to_tensors({**self.weights_, **middle}),
            _SETTINGS: model_files.to_json(settings),
            _REDUCTION: model_files.to_tensors(self.inputs_.columns.tensors()),
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], device: str = CPU) -> Self:
        content = model_files.from_json(files, _SETTINGS)
        tensors = model_files.from_tensors(files, _WEIGHTS)
        try:
            labels, masked = tuple(content["labels"]), frozenset(content["masked"])
            model = cls(EstimatorSettings(labels=labels, masked=masked, device=device))
            model.recipe_, model.epochs_ = Recipe(**content["recipe"]), int(content["epochs"])
            model.inputs_ = FusionInputs.from_parts(content["inputs"], model_files.from_tensors(files, _REDUCTION))
            model.weights_ = {name: held for name, held in tensors.items() if not name.startswith(_MIDDLE)}
            model.middle_ = {name.removeprefix(_MIDDLE): part for name, part in tensors.items() if _MIDDLE in name}
            model._check()
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise ModelUnavailable(f"the model's files do not fit together ({problem!r}); train it again") from problem
        return model

    def _check(self) -> None:
        """
        Raises:
            ValueError, KeyError: the weights are not of the inputs' and labels' widths.
        """
        labels, sizes = len(self.settings.labels), list(self.inputs_.sizes.values())
        widths = {kind: len(self.inputs_.owners(kind)) for kind in self.inputs_.kinds}
        if sizes:
            widths["categories"] = sum(self.weights_[f"embedding{i}"].shape[1] for i in range(len(sizes)))
        wrong = [kind for kind, width in widths.items() if self.weights_[f"{kind}.weight"].shape[0] != width]
        wrong += [kind for kind, width in widths.items() if self.middle_[kind].shape != (width,)]
        wrong += [f"embedding{i}" for i, size in enumerate(sizes) if self.weights_[f"embedding{i}"].shape[0] != size]
        if wrong or self.weights_["out.bias"].shape != (labels,):
            raise ValueError(f"weights of {', '.join(wrong) or 'the labels'} are of another width")
