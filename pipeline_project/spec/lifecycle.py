"""The parts of a spec about a model's life: gates, rollout, drift, and what the policy promises."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline_project.domain.core.model_terms import DriftTerms, GateTerms, PromiseTerms, RolloutTerms, SurgeTerms
from pipeline_project.spec.base import Part, Portion, Share
from pipeline_project.spec.quantities import SHARE
from pipeline_project.spec.reviewing import OptionalCapacity


class GatesSpec(Part):
    """What a challenger must show on past nights before a person is asked to sign."""

    nights: int = Field(GateTerms.nights, ge=1, description="Mature nights that are replayed, the latest ones.")
    fewest_nights: int = Field(
        GateTerms.fewest_nights, ge=1, description="With fewer of them the gates cannot be evaluated, and fail."
    )
    effective: int = Field(GateTerms.effective, ge=2, description="Smallest effective sample of the money's estimate.")
    money: float = Field(
        GateTerms.money,
        description="The challenger's cost minus the champion's, per case, must lie below this with 95 % confidence.",
    )
    ece: Share = Field(GateTerms.ece, description="Largest calibration error, over all cases and in every segment.")
    rates: Portion = Field(
        GateTerms.rates,
        ge=0,
        description="A label may be expected more or less often than it occurs by this share of its rate.",
    )
    slice_cases: int = Field(GateTerms.slice_cases, ge=10, description="A slice with fewer cases is not judged.")
    slice_harm: Portion = Field(
        GateTerms.slice_harm,
        ge=0,
        description="A slice is harmed when its cost rises by more than this share of its amounts.",
    )
    load: Portion = Field(
        GateTerms.load, ge=0, description="Largest share of people's places that the challenger may ask for."
    )
    flips: Share = Field(GateTerms.flips, description="Largest share of cases that may be decided otherwise.")

    @property
    def terms(self) -> GateTerms:
        return GateTerms(**self.model_dump())


class RolloutSpec(Part):
    """How a signed challenger comes to decide, and how it goes back."""

    shadow_nights: int = Field(
        RolloutTerms.shadow_nights, ge=0, description="Nights it scores beside the champion, without effect."
    )
    steps: tuple[Annotated[float, SHARE, Field(gt=0, lt=1)], ...] = Field(
        RolloutTerms.steps, description="Share of cases it decides in each step; after the last step it is champion."
    )
    step_nights: int = Field(RolloutTerms.step_nights, ge=1, description="Nights of each step.")
    error: Share | None = Field(
        None,
        description="Largest share of wrong decisions among those made without people; without it, what the gates saw "
        "plus `slack`.",
    )
    slack: Share = Field(RolloutTerms.slack, description="See `error`.")
    alpha: Portion = Field(
        RolloutTerms.alpha, gt=0, lt=0.5, description="Chance of a false alarm over the whole life of a model."
    )
    on_breach: Literal["review_all", "last_champion"] = Field(
        RolloutTerms.on_breach, description="Who decides after a breach: people alone, or the champion before."
    )
    hold_above: float = Field(
        RolloutTerms.hold_above,
        ge=0,
        description="After a breach, actions with more money that were not sent yet are held.",
    )

    @property
    def terms(self) -> RolloutTerms:
        return RolloutTerms(**self.model_dump())


class DriftSpec(Part):
    """When a night differs from what the champion learned from, and what follows."""

    reference_nights: int = Field(
        DriftTerms.reference_nights, ge=2, description="Nights before the champion's own that are compared with."
    )
    threshold: Share = Field(
        DriftTerms.threshold,
        description="Jensen-Shannon distance, sampling noise taken off, above which a signal is breached.",
    )
    breaches: int = Field(DriftTerms.breaches, ge=1, description="This many breached nights ...")
    of_nights: int = Field(DriftTerms.of_nights, ge=1, description="... of the last so many ask for a training.")
    cooldown_nights: int = Field(
        DriftTerms.cooldown_nights, ge=0, description="After which nothing is asked again for this long."
    )
    closes_policy: bool = Field(
        DriftTerms.closes_policy,
        description="A breach also sends every case to people, until a person opens the policy again.",
    )

    @property
    def terms(self) -> DriftTerms:
        return DriftTerms(**self.model_dump())


class PromiseSpec(Part):
    """An error that decisions made without people promise to stay below; what cannot keep it goes to people."""

    error: Annotated[float, SHARE, Field(gt=0, lt=1)] = Field(description="Largest share of them that may be wrong.")
    confidence: Annotated[float, SHARE, Field(ge=0.5, lt=1)] = Field(
        PromiseTerms.confidence, description="How surely it is kept."
    )

    @property
    def terms(self) -> PromiseTerms:
        return PromiseTerms(**self.model_dump())


class SurgeSpec(Part):
    """The plan for a night much larger than usual: what waits, and what is sampled."""

    above: float = Field(SurgeTerms.above, gt=1, description="Times the median of the last nights that make a surge.")
    capacity: OptionalCapacity = Field(
        None, description="Answers that night: a number, or a share; without it those of a usual night."
    )
    wait_below: float = Field(
        SurgeTerms.wait_below,
        ge=0,
        description="Cases in doubt whose benefit from a person is below this are decided without one; the others wait "
        "for a person, also beyond that night's places.",
    )
    sample: Share = Field(
        SurgeTerms.sample, description="Share of the cases below `wait_below` that people look at all the same."
    )

    @property
    def terms(self) -> SurgeTerms:
        return SurgeTerms(**self.model_dump())


class PolicySpec(Part):
    """What bounds the policy beside costs and capacity."""

    promise: PromiseSpec | None = Field(None, description="A promised error of decisions made without people.")
    exploration_budget: float | None = Field(
        None, ge=0, description="Most money per night that the random share may cost beyond the cheapest decision."
    )
    surge: SurgeSpec | None = Field(None, description="The plan for a night much larger than usual.")
