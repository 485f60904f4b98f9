"""The terms on which a model comes to decide, keeps deciding, and stops: as a workflow's spec declares them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from pipeline_project.domain.core.quantities import SHARE, OptionalCapacity, Portion, Share


@dataclass(frozen=True)
class GateTerms:
    """What a challenger must show on past nights before a person is asked to sign."""

    nights: Annotated[int, Field(ge=1, description="Mature nights that are replayed, the latest ones.")] = 28
    fewest_nights: Annotated[
        int, Field(ge=1, description="With fewer of them the gates cannot be evaluated, and fail.")
    ] = 7
    effective: Annotated[int, Field(ge=2, description="Smallest effective sample of the money's estimate.")] = 100
    money: Annotated[
        float,
        Field(
            description="The challenger's cost minus the champion's, per case, must lie below this with 95 % "
            "confidence."
        ),
    ] = 0.0
    ece: Annotated[Share, Field(description="Largest calibration error, over all cases and in every segment.")] = 0.05
    rates: Annotated[
        Portion,
        Field(ge=0, description="A label may be expected more or less often than it occurs by this share of its rate."),
    ] = 0.5
    slice_cases: Annotated[int, Field(ge=10, description="A slice with fewer cases is not judged.")] = 100
    slice_harm: Annotated[
        Portion,
        Field(ge=0, description="A slice is harmed when its cost rises by more than this share of its amounts."),
    ] = 0.02
    load: Annotated[
        Portion, Field(ge=0, description="Largest share of people's places that the challenger may ask for.")
    ] = 1.0
    flips: Annotated[Share, Field(description="Largest share of cases that may be decided otherwise.")] = 0.3


@dataclass(frozen=True)
class RolloutTerms:
    """How a signed challenger comes to decide, and how it goes back."""

    shadow_nights: Annotated[int, Field(ge=0, description="Nights it scores beside the champion, without effect.")] = 3
    steps: Annotated[
        tuple[Annotated[float, SHARE, Field(gt=0, lt=1)], ...],
        Field(description="Share of cases it decides in each step; after the last step it is champion."),
    ] = (0.05, 0.2, 0.5)
    step_nights: Annotated[int, Field(ge=1, description="Nights of each step.")] = 2
    error: Annotated[
        Share | None,
        Field(
            description="Largest share of wrong decisions among those made without people; without it, what the gates "
            "saw plus `slack`."
        ),
    ] = None
    slack: Annotated[Share, Field(description="See `error`.")] = 0.02
    alpha: Annotated[
        Portion, Field(gt=0, lt=0.5, description="Chance of a false alarm over the whole life of a model.")
    ] = 0.01
    on_breach: Annotated[
        Literal["review_all", "last_champion"],
        Field(description="Who decides after a breach: people alone, or the champion before."),
    ] = "last_champion"
    hold_above: Annotated[
        float,
        Field(ge=0, description="After a breach, actions with more money that were not sent yet are held."),
    ] = 0.0


@dataclass(frozen=True)
class DriftTerms:
    """When a night differs from what the champion learned from, and what follows."""

    reference_nights: Annotated[
        int, Field(ge=2, description="Nights before the champion's own that are compared with.")
    ] = 28
    threshold: Annotated[
        Share,
        Field(description="Jensen-Shannon distance, sampling noise taken off, above which a signal is breached."),
    ] = 0.1
    breaches: Annotated[int, Field(ge=1, description="This many breached nights ...")] = 3
    of_nights: Annotated[int, Field(ge=1, description="... of the last so many ask for a training.")] = 5
    cooldown_nights: Annotated[int, Field(ge=0, description="After which nothing is asked again for this long.")] = 14
    closes_policy: Annotated[
        bool,
        Field(description="A breach also sends every case to people, until a person opens the policy again."),
    ] = False


@dataclass(frozen=True)
class PromiseTerms:
    """An error that decisions made without people promise to stay below; what cannot keep it goes to people."""

    error: Annotated[float, SHARE, Field(gt=0, lt=1, description="Largest share of them that may be wrong.")]
    confidence: Annotated[float, SHARE, Field(ge=0.5, lt=1, description="How surely it is kept.")] = 0.95


@dataclass(frozen=True)
class SurgeTerms:
    """The plan for a night much larger than usual: what waits, and what is sampled."""

    above: Annotated[float, Field(gt=1, description="Times the median of the last nights that make a surge.")] = 3.0
    capacity: Annotated[
        OptionalCapacity,
        Field(description="Answers that night: a number, or a share; without it those of a usual night."),
    ] = None
    wait_below: Annotated[
        float,
        Field(
            ge=0,
            description="Cases in doubt whose benefit from a person is below this are decided without one; the others "
            "wait for a person, also beyond that night's places.",
        ),
    ] = 0.0
    sample: Annotated[
        Share, Field(description="Share of the cases below `wait_below` that people look at all the same.")
    ] = 0.02


@dataclass(frozen=True, kw_only=True)
class PolicyBounds:
    """What bounds the policy beside costs and capacity."""

    promise: Annotated[PromiseTerms | None, Field(description="A promised error of decisions made without people.")] = (
        None
    )
    exploration_budget: Annotated[
        float | None,
        Field(ge=0, description="Most money per night that the random share may cost beyond the cheapest decision."),
    ] = None
    surge: Annotated[SurgeTerms | None, Field(description="The plan for a night much larger than usual.")] = None
