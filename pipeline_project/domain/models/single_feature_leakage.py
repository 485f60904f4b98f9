"""How well each feature alone tells each label from the rest: a leak gives itself away here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline_project.domain.features.table import FeatureTable

#: Rows looked at, spread evenly over the nights: enough for an AUC to two digits, and no slower on ten million.
_ROWS = 60_000
#: Stretches of time; the rate of a category's value in one is told by the others.
_STRETCHES = 5
#: A number with so few values may be a code, whose order says nothing.
_CODES = 50
#: Rows of a stretch that must have the label, and rows that must not, for its AUC to count.
_LEAST = 3


@dataclass(frozen=True)
class SingleFeatureFit:
    """One feature against one label: `auc` from 0.5, which is worthless, to 1, which separates."""

    feature: str
    label: str
    auc: float


def single_feature_fits(features: FeatureTable, labels: np.ndarray, names: Sequence[str]) -> list[SingleFeatureFit]:
    """How well each number and category alone tells each label from the rest.

    A number is ranked, missing values at either end; a category, and a number of few values, is taken for the rate of
    the label among other stretches of time, so that an id, whose values come once, tells nothing.

    Args:
        features: in any order of nights.
        labels: shape (n,), objects.
        names: the labels to look at; one that no row has, or every row, is left out.
    """
    order = np.argsort(features.nights.astype(str), kind="stable")
    order = order[np.linspace(0, len(order) - 1, min(len(order), _ROWS)).astype(int)] if len(order) else order
    picked, of = features.select(order), labels[order]
    stretch = np.arange(len(of)) * _STRETCHES // max(len(of), 1)
    fits = []
    for name in names:
        is_label = of == name
        if not 0 < is_label.sum() < len(is_label):
            continue
        for feature, ranks, codes in _columns(picked):
            aucs = [_auc(rank, is_label) for rank in ranks]
            aucs = [max(auc, 1 - auc) for auc in aucs]
            if codes is not None:
                aucs.append(_auc_of_codes(codes, is_label, stretch))
            fits.append(SingleFeatureFit(feature, name, max(aucs)))
    return fits


def _columns(features: FeatureTable) -> Iterator[tuple[str, list[np.ndarray], np.ndarray | None]]:
    """Each feature's ranks, if it has an order, and its codes, if it may be a category."""
    for i, name in enumerate(features.number_names):
        values = features.numbers[:, i]
        missing = np.isnan(values)
        ranks = [_ranked(np.where(missing, end, values)) for end in ((-np.inf, np.inf) if missing.any() else (0.0,))]
        codes, uniques = pd.factorize(values, use_na_sentinel=False)
        yield name, ranks, codes if len(uniques) <= _CODES else None
    for i, name in enumerate(features.category_names):
        yield name, [], pd.factorize(features.categories[:, i], use_na_sentinel=False)[0]


def _ranked(values: np.ndarray) -> np.ndarray:
    return pd.Series(values).rank(method="average").to_numpy()


def _auc(ranks: np.ndarray, is_label: np.ndarray) -> float:
    """Chance that a row with the label ranks above one without, ties counting half."""
    ours = int(is_label.sum())
    others = len(is_label) - ours
    return (float(ranks[is_label].sum()) - ours * (ours + 1) / 2) / (ours * others)


def _auc_of_codes(codes: np.ndarray, is_label: np.ndarray, stretch: np.ndarray) -> float:
    """Mean AUC over the stretches, each ranked by the rates that the others saw; half where none can be told.

    Each stretch is judged by itself: pooled, the small differences between the rates of what was never seen would
    order the stretches by their own labels.
    """
    size = int(codes.max(initial=0)) + 1
    rows, hits = np.bincount(codes, minlength=size), np.bincount(codes[is_label], minlength=size)
    aucs, weights = [], []
    for now in range(_STRETCHES):
        mine = stretch == now
        with_label = int(is_label[mine].sum())
        if min(with_label, int(mine.sum()) - with_label) < _LEAST:
            continue
        n = rows - np.bincount(codes[mine], minlength=size)
        k = hits - np.bincount(codes[mine & is_label], minlength=size)
        prior = k.sum() / max(n.sum(), 1)
        rate = (k + prior) / (n + 1)
        aucs.append(_auc(_ranked(rate[codes[mine]]), is_label[mine]))
        weights.append(int(mine.sum()))
    return float(np.average(aucs, weights=weights)) if aucs else 0.5
