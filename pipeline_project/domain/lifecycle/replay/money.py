"""What a candidate would have cost beside what decided: estimated from the outcomes that are known, with an interval.

Where the truth of a case is learned whatever was decided, the difference is simply counted. Where it is learned after
some options only, the cases that the random share sent to people stand for those whose truth never came: each counts
as many times as one over the chance with which it was drawn, and with what both sides do where it is not drawn. The
model's own expectation stands in for the rest, so that the estimate is right when either the chances or the
probabilities are (doubly robust).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline_project.domain.core.reasons import ASK_PERSON, Reason, Trait
from pipeline_project.domain.measures.maturity import truth_learned


@dataclass(frozen=True)
class Estimate:
    """Candidate minus base over some cases.

    Attributes:
        each: shape (cases,), each case's share in the estimate, in the workflow's currency.
        effective: (sum w)^2 / sum w^2 of the observed cases' weights.
        refused: why no figure may be given, or None.
    """

    each: np.ndarray
    effective: float
    refused: str | None


def without_the_draw(
    option: Sequence[str],
    reason: Sequence[str],
    alone: Sequence[str | None],
    benefit: np.ndarray,
    night: Sequence[str],
) -> list[str]:
    """What each case gets where the random share does not draw it.

    A drawn case stands for many like it that were not drawn, so what counts of it is what those get.

    Args:
        option, reason: what was decided, and why.
        alone: the option that each case gets without people; None where there is none.
        benefit: shape (cases,), what a person's answer was expected to save; NaN where it is not known.
        night: of each case: places are shared within one.
    """
    frame = pd.DataFrame({"night": list(night), "reason": list(reason), "benefit": benefit})
    away = frame[frame["reason"].isin(Reason.having(Trait.TURNED_AWAY))].groupby("night")["benefit"].max()
    # a case in doubt has a place unless one with a larger benefit was turned away that night
    turned = frame["night"].map(away).fillna(0.0).to_numpy(dtype=float)
    asked = np.nan_to_num(benefit, nan=-np.inf) > np.maximum(turned, 0.0)
    return [
        (ASK_PERSON if asks or single is None else single) if why == Reason.RANDOM_SHARE.value else chosen
        for chosen, why, single, asks in zip(option, reason, alone, asked, strict=True)
    ]


def chances_of_truth(undrawn: Sequence[str], drawn: np.ndarray, learned_after: Collection[str]) -> np.ndarray:
    """With what chance the truth of each case was to be learned.

    Args:
        undrawn: as `without_the_draw`, of what decided.
        drawn: shape (cases,), the chance of being drawn for the random share; NaN where it is not known.
        learned_after: options after which the truth is learned; empty means after each of them.

    Returns:
        Shape (cases,): 1 where nothing is left to chance, 0 where the truth never comes.
    """
    if not learned_after:
        return np.ones(len(undrawn))
    return np.where(truth_learned(undrawn, learned_after), 1.0, np.nan_to_num(drawn, nan=0.0))


def over_the_draw(chosen: np.ndarray, asked: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """What a case costs on average over being drawn or not.

    Args:
        chosen: shape (cases, labels), the cost where it is not drawn; `asked` where it is.
        drawn: shape (cases,), the chance of it; NaN counts as none.
    """
    chance = np.nan_to_num(drawn, nan=0.0)[:, None]
    return np.asarray(chance * asked + (1 - chance) * chosen)


def doubly_robust(
    difference: np.ndarray,
    expected: np.ndarray,
    label: np.ndarray,
    chance: np.ndarray,
    fewest: float,
    share: float = 1.0,
) -> Estimate:
    """Candidate minus base for each case: the model's expectation, corrected by the outcomes there are.

    Args:
        difference: shape (cases, labels), candidate minus base for each label that may be true.
        expected: shape (cases, labels), probabilities that stand in where the truth is not known; rows sum to one.
        label: shape (cases,), index of the true label; -1 where it is not known.
        chance: shape (cases,), as `chances_of_truth`.
        fewest: smallest effective sample that gives a figure.
        share: of the outcomes that will be learned, those that are in by now; the others are late by chance.
    """
    guess = np.einsum("cl,cl->c", expected, difference)
    seen = (label >= 0) & (chance > 0)
    weight = np.where(seen, 1 / np.where(chance > 0, chance * share, 1.0), 0.0)
    observed = difference[np.arange(len(label)), np.maximum(label, 0)]
    estimates = guess + weight * np.where(seen, observed - guess, 0.0)
    effective = effective_sample(weight)
    return Estimate(estimates, effective, _refused(difference, seen, chance, effective, fewest))


def effective_sample(weight: np.ndarray) -> float:
    """How many equally weighted cases would say as much: (sum w)^2 / sum w^2."""
    squares = float((weight**2).sum())
    return float(weight.sum()) ** 2 / squares if squares else 0.0


def _refused(
    difference: np.ndarray, seen: np.ndarray, chance: np.ndarray, effective: float, fewest: float
) -> str | None:
    if not seen.any():
        return "no outcome of these nights is known yet; replay later nights again when their outcomes are in"
    differs = np.abs(difference).max(axis=1) > 0
    by_chance = chance < 1
    blind = int((differs & by_chance).sum())
    if blind and not (seen & by_chance).any():
        return (
            f"{blind:,} cases would be decided otherwise whose truth is never learned: none of their kind was sent to "
            "people at random; raise review.exploration and replay nights decided since"
        )
    if effective < fewest:
        return (
            f"the known outcomes weigh as much as {effective:,.0f} cases and {fewest:,.0f} are needed; replay more "
            "nights, or wait for their outcomes"
        )
    return None
