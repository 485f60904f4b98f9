"""Photos small enough to travel inside a page."""

from __future__ import annotations

import base64
import io
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

SIZE = 96
#: A larger photo is not opened: a small file can unpack to gigabytes.
MOST_PIXELS = 50_000_000


def thumbnail(content: bytes) -> str | None:
    """A JPEG of at most 96 x 96 pixels as a data URI, without the photo's own metadata; None if it is no photo."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content)) as photo:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            if photo.width * photo.height > MOST_PIXELS:
                return None
            photo.draft("RGB", (SIZE * 2, SIZE * 2))
            upright = ImageOps.exif_transpose(photo)
            upright.thumbnail((SIZE, SIZE))
            small = io.BytesIO()
            _on_white(upright).save(small, "JPEG", quality=78, optimize=True)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return "data:image/jpeg;base64," + base64.b64encode(small.getvalue()).decode()


def _on_white(photo: Image.Image) -> Image.Image:
    """JPEG knows no transparency."""
    from PIL import Image

    if photo.mode in ("RGBA", "LA", "PA") or "transparency" in photo.info:
        layered = photo.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")
    return photo.convert("RGB")
