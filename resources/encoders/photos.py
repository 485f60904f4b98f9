"""Opens photos that strangers sent: what they cost is known before they are decoded, and they are decoded small."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import TYPE_CHECKING

from pipeline_project.domain.errors import PhotoUnreadable

if TYPE_CHECKING:
    from PIL.Image import Image

# Only what cameras and shops make. Pillow also knows formats that start other programs (EPS) or that nobody tends.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

# What Pillow's decoders raise on damaged files, as its own tests and fuzzers show.
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    OverflowError,
    AttributeError,
    NotImplementedError,
    struct.error,
    zlib.error,
)
_SMALLEST = 8


def open_photo(content: bytes, max_pixels: int, size: tuple[int, int]) -> Image:
    """The photo as RGB, upright, resized to exactly `size` (width, height), on white where it is transparent.

    Args:
        content: the bytes of a file; its name and extension do not matter.
        max_pixels: width times height allowed, judged by the header before anything is decoded.

    Raises:
        PhotoUnreadable: a few words that fit after "photo 2: ".
    """
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise PhotoUnreadable("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            photo = Image.open(io.BytesIO(content), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise PhotoUnreadable(f"more than {max_pixels:,} pixels") from error
    except UnidentifiedImageError as error:
        raise PhotoUnreadable("not an image") from error
    except _DAMAGED as error:
        raise PhotoUnreadable("damaged: its header cannot be read") from error
    with photo:
        width, height = photo.size
        if width * height > max_pixels:
            raise PhotoUnreadable(f"{width}x{height} is more than {max_pixels:,} pixels")
        if min(width, height) < _SMALLEST:
            raise PhotoUnreadable(f"{width}x{height} is too small to show anything")
        try:
            return _small(photo, size)
        except Image.DecompressionBombError as error:
            raise PhotoUnreadable(f"more than {max_pixels:,} pixels") from error
        except _DAMAGED as error:
            raise PhotoUnreadable("truncated or damaged") from error


def _small(photo: Image, size: tuple[int, int]) -> Image:
    from PIL import Image, ImageOps

    turned = _turned(photo)
    target = size[::-1] if turned in (5, 6, 7, 8) else size
    # Twice the size asked, so that the resize below still averages and does not merely copy the decoder's blocks.
    photo.draft("RGB", (2 * target[0], 2 * target[1]))
    photo.load()
    if photo.mode.startswith("I;16"):
        # Pillow clips 16 bits to 8 instead of scaling them.
        photo = photo.point(lambda value: value / 256).convert("L")
    transparent = photo.has_transparency_data
    small = photo.convert("RGBA" if transparent else "RGB").resize(target, Image.Resampling.BOX, reducing_gap=3.0)
    if transparent:
        white = Image.new("RGBA", small.size, "white")
        small = Image.alpha_composite(white, small).convert("RGB")
    if turned != 1:
        small.getexif()[_ORIENTATION] = turned
        small = ImageOps.exif_transpose(small)
    return small


_ORIENTATION = 0x0112


def _turned(photo: Image) -> int:
    """The EXIF orientation, 1 (upright) when the photo does not tell or its EXIF cannot be read."""
    try:
        turned = photo.getexif().get(_ORIENTATION, 1)
    except _DAMAGED:
        return 1
    return turned if isinstance(turned, int) and 1 <= turned <= 8 else 1
