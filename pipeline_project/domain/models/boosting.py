"""Gradient-boosted trees on fields, history, baskets, clusters and reduced vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from pipeline_project.domain.core.devices import CPU, described, xgboost_device_name
from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.features.timeline import later_share
from pipeline_project.domain.models import files as model_files
from pipeline_project.domain.models.columns import Columns
from pipeline_project.domain.models.estimator import EstimatorSettings
from pipeline_project.domain.models.explanations import Describe, spoken, weighty
from pipeline_project.domain.models.tree_shares import TreeShares
from pipeline_project.domain.vectors.modalities import MODALITIES

if TYPE_CHECKING:
    import xgboost

_BOOSTER, _SETTINGS, _REDUCTION = "booster.ubj", "boosting.json", "reduction.safetensors"
#: One, because another number of threads sums in another order and gives other bytes, and because threads that wait
#: for each other on a busy machine took ten times as long.
_THREADS = 1
#: From so many cases on tables are worth making, and so many are looked at together.
_TABLED, _ROWS = 500, 16_384
_MOST_ROUNDS, _FIXED_ROUNDS, _PATIENCE = 400, 80, 25
_STOP_SHARE, _FEWEST_TO_STOP = 0.2, 200


class BoostedTrees:
    """XGBoost with native categories.

    The number of rounds is found on the latest fifth of the nights, then all rows are fitted with it.
    """

    ABOUT: ClassVar[str] = "fields, reduced vectors, clusters and history"
    LIBRARY: ClassVar[str] = "xgboost"
    VECTORS: ClassVar[frozenset[str]] = frozenset()
    REQUIRES: ClassVar[frozenset[str]] = frozenset()
    GRID: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "max_depth": (3, 4, 5, 7),
        "eta": (0.03, 0.06, 0.12),
        "min_child_weight": (1.0, 5.0, 20.0),
        "colsample_bytree": (0.2, 0.4, 0.8),
        "reg_lambda": (1.0, 3.0, 10.0),
    }

    columns_: Columns
    parameters_: dict[str, Any]
    rounds_: int
    booster_: xgboost.Booster
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
        self.columns_ = Columns().fit(table, self.settings.dimensions)
        matrix = self.columns_.matrix(table)
        weight = np.ones(len(y)) if weights is None else weights
        self.trained_on_ = described(self.settings.device, xgboost_device_name(self.settings.device))
        self.parameters_ = self._parameters(len(y), seed)
        later = later_share(table.nights, _STOP_SHARE)
        self.rounds_ = like.rounds_ if like is not None else self._rounds(matrix, y, weight, later)
        self.booster_ = self._train(self._data(matrix, y, weight), self.rounds_)
        return self

    def _parameters(self, rows: int, seed: int) -> dict[str, Any]:
        labels = len(self.settings.labels)
        several = {"objective": "multi:softprob", "num_class": labels, "eval_metric": "mlogloss"}
        two = {"objective": "binary:logistic", "eval_metric": "logloss"}
        return {
            **(two if labels == 2 else several),
            "tree_method": "hist",
            "max_depth": 5,
            "eta": 0.06,
            "min_child_weight": float(np.clip(rows / 1500, 1, 30)),
            "subsample": 0.8,
            "colsample_bytree": 0.4,
            "reg_lambda": 3.0,
            "max_cat_to_onehot": 64,
            "nthread": _THREADS,
            "seed": seed,
            **dict(self.settings.choices),
        }

    def _rounds(self, matrix: np.ndarray, y: np.ndarray, weight: np.ndarray, later: np.ndarray) -> int:
        """How many rounds did best on later nights; a fixed number where those say too little."""
        if later.sum() < _FEWEST_TO_STOP or (~later).sum() < _FEWEST_TO_STOP or len(np.unique(y[~later])) < 2:
            return _FIXED_ROUNDS
        stop = self._data(matrix[later], y[later], weight[later])
        booster = self._train(self._data(matrix[~later], y[~later], weight[~later]), _MOST_ROUNDS, stop)
        return max(int(booster.best_iteration) + 1, 10)

    def _data(
        self, matrix: np.ndarray, y: np.ndarray | None = None, weight: np.ndarray | None = None
    ) -> xgboost.DMatrix:
        import xgboost

        types = self.columns_.types
        return xgboost.DMatrix(
            matrix, label=y, weight=weight, feature_types=types, enable_categorical=True, nthread=_THREADS
        )

    def _train(self, data: xgboost.DMatrix, rounds: int, stop: xgboost.DMatrix | None = None) -> xgboost.Booster:
        import xgboost

        parameters = {**self.parameters_, **_on(self.settings.device)}
        if stop is None:
            return xgboost.train(parameters, data, rounds, verbose_eval=False)
        return xgboost.train(
            parameters, data, rounds, evals=[(stop, "later")], early_stopping_rounds=_PATIENCE, verbose_eval=False
        )

    def probabilities(self, table: FeatureTable) -> np.ndarray:
        if not len(table):
            self.columns_.matrix(table)  # for what it raises
            return np.empty((0, len(self.settings.labels)))
        blocks = [self.booster_.predict(self._data(matrix)) for _, matrix in self._matrices(table)]
        predicted = np.concatenate(blocks).astype(np.float64)
        if predicted.ndim == 1:
            return np.column_stack([1 - predicted, predicted])
        return predicted / predicted.sum(axis=1, keepdims=True)

    def _matrices(self, table: FeatureTable) -> Iterator[tuple[slice, np.ndarray]]:
        """The matrix in blocks of rows, so that a large night's is never there as a whole.

        Raises:
            ModelUnavailable: the table lacks a feature.
        """
        for first in range(0, len(table), _ROWS):
            rows = slice(first, min(first + _ROWS, len(table)))
            yield rows, self.columns_.matrix(table.select(rows))

    def reasons(self, table: FeatureTable, probabilities: np.ndarray, top: int) -> list[list[str]]:
        if not len(table):
            return []
        chosen = probabilities.argmax(axis=1)
        names = self.columns_.names
        features = list(dict.fromkeys(names))
        spread = (np.array(names)[:, None] == np.array(features)[None, :]).astype(np.float64)
        describe = spoken(self.columns_, self.settings.masked, table)
        reasons: list[list[str]] = []
        for rows, shares in self._contributions(table, chosen):
            labels = [self.settings.labels[i] for i in chosen[rows]]
            reasons += weighty(shares @ spread, features, labels, top, partial(_from_row, describe, rows.start))
        return reasons

    def _contributions(self, table: FeatureTable, chosen: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Blocks of rows with what each column adds to the log-odds of the chosen label, shape (rows, columns); with
        several labels against their mean."""
        # a GPU walks the trees by itself, and many at once
        on_processor = not _on(self.settings.device)
        share_of = self._tabled() if on_processor and len(table) >= _TABLED else self._walked
        for rows, matrix in self._matrices(table):
            shares = share_of(matrix)
            if len(shares) == 1:
                yield rows, (shares[0] * np.where(chosen[rows] == 1, 1.0, -1.0)).T
            else:
                own = shares[chosen[rows], :, np.arange(shares.shape[2])]
                yield rows, own - shares.mean(axis=0, dtype=np.float64).T

    def _tabled(self) -> Callable[[np.ndarray], np.ndarray]:
        try:
            return TreeShares(self.booster_).of
        except ValueError:
            # trees too deep for tables
            return self._walked

    def _walked(self, matrix: np.ndarray) -> np.ndarray:
        """As `TreeShares.of`, by XGBoost; of few cases it takes less time than the tables take to make."""
        shares = self.booster_.predict(self._data(matrix), pred_contribs=True)[..., :-1]
        return np.asarray(shares.T[None] if shares.ndim == 2 else shares.transpose(1, 2, 0))

    def parameters(self) -> dict[str, Any]:
        return {**self.parameters_, "rounds": self.rounds_}

    def files(self) -> dict[str, bytes]:
        settings = {
            "labels": list(self.settings.labels),
            **{f"{kind}_dimensions": width for kind, width in self.settings.dimensions.items()},
            "masked": sorted(self.settings.masked),
            "rounds": self.rounds_,
            "parameters": self.parameters_,
            "columns": self.columns_.to_dict(),
        }
        return {
            _BOOSTER: bytes(self.booster_.save_raw("ubj")),
            _SETTINGS: model_files.to_json(settings),
            _REDUCTION: model_files.to_tensors(self.columns_.tensors()),
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], device: str = CPU) -> Self:
        import xgboost

        content = model_files.from_json(files, _SETTINGS)
        try:
            model = cls(
                EstimatorSettings(
                    labels=tuple(content["labels"]),
                    dimensions={kind: content.get(f"{kind}_dimensions", 0) for kind in MODALITIES},
                    masked=frozenset(content["masked"]),
                    device=device,
                )
            )
            model.rounds_, model.parameters_ = content["rounds"], content["parameters"]
            model.columns_ = Columns.from_parts(content["columns"], model_files.from_tensors(files, _REDUCTION))
            model.booster_ = xgboost.Booster({"nthread": _THREADS, **_on(device)})
            model.booster_.load_model(bytearray(model_files.named(files, _BOOSTER)))
        except (KeyError, TypeError, xgboost.core.XGBoostError) as problem:
            raise ModelUnavailable(f"the model's files do not fit together ({problem!r}); train it again") from problem
        return model


def _on(device: str) -> dict[str, str]:
    """What tells xgboost where to compute; nothing for the processor, which it takes by itself."""
    resolved = xgboost_device_name(device)
    return {} if resolved == CPU else {"device": resolved}


def _from_row(describe: Describe, first: int, name: str, rows: np.ndarray) -> list[str]:
    return describe(name, first + rows)
