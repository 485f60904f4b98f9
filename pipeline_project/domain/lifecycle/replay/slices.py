"""The same comparison by parts of the cases: fields with few values, and quarters of the amounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.core.schema import number_columns
from pipeline_project.domain.features.table import strings
from pipeline_project.domain.lifecycle.replay.decide import PastNights
from pipeline_project.domain.lifecycle.replay.findings import LabelRate, SliceResult
from pipeline_project.domain.lifecycle.replay.values import Judged
from pipeline_project.domain.measures.intervals import mean_intervals
from pipeline_project.domain.measures.probabilities import ece

MOST_VALUES = 12
ALL = "all cases"
#: Draws of the outcomes; of more cases than this luck makes next to nothing.
_DRAWS, _LUCKLESS = 60, 20_000


class SliceTerms(Protocol):
    """What is asked of `compare.ReplayTerms` here."""

    @property
    def sliced(self) -> tuple[str, ...]: ...

    @property
    def seed(self) -> int: ...


def error_of_automated(judged: Judged, where: np.ndarray) -> tuple[float, int]:
    """The share of decisions without people that were wrong, and how many there were; NaN if none."""
    alone = np.array([name != ASK_PERSON for name in judged.option], dtype=bool) & (judged.weight > 0) & where
    weight = judged.weight[alone]
    if not weight.sum():
        return float("nan"), int(alone.sum())
    return float(np.average(judged.wrong[alone], weights=weight)), int(alone.sum())


def rates_of(judged: Judged, labels: Sequence[str]) -> tuple[int, dict[str, LabelRate]]:
    """How many cases have probabilities and a known outcome, and each label's rate among them."""
    probabilities = judged.decided.probabilities
    scored = (judged.label >= 0) & (judged.weight > 0) & np.isfinite(probabilities).all(axis=1)
    if not scored.any():
        return 0, {}
    weight = judged.weight[scored]
    expected = np.average(probabilities[scored], axis=0, weights=weight)
    observed = np.average(judged.label[scored][:, None] == np.arange(len(labels)), axis=0, weights=weight)
    rates = {name: LabelRate(float(e), float(o)) for name, e, o in zip(labels, expected, observed, strict=True)}
    return int(scored.sum()), rates


def ece_of(
    judged: Judged, past: PastNights, segments: tuple[str, ...], enough: int, seed: int
) -> tuple[float, dict[str, float], dict[str, float]]:
    """Calibration error over all cases with a known outcome, and by `field=value` of segments with enough of them.

    The third is what luck alone would make of each, see `Side.ece_luck`.
    """
    probabilities = judged.decided.probabilities
    scored = (judged.label >= 0) & (judged.weight > 0) & np.isfinite(probabilities).all(axis=1)

    def of(where: np.ndarray) -> float:
        chosen = scored & where
        if not chosen.any():
            return float("nan")
        return ece(probabilities[chosen], judged.label[chosen], weights=judged.weight[chosen])

    def luck(where: np.ndarray) -> float:
        chosen = scored & where
        return luck_of(probabilities[chosen], judged.weight[chosen], seed) if chosen.any() else 0.0

    everywhere = np.ones(len(scored), dtype=bool)
    by_segment: dict[str, float] = {}
    by_luck = {ALL: luck(everywhere)}
    for field in segments:
        values = _values(past, field)
        for value in sorted({v for v in values if v is not None}):
            where = values == value
            if int((scored & where).sum()) >= enough:
                by_segment[f"{field}={value}"] = of(where)
                by_luck[f"{field}={value}"] = luck(where)
    return of(everywhere), by_segment, by_luck


def luck_of(probabilities: np.ndarray, weight: np.ndarray, seed: int) -> float:
    """The calibration error that exactly right probabilities stay below in 95 of 100 draws of the outcomes."""
    if len(probabilities) > _LUCKLESS:
        return 0.0
    draw = np.random.default_rng(seed)
    bounds = np.cumsum(probabilities, axis=1)
    last = probabilities.shape[1] - 1
    drawn = [np.minimum((draw.random((len(bounds), 1)) > bounds).sum(axis=1), last) for _ in range(_DRAWS)]
    return float(np.quantile([ece(probabilities, label, weights=weight) for label in drawn], 0.95))


def slices_of(
    past: PastNights,
    sides: tuple[Judged, Judged],
    case_estimates: np.ndarray,
    usable: np.ndarray,
    customers: np.ndarray,
    amount: str | None,
    terms: SliceTerms,
) -> tuple[SliceResult, ...]:
    """Every value of every field with few values, and the quarters of the amounts, in that order.

    Args:
        case_estimates: shape (cases,), each case's share in the estimate of the money.
        usable: which cases the estimate is of.
        amount: the field of the money at stake, or None.
    """
    amounts = number_columns(past.cases)[amount] if amount else np.full(len(case_estimates), np.nan)
    masks: dict[str, np.ndarray] = {}
    for field in terms.sliced:
        values = _values(past, field)
        there = sorted({v for v in values if v is not None})
        if len(there) <= MOST_VALUES:
            masks |= {f"{field}={value}": usable & (values == value) for value in there}
    if amount:
        masks |= _quarters(amount, amounts, usable)
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    intervals = mean_intervals(case_estimates, list(masks.values()), customers, terms.seed)
    return tuple(
        SliceResult(
            name=name,
            cases=int(mask.sum()),
            money=money,
            amount=float(np.nanmean(amounts[mask])) if np.isfinite(amounts[mask]).any() else float("nan"),
            error_before=error_of_automated(sides[0], mask)[0],
            error_after=error_of_automated(sides[1], mask)[0],
        )
        for (name, mask), money in zip(masks.items(), intervals, strict=True)
    )


def _quarters(name: str, amounts: np.ndarray, usable: np.ndarray) -> dict[str, np.ndarray]:
    there = usable & np.isfinite(amounts)
    if not there.any():
        return {}
    edges = np.unique(np.quantile(amounts[there], [0.25, 0.5, 0.75]))
    part = np.searchsorted(edges, amounts, side="left")
    return {f"{name}={_span(edges, i)}": there & (part == i) for i in range(len(edges) + 1)}


def _span(edges: np.ndarray, i: int) -> str:
    if i == 0:
        return f"up to {edges[0]:g}"
    return f"over {edges[i - 1]:g}" + (f" up to {edges[i]:g}" if i < len(edges) else "")


def _values(past: PastNights, field: str) -> np.ndarray:
    return np.asarray(strings(past.cases.column(field)), dtype=object)
