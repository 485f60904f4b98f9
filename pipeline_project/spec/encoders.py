"""The parts of a spec about how contents become vectors."""

from __future__ import annotations

from pydantic import Field

from pipeline_project.spec.base import Part


class TextSpec(Part):
    """How texts become vectors."""

    encoder: str = Field(
        "all-minilm-l6-v2",
        description="`all-minilm-l6-v2` (comes with the package), a folder, or `hf:owner/name@commit` with the "
        "commit's 40 digits.",
    )
    tokens_per_batch: int = Field(2048, ge=64, description="Token budget of a batch, padding included.")
    max_tokens: int = Field(256, ge=8, le=512, description="Longer texts are cut here.")


class ImageSpec(Part):
    """How photos become vectors.

    A case names photos by paths that start in the source's `folder`, or beside the first file of a table; a path that
    leads out of there is refused.
    """

    encoder: str = Field(
        "photo-statistics-v1",
        description="`photo-statistics-v1` (colour, texture and layout; needs no weights), a folder, or "
        "`hf:owner/name@commit` with the commit's 40 digits.",
    )
    batch: int = Field(32, ge=1, description="Photos in a batch.")
    max_pixels: int = Field(50_000_000, ge=1, description="A larger photo is refused unopened.")
