"""The parts of a spec about the truth: where it comes from, and when it is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from pipeline_project.domain.core.names import FreeText, Slug
from pipeline_project.domain.core.quantities import Days, Share
from pipeline_project.domain.measures.maturity import MATURE_SHARE
from pipeline_project.spec.base import Part
from pipeline_project.spec.source import FileFormat, Location, NightPattern, NightQuery


class KnownAt(Part):
    """When an outcome became known: a time field plus days; the first that has a value is used."""

    field: str = Field(description="A field of type time, or `night` for the start of the case's own night.")
    plus_days: Days = Field(0, ge=0, description="Days after it.")

    @property
    def after(self) -> timedelta:
        """How long after it."""
        return timedelta(days=self.plus_days)


class OutcomeTiming(Part):
    """What every kind of outcome says about when and whether it is learned."""

    mature_share: Share = Field(
        MATURE_SHARE,
        description="A night is mature when this share of the outcomes it will have is known; before, figures say so.",
    )
    learned_after: tuple[Slug, ...] = Field(
        (), description="The options after which the truth is learned; empty means after each of them."
    )


class ColumnOutcome(OutcomeTiming):
    """The truth stands in a column of the source itself; it is taken out of the cases."""

    kind: Literal["column"] = Field(description="A column of the arrivals.")
    column: FreeText = Field(description="The column in the source.")
    values: dict[str, str] = Field(
        default_factory=dict,
        description="Value in the column -> label; empty when the values are the labels.",
    )
    known_at: tuple[KnownAt, ...] = Field(
        min_length=1, description="When it became known; the first field that has a value counts."
    )
    true_at: str | None = Field(None, description="The time field that says when it came true.")


class OutcomeRows(OutcomeTiming):
    """The truth stands in rows of its own, each with the case that it is about."""

    case_column: FreeText = Field(description="The column that names the case.")
    label_column: FreeText = Field(description="The column that holds the label.")
    known_at_column: FreeText = Field(description="The column with the time at which it became known.")
    true_at_column: FreeText | None = Field(None, description="The column with the time of which it is true.")
    values: dict[str, str] = Field(default_factory=dict, description="Value in the column -> label.")


class FilesOutcome(FileFormat, OutcomeRows):
    """The truth comes later in files of its own, by the night on which it arrived."""

    kind: Literal["files"] = Field(description="Files by night of arrival.")
    folder: Location = Field(description="As for a source.")
    pattern: NightPattern = Field(description="Path below `folder` with the night of arrival, as for a source.")


class SqlOutcome(NightQuery, OutcomeRows):
    """The truth comes later in rows of a database, by the night on which they came in."""

    kind: Literal["sql"] = Field(description="A query, run once a night, for the outcomes that came in that night.")


OutcomeFeed = Annotated[ColumnOutcome | FilesOutcome | SqlOutcome, Field(discriminator="kind")]
