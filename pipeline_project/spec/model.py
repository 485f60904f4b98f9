"""The parts of a spec that say how a case is scored and when a model is trained again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, create_model

from pipeline_project.domain.core.quantities import Portion, Seconds, Share
from pipeline_project.domain.models import ESTIMATORS
from pipeline_project.domain.models.training import TrainingPlan
from pipeline_project.domain.models.training_guards import GuardTerms
from pipeline_project.domain.vectors.modalities import MODALITIES
from pipeline_project.spec.base import Part


class HistorySpec(Part):
    """What is known of an entity's past at the time of a case: how often, with which outcomes, at what amounts."""

    by: str = Field(description="A field: the customer, the item, the shop.")
    nights: int | None = Field(None, ge=1, description="Look back this many nights; without it, all of them.")


class RetrainSpec(Part):
    """When a new challenger is trained."""

    every: Literal["never", "week", "month"] = Field("month", description="The calendar rhythm.")
    after_outcomes: int | None = Field(None, ge=1, description="Also when this many new outcomes are known.")
    minimum_outcomes: int = Field(
        TrainingPlan.minimum_outcomes, ge=20, description="With fewer, nothing is trained and people decide."
    )
    minimum_per_label: int = Field(
        TrainingPlan.minimum_per_label, ge=1, description="With fewer of one label, nothing is trained."
    )


class UnseenSpec(Part):
    """Cases of a kind that no label stands for go to people."""

    false_alarms: Annotated[Share, Field(gt=0, le=0.5)] = Field(
        0.05,
        description="Share of cases of known labels that may be taken for such a kind. The larger, the more strange "
        "ones are caught: the model's card says how many, measured on labels left out of its training in turn.",
    )


if TYPE_CHECKING:
    EstimatorName = str
else:
    EstimatorName = Literal[tuple(ESTIMATORS)]


class _Estimation(Part):
    """What learns, from which fields."""

    estimator: EstimatorName = Field(
        next(iter(ESTIMATORS)),
        description="; ".join(f"{name}: {kind.ABOUT}" for name, kind in ESTIMATORS.items()) + ".",
    )
    challengers: tuple[EstimatorName, ...] = Field(
        (), description="Further estimators that are trained beside `estimator`; each is a challenger of its own."
    )
    segments: tuple[str, ...] = Field(
        (), description="Categories by whose values probabilities are calibrated, and figures are shown."
    )
    search_seconds: Seconds = Field(
        0,
        ge=0,
        description="Longest search for better hyper-parameters; 0 takes the ones that come with the estimator.",
    )
    single_field_limit: Annotated[float, Field(gt=0.5, le=1)] = Field(
        GuardTerms.single_field_limit,
        description="A field that alone separates the labels with a larger AUC is taken for a leak.",
    )
    features: tuple[str, ...] = Field((), description="Only these fields; empty means every feature.")
    history: tuple[HistorySpec, ...] = Field((), description="Entities whose past counts.")
    basket: tuple[tuple[str, ...], ...] = Field(
        (), description="Groups of fields that make one basket within a night, for instance [customer, time]."
    )


if TYPE_CHECKING:
    _Reduction = _Estimation
else:
    _Reduction = create_model(
        "_Reduction",
        __base__=_Estimation,
        **{
            f"{name}_dimensions": (int, Field(modality.dimensions, ge=0, description=modality.reduced))
            for name, modality in MODALITIES.items()
        },
    )


class ModelSpec(_Reduction):
    """How a case is scored."""

    training_nights: int | None = Field(None, ge=1, description="Nights looked back in training; all if not given.")
    calibration_share: Portion = Field(
        TrainingPlan.calibration_share,
        ge=0.05,
        le=0.9,
        description="The latest share of the outcomes, kept for calibration.",
    )
    seed: int = Field(
        TrainingPlan.seed, ge=0, description="Starts every random draw, so that a training can be repeated."
    )
    unseen: UnseenSpec | None = Field(
        None,
        exclude_if=lambda unseen: unseen is None,
        description="Looks for kinds of case that no label stands for; needs four labels or more.",
    )
    retrain: RetrainSpec = Field(default_factory=RetrainSpec, description="When to train again.")

    @property
    def dimensions(self) -> dict[str, int]:
        """By modality, to how many features its vectors are reduced."""
        return {name: getattr(self, f"{name}_dimensions") for name in MODALITIES}
