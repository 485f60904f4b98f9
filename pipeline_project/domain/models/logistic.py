"""Logistic regression on vectors: the right tool for many labels of short text, and for few photos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from pipeline_project.domain.core.devices import CPU
from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.features.timeline import later_share
from pipeline_project.domain.models import files as model_files
from pipeline_project.domain.models.estimator import EstimatorSettings
from pipeline_project.domain.vectors.modalities import MODALITIES

_COEFFICIENTS, _SETTINGS = "coefficients.safetensors", "logistic.json"
#: Inverse regularization tried, on unit-length vectors, where little of it is wanted.
_GRID = (10.0, 30.0)
_TRY_SHARE, _MOST_TO_TRY = 0.25, 4000
_NEVER = -30.0
_CALLED = {"text": "the text", "image": "the photos"}


class LogisticOnEmbeddings:
    """scikit-learn's multinomial logistic regression; how much to regularize is tried out on later nights.

    It knows no other device than the processor.
    """

    ABOUT: ClassVar[str] = "on the vectors of texts and photos"
    LIBRARY: ClassVar[str] = "scikitlearn"
    VECTORS: ClassVar[frozenset[str]] = frozenset({"text", "image"})
    REQUIRES: ClassVar[frozenset[str]] = VECTORS
    GRID: ClassVar[Mapping[str, tuple[float, ...]]] = {"C": (1.0, 3.0, 10.0, 30.0, 100.0)}

    widths_: dict[str, int]
    strength_: float
    coefficients_: np.ndarray
    intercepts_: np.ndarray
    trained_on_ = CPU

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
        seen = {
            name: table.vectors[name].shape[1] for name in MODALITIES if name in self.VECTORS & table.vectors.keys()
        }
        # of what no case of these nights has there is nothing to be learned
        self.widths_ = {name: width for name, width in seen.items() if width}
        vectors = self._vectors(table)
        weight = np.ones(len(y)) if weights is None else weights
        set_strength = dict(self.settings.choices).get("C")
        if set_strength is not None:
            self.strength_ = set_strength
        else:
            strength = like.strength_ if like is not None else None
            self.strength_ = strength or self._strength(vectors, y, weight, table.nights, seed)
        self.coefficients_, self.intercepts_ = self._solve(vectors, y, weight, self.strength_)
        return self

    def _strength(self, vectors: np.ndarray, y: np.ndarray, weight: np.ndarray, nights: np.ndarray, seed: int) -> float:
        """The strength of the grid with the lowest log-loss on later nights, found on at most 4,000 rows."""
        rows = np.arange(len(y))
        if len(y) > _MOST_TO_TRY:
            rows = np.sort(np.random.default_rng(seed).choice(len(y), _MOST_TO_TRY, replace=False))
        later = later_share(nights[rows], _TRY_SHARE)
        early = rows[~later]
        if later.sum() < len(self.settings.labels) or len(np.unique(y[early])) < 2:
            return _GRID[0]
        losses = []
        for strength in _GRID:
            predicted = _softmax(vectors[rows[later]], *self._solve(vectors[early], y[early], weight[early], strength))
            losses.append(-np.log(np.maximum(predicted[np.arange(len(predicted)), y[rows[later]]], 1e-12)).mean())
        return _GRID[int(np.argmin(losses))]

    def _solve(
        self, vectors: np.ndarray, y: np.ndarray, weight: np.ndarray, strength: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (labels, d) and intercepts (labels,); a label never seen is all but ruled out."""
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

        # several threads that wait for each other on a busy machine took ten times as long
        with threadpool_limits(1):
            fitted = LogisticRegression(C=strength, max_iter=200, tol=1.5e-4).fit(vectors, y, sample_weight=weight)
        coefficients, intercepts = fitted.coef_, fitted.intercept_
        if len(fitted.classes_) == 2:
            coefficients = np.vstack([np.zeros_like(coefficients), coefficients])
            intercepts = np.concatenate([[0.0], intercepts])
        all_coefficients = np.zeros((len(self.settings.labels), vectors.shape[1]), dtype=np.float32)
        all_intercepts = np.full(len(self.settings.labels), _NEVER, dtype=np.float32)
        all_coefficients[fitted.classes_] = coefficients
        all_intercepts[fitted.classes_] = intercepts
        return all_coefficients, all_intercepts

    def probabilities(self, table: FeatureTable) -> np.ndarray:
        return _softmax(self._vectors(table), self.coefficients_, self.intercepts_)

    def _vectors(self, table: FeatureTable) -> np.ndarray:
        """Those of each kind side by side, as long as in the encoders' cosine, shape (n, d); zeros of a kind that no
        case of these nights has."""
        missing = [name for name in self.widths_ if name not in table.vectors]
        if missing or not self.widths_:
            raise ModelUnavailable(
                f"logistic works on the vectors of {' and '.join(missing) or 'texts or photos'} and these cases have "
                f"none; set {' or '.join(f'`{name}`' for name in missing or sorted(self.VECTORS))} in the spec"
            )
        return np.concatenate([self._of_kind(table, name, width) for name, width in self.widths_.items()], axis=1)

    def _of_kind(self, table: FeatureTable, name: str, width: int) -> np.ndarray:
        held = table.vectors[name]
        if held.shape[1] == 0:
            return np.zeros((len(table), width), dtype=np.float32)
        if held.shape[1] != width:
            raise ModelUnavailable(
                f"the model was trained on vectors of {width} values and these have {held.shape[1]}; the encoder has "
                "changed since, so train a model for it"
            )
        return held

    def reasons(self, table: FeatureTable, probabilities: np.ndarray, top: int) -> list[list[str]]:
        nearest = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
        close = (
            f"{' and '.join(_CALLED[name] for name in self.widths_)} {'is' if [*self.widths_] == ['text'] else 'are'}"
        )
        return [
            [f"{close} close to {self.settings.labels[i]} ({probabilities[row, i]:.2f})" for i in of]
            for row, of in enumerate(nearest)
        ]

    def parameters(self) -> dict[str, Any]:
        return {"C": self.strength_, "solver": "lbfgs", "dimension": self.coefficients_.shape[1]}

    def files(self) -> dict[str, bytes]:
        tensors = {"coefficients": self.coefficients_, "intercepts": self.intercepts_}
        settings = {"labels": list(self.settings.labels), "C": self.strength_, "vectors": self.widths_}
        return {_COEFFICIENTS: model_files.to_tensors(tensors), _SETTINGS: model_files.to_json(settings)}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], device: str = CPU) -> Self:
        content = model_files.from_json(files, _SETTINGS)
        tensors = model_files.from_tensors(files, _COEFFICIENTS)
        try:
            model = cls(EstimatorSettings(labels=tuple(content["labels"])))
            model.strength_ = float(content["C"])
            model.coefficients_, model.intercepts_ = tensors["coefficients"], tensors["intercepts"]
            # a model of before photos were learned from says nothing of its vectors
            widths = content.get("vectors", {"text": model.coefficients_.shape[1]})
            model.widths_ = {name: int(widths[name]) for name in MODALITIES if name in widths}
        except (KeyError, TypeError, ValueError) as problem:
            raise ModelUnavailable(f"the model's files do not fit together ({problem!r}); train it again") from problem
        if model.coefficients_.shape[:1] != (len(model.settings.labels),):
            raise ModelUnavailable("the model's labels and coefficients are not as many; train it again")
        return model


def _softmax(vectors: np.ndarray, coefficients: np.ndarray, intercepts: np.ndarray) -> np.ndarray:
    logits = vectors.astype(np.float64) @ coefficients.T.astype(np.float64) + intercepts
    powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
