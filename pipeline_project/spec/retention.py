"""The part of a spec about how long personal data is kept."""

from __future__ import annotations

from pydantic import Field

from pipeline_project.spec.base import Part


class RetentionSpec(Part):
    """How long each class of data is kept, in days after its night; without a number, for good."""

    arrivals: int | None = Field(None, ge=1, description="Rows as they came, quarantined ones included.")
    cases: int | None = Field(None, ge=1, description="Personal fields of admitted cases; the rest of the row stays.")
    photos: int | None = Field(None, ge=1, description="Vectors of photos and texts.")
    notes: int | None = Field(None, ge=1, description="Reviewers' free text.")
