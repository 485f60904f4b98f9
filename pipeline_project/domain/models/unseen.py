"""Kinds of case that no label stands for: how little a case is like what each label was learned from.

What tells them is learned by leaving labels out: a model of the remaining labels meets cases of the ones left out,
which are strange to it as a new kind would be. A limit on the strangeness of later cases of known labels keeps false
alarms to the share that the spec allows; how many of the strange ones pass it is measured on labels that the weights
have not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.vectors.modalities import MODALITIES

#: References kept of each label, and how many of the nearest are looked at.
_PER_LABEL, _NEAREST, _NEIGHBOURS = 120, 3, 10
#: Cases compared with all references at a time.
_AT_ONCE = 2_000
#: Similarities are products of 16-bit vectors: rounded, a case is as strange alone as in its night.
_DECIMALS = 6
_TINY = 1e-12
#: Labels are left out in so many groups.
GROUPS = 5
#: With fewer labels nothing can be left out and learned about the rest.
FEWEST_LABELS = 4


@dataclass
class UnseenKinds:
    """How strange a case is, against a limit.

    Attributes:
        references: per kind of vector, rows drawn from training, float16 of shape (r, d), label by label.
        labels: index of the label of each reference, shape (r,).
        means, scales, weights: of the signals, shape (signals,).
        limit: strangeness above which a case goes to people.
    """

    references: dict[str, np.ndarray] = field(default_factory=dict)
    labels: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    means: list[float] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    limit: float = 0.0

    def remember(self, table: FeatureTable, y: np.ndarray, seed: int) -> UnseenKinds:
        """Draws references of every label; another model's weights and limit stay."""
        random, rows = np.random.default_rng(seed), []
        for label in np.unique(y).tolist():
            of = np.flatnonzero(y == label)
            rows.append(np.sort(random.choice(of, min(_PER_LABEL, len(of)), replace=False)))
        chosen = np.concatenate(rows) if rows else np.empty(0, np.int64)
        self.labels = y[chosen].astype(np.int64)
        self.references = {
            kind: vectors[chosen].astype(np.float16) for kind, vectors in table.vectors.items() if vectors.shape[1]
        }
        return self

    def signals(self, table: FeatureTable, probabilities: np.ndarray) -> np.ndarray:
        """What may tell a strange case, float64 of shape (n, signals): doubt, and distance from each kind's references.

        Args:
            probabilities: uncalibrated, of the model whose training is remembered here, shape (n, labels).
        """
        ordered = np.sort(probabilities, axis=1)
        logs = np.log(np.maximum(probabilities, _TINY))
        top = probabilities.argmax(axis=1)
        doubt = [
            -np.log(np.maximum(ordered[:, -1], _TINY)),
            -(np.log(np.maximum(ordered[:, -1], _TINY)) - np.log(np.maximum(ordered[:, -2], _TINY))),
            -(probabilities * logs).sum(axis=1),
        ]
        apart = [column for kind in self.references for column in self._apart(table, kind, top)]
        return np.column_stack([*doubt, *apart])

    def _apart(self, table: FeatureTable, kind: str, top: np.ndarray) -> list[np.ndarray]:
        """From one kind of vector: to the nearest reference, to the nearest of the label named, to the nearest label,
        how much nearer that is than the next one, and how few of the neighbours have the label named."""
        references = self.references[kind].astype(np.float64)
        columns = [np.ones(len(table)) for _ in range(5)]
        vectors = table.vectors.get(kind)
        if vectors is None or vectors.shape[1] != references.shape[1]:
            return columns
        cuts = np.flatnonzero(np.diff(self.labels)) + 1
        groups = np.split(np.arange(len(self.labels)), cuts)
        names = np.array([self.labels[group[0]] for group in groups])
        for start in range(0, len(table), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            alike = np.round(vectors[rows].astype(np.float64) @ references.T, _DECIMALS)
            of_label = np.column_stack([_mean_of_largest(alike[:, group], _NEAREST) for group in groups])
            ordered = np.sort(of_label, axis=1)
            own = np.where(names[None, :] == top[rows][:, None], of_label, -1.0).max(axis=1)
            nearest = np.argsort(-alike, axis=1, kind="stable")[:, :_NEIGHBOURS]
            columns[0][rows] = 1 - _mean_of_largest(alike, _NEIGHBOURS)
            columns[1][rows] = 1 - own
            columns[2][rows] = 1 - ordered[:, -1]
            columns[3][rows] = -(ordered[:, -1] - ordered[:, -2]) if ordered.shape[1] > 1 else 0.0
            columns[4][rows] = 1 - (self.labels[nearest] == top[rows][:, None]).mean(axis=1)
        return columns

    def weigh(self, signals: np.ndarray, strange: np.ndarray) -> UnseenKinds:
        """Learns what tells strange cases from the others."""
        from sklearn.linear_model import LogisticRegression

        self.means = signals.mean(axis=0).tolist()
        self.scales = np.maximum(signals.std(axis=0), _TINY).tolist()
        fitted = LogisticRegression(C=1.0, class_weight="balanced", max_iter=1_000).fit(self._scaled(signals), strange)
        self.weights = fitted.coef_[0].tolist()
        return self

    def _scaled(self, signals: np.ndarray) -> np.ndarray:
        return np.asarray((signals - np.array(self.means)) / np.array(self.scales))

    def strangeness(self, signals: np.ndarray) -> np.ndarray:
        """Of each case, shape (n,); the larger, the stranger."""
        return np.asarray(np.round(self._scaled(signals) @ np.array(self.weights), _DECIMALS))

    def bound(self, strangeness: np.ndarray, false_alarms: float) -> UnseenKinds:
        """Sets the limit so that this share of cases of known labels passes it."""
        self.limit = float(np.quantile(strangeness, 1 - false_alarms)) if len(strangeness) else 0.0
        return self

    def score(self, table: FeatureTable, probabilities: np.ndarray) -> np.ndarray:
        """0 to 1 within the limit, above 1 beyond it, shape (n,)."""
        return np.asarray(np.exp(np.clip(self.strangeness(self.signals(table, probabilities)) - self.limit, -50, 50)))

    def to_dict(self) -> dict[str, Any]:
        return {"means": self.means, "scales": self.scales, "weights": self.weights, "limit": self.limit}

    def tensors(self) -> dict[str, np.ndarray]:
        return {**self.references, "labels": self.labels}

    @classmethod
    def from_parts(cls, content: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> UnseenKinds:
        return cls(
            references={kind: tensors[kind] for kind in MODALITIES if kind in tensors},
            labels=tensors["labels"],
            means=list(content["means"]),
            scales=list(content["scales"]),
            weights=list(content["weights"]),
            limit=float(content["limit"]),
        )


def _mean_of_largest(values: np.ndarray, count: int) -> np.ndarray:
    """Of each row; of all where there are fewer."""
    if values.shape[1] <= count:
        return np.asarray(values.mean(axis=1))
    return np.asarray(np.sort(np.partition(values, -count, axis=1)[:, -count:], axis=1).mean(axis=1))


def left_out(labels: Sequence[int] | np.ndarray, seed: int) -> list[np.ndarray]:
    """Labels in `GROUPS` groups, each of which is left out of a training in turn."""
    shuffled = np.random.default_rng(seed).permutation(np.asarray(labels))
    return [group for group in np.array_split(shuffled, min(GROUPS, len(shuffled))) if len(group)]


@dataclass(frozen=True)
class LeftOutRound:
    """What a model without some labels made of later cases.

    Attributes:
        signals: shape (n, signals).
        strange: whether the case's label was left out.
    """

    signals: np.ndarray
    strange: np.ndarray


def caught(rounds: Sequence[LeftOutRound], false_alarms: float) -> dict[str, float]:
    """The share of cases of left-out labels that pass the limit, and of the others, by weights and a limit that have
    seen neither: each round is judged by what the other rounds taught."""
    strange, alarms = [], []
    for i, one in enumerate(rounds):
        others = [other for j, other in enumerate(rounds) if j != i]
        kinds = UnseenKinds().weigh(
            np.concatenate([other.signals for other in others]), np.concatenate([other.strange for other in others])
        )
        kinds.bound(np.concatenate([kinds.strangeness(o.signals[~o.strange]) for o in others]), false_alarms)
        passed = kinds.strangeness(one.signals) > kinds.limit
        strange.append(passed[one.strange])
        alarms.append(passed[~one.strange])
    return {
        "unseen_caught": float(np.concatenate(strange).mean()),
        "unseen_false_alarms": float(np.concatenate(alarms).mean()),
    }
