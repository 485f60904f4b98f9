"""Opens photos that strangers sent: what they cost is known before they are decoded, and they are decoded small.

The only place of the house that opens an image: encoders, reports and the desk all come here, and the linter refuses
`Image.open` anywhere else.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

from pipeline_project.domain.core.errors import PhotoUnreadable

if TYPE_CHECKING:
    from PIL.Image import Image

# Only what cameras and shops make. Pillow also knows formats that start other programs (EPS) or that nobody tends.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

#: Decoders raise nearly everything on bytes made to harm them, and none of it may end a night.
_DAMAGED: tuple[type[Exception], ...] = (Exception,)
_SMALLEST = 8
#: A larger photo is not opened for people to look at: a small file can unpack to gigabytes.
MOST_PIXELS = 50_000_000


def open_photo(content: bytes, max_pixels: int, size: tuple[int, int], keep_shape: bool = False) -> Image:
    """The photo as RGB, upright, resized to exactly `size` (width, height), on white where it is transparent.

    Args:
        content: the bytes of a file; its name and extension do not matter.
        max_pixels: width times height allowed, judged by the header before anything is decoded.
        keep_shape: as large as fits into `size` without being stretched or enlarged, instead of exactly.

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
            return _small(photo, _fitting(photo, size) if keep_shape else size)
        except Image.DecompressionBombError as error:
            raise PhotoUnreadable(f"more than {max_pixels:,} pixels") from error
        except _DAMAGED as error:
            raise PhotoUnreadable("truncated or damaged") from error


def as_jpeg(content: bytes, most: int, quality: int = 85) -> bytes:
    """The photo as a JPEG of at most `most` pixels a side, without whatever else the file carried.

    Raises:
        PhotoUnreadable: as from `open_photo`.
    """
    made = io.BytesIO()
    open_photo(content, MOST_PIXELS, (most, most), keep_shape=True).save(made, "JPEG", quality=quality, optimize=True)
    return made.getvalue()


def plain_photo() -> bytes:
    """A small white photo: what an encoder can be tried with."""
    from PIL import Image

    made = io.BytesIO()
    Image.new("RGB", (_SMALLEST, _SMALLEST), "white").save(made, "PNG")
    return made.getvalue()


def _fitting(photo: Image, box: tuple[int, int]) -> tuple[int, int]:
    width, height = photo.size[::-1] if _turned(photo) in _LYING else photo.size
    share = min(1.0, box[0] / width, box[1] / height)
    return max(1, round(width * share)), max(1, round(height * share))


def _small(photo: Image, size: tuple[int, int]) -> Image:
    from PIL import Image, ImageOps

    turned = _turned(photo)
    target = size[::-1] if turned in _LYING else size
    # Twice the size asked, so that the resize below still averages and does not merely copy the decoder's blocks.
    photo.draft("RGB", (2 * target[0], 2 * target[1]))
    photo.load()
    if photo.mode.startswith("I;16"):
        # Pillow clips 16 bits to 8 instead of scaling them.
        photo = photo.point(lambda value: value / 256).convert("L")
    transparent = photo.has_transparency_data
    mode = "RGBA" if transparent else "RGB"
    # Pillow's `convert` copies a photo that is in this mode already.
    shown = photo if photo.mode == mode else photo.convert(mode)
    small = shown.resize(target, Image.Resampling.BOX, reducing_gap=3.0)
    if transparent:
        white = Image.new("RGBA", small.size, "white")
        small = Image.alpha_composite(white, small).convert("RGB")
    if turned != 1:
        small.getexif()[_ORIENTATION] = turned
        small = ImageOps.exif_transpose(small)
    return small


_ORIENTATION = 0x0112
_LYING = (5, 6, 7, 8)


def _turned(photo: Image) -> int:
    """The EXIF orientation, 1 (upright) when the photo does not tell or its EXIF cannot be read."""
    try:
        turned = photo.getexif().get(_ORIENTATION, 1)
    except _DAMAGED:
        return 1
    return turned if isinstance(turned, int) and 1 <= turned <= 8 else 1
