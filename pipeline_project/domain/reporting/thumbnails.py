"""Photos small enough to travel inside a page."""

from __future__ import annotations

import base64

from pipeline_project.domain.core.errors import PhotoUnreadable
from pipeline_project.domain.intake.photo_opener import as_jpeg

SIZE = 96


def thumbnail(content: bytes) -> str | None:
    """A JPEG of at most 96 x 96 pixels as a data URI, without the photo's own metadata; None if it is no photo."""
    try:
        small = as_jpeg(content, SIZE, quality=78)
    except PhotoUnreadable:
        return None
    return "data:image/jpeg;base64," + base64.b64encode(small).decode()
