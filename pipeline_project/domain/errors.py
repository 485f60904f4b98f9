"""What can go wrong that a person can mend. Every message says what to do next and holds nothing personal."""

from __future__ import annotations


class PipelineError(Exception):
    """Anything this project raises on purpose."""


class SourceUnreadable(PipelineError):
    """A file, table or query is there and cannot be read whole."""


class SourceStillGrowing(PipelineError):
    """A file changed while it was read; trying again later is right."""


class PhotoUnreadable(PipelineError):
    """A photo is missing, outside its folder, too large or no image."""


class ModelUnavailable(PipelineError):
    """A model version cannot be loaded, or its files are not what was registered."""


class TooFewOutcomes(PipelineError):
    """Not enough is known to train on."""


class StaleAttempt(PipelineError):
    """A newer attempt at the same night has begun; this one may no longer write."""


class LakeSchemaChanged(PipelineError):
    """A table's columns would change although nobody declared it."""


class DatabaseUnreachable(PipelineError):
    """PostgreSQL does not answer; the message names the URL without its password."""


class LakeUnavailable(PipelineError):
    """The lake cannot be written or read: no space, no permission, no store."""
