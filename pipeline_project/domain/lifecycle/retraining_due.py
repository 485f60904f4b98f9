"""When a new challenger is due."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline_project.domain.core.nights import day_of, shifted


@dataclass(frozen=True)
class RetrainRule:
    """The rhythm of training.

    Attributes:
        every: the calendar rhythm; the first night that begins in each week (from Monday on) or month is due.
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
        night: its key; before `decide_from` nothing is due.
        last_trained: the last night before this one on which a model was trained; None if there is none.
        new_outcomes: outcomes that have become known since then (since ever, if there is none).
    """
    if night < rule.decide_from:
        return None
    if night == rule.decide_from:
        return "the first night that is decided"
    day, before = day_of(night), day_of(shifted(night, -1))
    if rule.every == "week" and day.isocalendar()[:2] != before.isocalendar()[:2]:
        return "the first night of the week"
    if rule.every == "month" and (day.year, day.month) != (before.year, before.month):
        return "the first night of the month"
    if last_trained is None:
        enough = new_outcomes >= rule.minimum_outcomes
        return f"no model yet, and {new_outcomes} outcomes are known" if enough else None
    if rule.after_outcomes is not None and new_outcomes >= rule.after_outcomes:
        return f"{new_outcomes} new outcomes since {last_trained}"
    return None
