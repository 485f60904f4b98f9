"""A challenger beside the champion, on cases whose truth is known by now: does it do worse?

Both are asked what they would have decided of the same cases: the cheapest option, or a person where that pays. The
capacity of the people is left out, because it is shared by the night and would mix the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline_project.domain.core.costs import PolicyTerms, expected_costs
from pipeline_project.domain.core.schema import CASE_ID
from pipeline_project.domain.lifecycle.rollout.judgeable import Streams, Truth, wrong
from pipeline_project.domain.lifecycle.rollout.watching import MeanAbove
from pipeline_project.domain.measures.realised_cost import always_right

#: Ways in which a challenger can lose: two streams of cases, in money and in errors; alpha is shared between them.
WAYS = 4


@dataclass(frozen=True)
class RolloutComparison:
    """A challenger beside the champion by now.

    Attributes:
        pairs: cases that both looked at and whose truth is known.
        worse_by: what the challenger would have cost more, per case, in the workflow's currency; NaN without a pair.
        e_money, e_error: the stakes of the bets that it costs more, that it errs more, at their highest.
    """

    pairs: int
    worse_by: float
    e_money: float
    e_error: float


def compare_rollout(
    truth: Streams,
    champion: Mapping[str, Sequence[float] | None],
    challenger: Mapping[str, Sequence[float] | None],
    terms: PolicyTerms,
    alpha: float,
) -> RolloutComparison:
    """Whether the challenger does worse, with at most the chance `alpha` of saying so wrongly, however often asked.

    Args:
        truth: cases of the rollout's nights, see `auditing.streams`.
        champion, challenger: probabilities by case; None where the model may not decide it, missing where it never
            looked at it.
    """
    differences = [_differences(stream, champion, challenger, terms) for stream in (truth.sample, truth.matured)]
    bets = [(_bet(money, alpha), _bet(errors, alpha)) for money, errors, _ in differences]
    pairs = sum(len(money) for money, _, _ in differences)
    lost = sum(total for _, _, total in differences)
    return RolloutComparison(
        pairs=pairs,
        worse_by=lost / pairs if pairs else float("nan"),
        e_money=max(money.highest for money, _ in bets),
        e_error=max(errors.highest for _, errors in bets),
    )


def _bet(differences: np.ndarray, alpha: float) -> MeanAbove:
    bet = MeanAbove(alpha / WAYS)
    bet.update(differences)
    return bet


def _differences(
    truth: Truth,
    champion: Mapping[str, Sequence[float] | None],
    challenger: Mapping[str, Sequence[float] | None],
    terms: PolicyTerms,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Of each pair in order: the challenger's cost minus the champion's over the largest there could be by then, the
    same of errors, and the sum in money."""
    ids = truth.rows[CASE_ID].tolist()
    both = np.array([case in champion and case in challenger for case in ids], dtype=bool)
    ids = [case for case, there in zip(ids, both, strict=True) if there]
    cost, true_cost = truth.cost[both], truth.true_cost[both]
    (cost_now, wrong_now), (cost_then, wrong_then) = (
        _of_one(ids, side, cost, true_cost, terms) for side in (champion, challenger)
    )
    money = cost_then - cost_now
    # the scale is known before the truth is: what options and people could cost, over the cases until then
    reach = cost.max(axis=(1, 2), initial=0.0) - cost.min(axis=(1, 2), initial=0.0) + terms.review_cost
    scale = np.maximum.accumulate(np.maximum(reach, 1e-12)) if len(reach) else reach
    return np.clip(money / scale, -1, 1), wrong_then.astype(float) - wrong_now, float(money.sum())


def _of_one(
    ids: Sequence[str],
    scored: Mapping[str, Sequence[float] | None],
    cost: np.ndarray,
    true_cost: np.ndarray,
    terms: PolicyTerms,
) -> tuple[np.ndarray, np.ndarray]:
    """What one model's decisions would have cost, and which of those without people were wrong."""
    labels = cost.shape[2]
    given = [scored[case] for case in ids]
    probability = np.array([[np.nan] * labels if p is None else list(p) for p in given], dtype=float)
    probability = probability.reshape(len(ids), labels)
    expected = expected_costs(probability, cost)
    finite = np.isfinite(expected).all(axis=1)
    open_to_it = np.where(np.array(terms.denies), np.inf, np.where(finite[:, None], expected, 0.0))
    chosen = open_to_it.argmin(axis=1) if len(ids) else np.zeros(0, dtype=int)
    person = terms.review_cost + np.einsum("cl,cl->c", np.nan_to_num(probability), cost.min(axis=1))
    asks = ~finite | (open_to_it.min(axis=1, initial=np.inf) > person)
    rows = np.arange(len(ids))
    paid = np.where(asks, always_right(true_cost, terms.review_cost), true_cost[rows, chosen])
    return paid, wrong(true_cost, chosen) & ~asks
