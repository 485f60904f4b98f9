"""What a replay found, as data: gates judge it, pages show it, the ledger keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline_project.domain.measures.intervals import Interval


@dataclass(frozen=True)
class LabelRate:
    """How often a label is expected, by the mean of the probabilities, and how often it occurred."""

    expected: float
    observed: float


@dataclass(frozen=True)
class Side:
    """One of the two that were compared: what decided (`base`), or what wants to (`candidate`).

    Attributes:
        model_version: None where people decided everything.
        policy_hash: sha256 of the matrix and the terms it decided under.
        per_case: mean cost of a case with a known outcome, in the workflow's currency; cases that what decided asked
            people about and nobody has answered yet are left out, as in every figure of realised cost.
        asked: cases sent to people.
        wanted: cases that wanted a place with people, those that found none included.
        error: share of the decisions made without people that were not the cheapest for the true label; NaN if none.
        decided_alone: cases with a known outcome that were decided without people.
        ece: calibration error over all cases with a known outcome; NaN without probabilities.
        ece_by_segment: the same by `field=value`, of segments with enough cases.
        ece_luck: by the same names and `all cases`: the calibration error that a model whose probabilities are exactly
            right would stay below in 95 of 100 draws of the outcomes, because there are so few.
        rates: by label, over the `scored` cases, those with probabilities and a known outcome.
    """

    model_version: str | None
    policy_hash: str
    per_case: float
    asked: int
    wanted: int
    error: float
    decided_alone: int
    ece: float
    ece_by_segment: Mapping[str, float] = field(default_factory=dict)
    ece_luck: Mapping[str, float] = field(default_factory=dict)
    scored: int = 0
    rates: Mapping[str, LabelRate] = field(default_factory=dict)


@dataclass(frozen=True)
class SliceResult:
    """One value of one field.

    Attributes:
        name: `field=value`.
        money: candidate minus base, per case.
        amount: mean amount of the slice's cases, the measure of harm; NaN where cases have no amount.
        error_before, error_after: as `Side.error`.
    """

    name: str
    cases: int
    money: Interval
    amount: float
    error_before: float
    error_after: float


@dataclass(frozen=True)
class Flip:
    """One case that would have been decided otherwise."""

    night: str
    case_id: str
    before: str
    after: str
    label: str | None
    money: float | None


@dataclass(frozen=True)
class ReplayResult:
    """A range of past nights decided by a candidate, beside what decided them.

    Attributes:
        first, last: the range asked for; `nights` those that were replayed.
        immature: nights of them that are not settled yet; they count for load and flips, not for money and error.
        cases: all cases; `known` those with a known outcome in settled nights.
        money: candidate minus base per case, negative is better; None when `refused` says why there is none.
        effective: effective sample of the correction by observed outcomes.
        places: answers people could give in these nights.
        flips: how many cases went from one option to another, as `before -> after`.
        sample: some flipped cases to look at.
        seconds: how long it took; `encoded` is how many contents had to be encoded for it (none, if all is well).
    """

    workflow: str
    first: str
    last: str
    nights: tuple[str, ...]
    immature: tuple[str, ...]
    base: Side
    candidate: Side
    cases: int
    known: int
    money: Interval | None
    refused: str | None
    effective: float
    places: int
    flips: Mapping[str, int]
    sample: tuple[Flip, ...]
    slices: tuple[SliceResult, ...]
    seconds: float
    encoded: int = 0

    @property
    def flipped(self) -> int:
        return sum(self.flips.values())
