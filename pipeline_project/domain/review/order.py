"""Which task comes next: what a person's answer saves, what is due, what is learned, and the random share.

Everything is money in the workflow's currency, so that the parts add up. A task's priority is stored when it opens and
changes only when it crosses one of a few levels towards its due time, so that an index keeps 100,000 tasks in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline_project.domain.core.reasons import Reason


@dataclass(frozen=True)
class OrderWeights:
    """What a task is worth coming first, in units of one answer's cost (`review.cost`, at least 1).

    Attributes:
        information: of an answer to a case of which the model knows nothing at all.
        random_share: of a case drawn at random; it judges the policy, so it must not starve behind the rest.
        due_hours: hours left at which a task becomes more urgent, falling; the last one is the due time itself.
        due_worth: what each of these levels adds, all of them together.
    """

    information: float = 1.0
    random_share: float = 2.0
    due_hours: tuple[float, ...] = (48.0, 24.0, 8.0, 2.0, 0.0)
    due_worth: tuple[float, ...] = (0.5, 2.0, 6.0, 20.0, 100.0)


WEIGHTS = OrderWeights()


@dataclass(frozen=True)
class Worth:
    """What the order of a task rests on.

    Attributes:
        why: why the case is here, a `policy.Reason` value.
        benefit: money a person's answer saves, or None when no model looked.
        information: 0 to 1, how little the model knows.
        level: due levels passed, 0 to `len(weights.due_hours)`.
    """

    why: str
    benefit: float | None
    information: float
    level: int


def due_level(hours_left: float, weights: OrderWeights = WEIGHTS) -> int:
    """How many of the due levels a task has passed."""
    return sum(hours_left <= hours for hours in weights.due_hours)


def due_worth(level: int, cost: float, weights: OrderWeights = WEIGHTS) -> float:
    """What a due level adds to a priority, in money."""
    return unit(cost) * (weights.due_worth[level - 1] if level else 0.0)


def priority(worth: Worth, cost: float, weights: OrderWeights = WEIGHTS) -> float:
    """A task's place in the queue, in money; the highest comes first.

    Args:
        cost: of one answer, in the workflow's currency.
    """
    drawn = weights.random_share if worth.why == Reason.RANDOM_SHARE else 0.0
    learning = unit(cost) * (weights.information * worth.information + drawn)
    return max(0.0, worth.benefit or 0.0) + learning + due_worth(worth.level, cost, weights)


def reason(worth: Worth, currency: str, weights: OrderWeights = WEIGHTS) -> str:
    """The sentence that explains a task's place, the weightiest parts in a fixed order."""
    parts: list[str] = []
    if worth.benefit is None:
        parts.append("no model could say what an answer saves")
    elif worth.benefit > 0:
        parts.append(f"an answer saves about {worth.benefit:,.2f} {currency}")
    if worth.level:
        parts.append(_due(worth.level, weights))
    if worth.why == Reason.RANDOM_SHARE:
        parts.append("drawn at random, to judge the policy")
    if worth.information >= 0.5 and worth.benefit is not None:
        parts.append("the model is unsure, so it learns from the answer")
    return _sentence(parts or ["nothing presses"])


def _due(level: int, weights: OrderWeights) -> str:
    hours = weights.due_hours[level - 1]
    return f"due within {hours:g} hours" if hours else "past its due time"


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def unit(cost: float) -> float:
    """Money that one unit of the weights stands for: a workflow whose answers cost nothing still has an order."""
    return max(cost, 1.0)
