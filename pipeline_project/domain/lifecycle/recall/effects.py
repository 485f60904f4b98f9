"""Which decisions a recall touches, what would be decided instead, and what that means for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from pipeline_project.domain.core.nights import distance

Kind = Literal["model", "policy", "night"]
#: The data a decision was made on, or the night's data as they are now, repaired.
Data = Literal["decided", "repaired"]

#: Nights that are read and decided again together.
NIGHTS_AT_ONCE = 14


@dataclass(frozen=True)
class Touched:
    """A decision of the policy that stands and that a recall is about.

    Attributes:
        recalled: whether it was recalled before.
    """

    case_id: str
    epoch: int
    night: str
    option: str
    reason: str
    recalled: bool = False


@dataclass(frozen=True)
class Again:
    """A touched decision beside what would be decided now.

    Attributes:
        would_be: an option, or ask_person.
        other_actions: the option is the same, but what it would do is not: other money, another payload.
    """

    touched: Touched
    would_be: str
    other_actions: bool = False

    @property
    def flips(self) -> bool:
        return self.would_be != self.touched.option or self.other_actions


def beside(touched: Sequence[Touched], would_be: Mapping[str, str]) -> list[Again]:
    """Each touched decision with what would be decided now.

    Raises:
        KeyError: a case was not decided again.
    """
    return [Again(decision, would_be[decision.case_id]) for decision in touched]


def spans(nights: Sequence[str], at_once: int = NIGHTS_AT_ONCE) -> list[tuple[str, str]]:
    """First and last of the stretches in which nights are read, each no longer than `at_once` windows."""
    ordered = sorted(set(nights))
    if not ordered:
        return []
    stretches, first = [], ordered[0]
    for night, following in pairwise([*ordered, ""]):
        if not following or distance(first, following) >= at_once:
            stretches.append((first, night))
            first = following
    return stretches
