"""How far people agree when a case is shown a second time, unmarked."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline_project.domain.measures.intervals import share_interval


@dataclass(frozen=True)
class Repeat:
    """One case answered twice: first by `first_by`, then, without knowing that answer, by `second_by`."""

    first_by: str
    second_by: str
    first: str
    second: str


@dataclass(frozen=True)
class Agreement:
    """How far two reviewers agree, or one with herself where both names are the same.

    Attributes:
        reviewers: in alphabetical order.
        cases, agreed: how many were answered twice; how many the same way.
        share, share_low, share_high: of cases answered the same way, with the exact 95 % interval.
        kappa, kappa_low, kappa_high: Cohen's kappa, -1 to 1, with the same interval carried over, the reviewers'
            shares of each answer taken as known; None where everybody always gave one and the same answer.
    """

    reviewers: tuple[str, str]
    cases: int
    agreed: int
    share: float
    share_low: float
    share_high: float
    kappa: float | None
    kappa_low: float | None
    kappa_high: float | None


def is_repeated(workflow: str, case_id: str, epoch: int, share: float) -> bool:
    """Whether an answered case is shown again; it depends on the case and the decision alone, never on the answer."""
    digest = hashlib.sha256(f"repeat/{workflow}/{case_id}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 < share


def agreements(repeats: Iterable[Repeat]) -> list[Agreement]:
    """One row per pair of reviewers that met, by name."""
    pairs: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for repeat in repeats:
        if repeat.first_by <= repeat.second_by:
            pairs.setdefault((repeat.first_by, repeat.second_by), []).append((repeat.first, repeat.second))
        else:
            pairs.setdefault((repeat.second_by, repeat.first_by), []).append((repeat.second, repeat.first))
    return [_agreement(names, pairs[names]) for names in sorted(pairs)]


def _agreement(names: tuple[str, str], answers: Sequence[tuple[str, str]]) -> Agreement:
    cases, agreed = len(answers), sum(one == other for one, other in answers)
    low, high = share_interval(agreed, cases)
    by_chance = chance_agreement(answers)
    kappas = [
        None if by_chance >= 1.0 else (share - by_chance) / (1.0 - by_chance) for share in (agreed / cases, low, high)
    ]
    return Agreement(names, cases, agreed, agreed / cases, low, high, kappas[0], _floored(kappas[1]), kappas[2])


def _floored(kappa: float | None) -> float | None:
    return None if kappa is None else max(-1.0, kappa)


def chance_agreement(answers: Sequence[tuple[str, str]]) -> float:
    """The share of cases on which two people would agree who answer as often as these, but at random."""
    firsts, seconds = Counter(one for one, _ in answers), Counter(other for _, other in answers)
    return sum(count * seconds[answer] for answer, count in firsts.items()) / len(answers) ** 2
