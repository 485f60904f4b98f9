"""When a new challenger is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal


@dataclass(frozen=True)
class RetrainRule:
    """The rhythm of training.

    Attributes:
        every: the calendar rhythm; the first night of each week (Monday) or month is due.
        after_outcomes: also due when this many outcomes have become known since the last training.
        minimum_outcomes: while nothing was trained, due as soon as this many are known.
        decide_from: the first decided night, always due.
    """

    every: Literal["never", "week", "month"]
    after_outcomes: int | None
    minimum_outcomes: int
    decide_from: str


def is_due(rule: RetrainRule, night: str, last_trained: str | None, new_outcomes: int) -> str | None:
    """Why a challenger is to be trained for `night`, or None. The same question always has the same answer.

    Args:
        night: ISO date; before `decide_from` nothing is due.
        last_trained: the last night before this one on which a model was trained; None if there is none.
        new_outcomes: outcomes that have become known since then (since ever, if there is none).
    """
    if night < rule.decide_from:
        return None
    if night == rule.decide_from:
        return "the first night that is decided"
    if rule.every == "week" and date.fromisoformat(night).weekday() == 0:
        return "the first night of the week"
    if rule.every == "month" and night.endswith("-01"):
        return "the first night of the month"
    if last_trained is None:
        enough = new_outcomes >= rule.minimum_outcomes
        return f"no model yet, and {new_outcomes} outcomes are known" if enough else None
    if rule.after_outcomes is not None and new_outcomes >= rule.after_outcomes:
        return f"{new_outcomes} new outcomes since {last_trained}"
    return None
