"""The parts of a spec about what rows must meet, and about cases that say the same."""

from __future__ import annotations

from pydantic import Field

from pipeline_project.domain.core.names import FreeText, Slug
from pipeline_project.domain.core.quantities import Share
from pipeline_project.spec.base import Part


class ContractSpec(Part):
    """What a night's rows must meet, beyond what each field says."""

    quarantine_limit: Share = Field(
        0.2,
        description="A larger share of refused rows is taken for a failure of the whole night and blocks it.",
    )
    unique: tuple[tuple[str, ...], ...] = Field((), description="Groups of fields that may not repeat in a night.")
    compare: tuple[str, ...] = Field(
        (),
        description="Expressions over numbers and times that must be true of every row, for instance "
        "`price >= discount` or `delivered_at - ordered_at <= 30`: the difference of two times is in days.",
    )


class NearDuplicatesSpec(Part):
    """Cases that say the same under different ids; without a word here the later one goes to quarantine."""

    real: FreeText | None = Field(
        None, description="Why cases that say the same under other ids are cases of their own; then they are decided."
    )
    shared_with: dict[Slug, FreeText] = Field(
        default_factory=dict,
        description="Workflows that read the same source, each with why both may decide the same rows.",
    )
