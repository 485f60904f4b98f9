"""The terms on which a model comes to decide, keeps deciding, and stops: as a workflow's spec declares them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class GateTerms:
    """What a challenger must show on past nights before a person is asked to sign.

    Attributes:
        nights: settled nights that are replayed, the latest ones.
        fewest_nights: with fewer of them the gates cannot be evaluated.
        effective: smallest effective sample of the money's estimate.
        money: the challenger's cost minus the champion's, per case, must lie below this with 95 % confidence.
        ece: largest calibration error, over all cases and in every segment of enough cases.
        rates: a label may be expected more or less often than it occurs by this share of its rate, and by luck.
        slice_cases: a slice with fewer cases is not judged.
        slice_harm: a slice is harmed when its cost rises by more than this share of its amount, beyond the interval.
        load: largest share of the people's places that the challenger may ask for.
        flips: largest share of cases decided otherwise.
    """

    nights: int = 28
    fewest_nights: int = 7
    effective: int = 100
    money: float = 0.0
    ece: float = 0.05
    rates: float = 0.5
    slice_cases: int = 100
    slice_harm: float = 0.02
    load: float = 1.0
    flips: float = 0.3


@dataclass(frozen=True)
class RolloutTerms:
    """How a signed challenger comes to decide, and how it goes back.

    Attributes:
        shadow_nights: nights it scores beside the champion, without effect, before it decides anything.
        steps: share of cases that it decides in each step of the canary; after the last one it is champion.
        step_nights: nights of each step.
        error: largest share of wrong decisions among those made without people; None takes what the gates saw
            plus `slack`.
        alpha: chance of a false alarm over the whole life of a model.
        on_breach: who decides after a breach.
        hold_above: actions with more money that were not sent yet are held after a breach.
    """

    shadow_nights: int = 3
    steps: tuple[float, ...] = (0.05, 0.2, 0.5)
    step_nights: int = 2
    error: float | None = None
    slack: float = 0.02
    alpha: float = 0.01
    on_breach: Literal["review_all", "last_champion"] = "last_champion"
    hold_above: float = 0.0


@dataclass(frozen=True)
class DriftTerms:
    """When a night differs from what the champion learned from.

    Attributes:
        reference_nights: nights before the champion's own that are compared with.
        threshold: distance (Jensen-Shannon, 0 to 1, noise taken off) above which a signal is breached.
        breaches, of_nights: m breached nights of the last n ask for a training.
        cooldown_nights: after which nothing is asked again for this long.
        closes_policy: whether a breach also sends every case to people until a person opens the policy again.
    """

    reference_nights: int = 28
    threshold: float = 0.1
    breaches: int = 3
    of_nights: int = 5
    cooldown_nights: int = 14
    closes_policy: bool = False


@dataclass(frozen=True)
class PromiseTerms:
    """An error that decisions made without people promise to stay below.

    Attributes:
        error: largest share of them that may be wrong.
        confidence: with which the promise is kept.
    """

    error: float
    confidence: float = 0.95


@dataclass(frozen=True)
class SurgeTerms:
    """The plan for a night much larger than usual.

    Attributes:
        above: how many times the median of the last nights makes a surge.
        capacity: answers people can give that night, a number or a share; None leaves what a usual night has.
        wait_below: cases in doubt whose benefit from a person is below this are decided without one; those above it
            wait for a person, also beyond that night's places.
        sample: share of the cases below it that people look at all the same.
    """

    above: float = 3.0
    capacity: int | str | None = None
    wait_below: float = 0.0
    sample: float = 0.02
