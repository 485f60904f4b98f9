"""Photos as their pixels: what a decoder on a processor hands to whoever computes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline_project.domain.core.errors import PhotoUnreadable
from pipeline_project.domain.intake.photo_opener import open_photo
from pipeline_project.ports.encoders import PreparedPart
from resources.encoders.batches import gathered

#: RGB, shape (height, width, 3).
Pixels = npt.NDArray[np.uint8]


def prepared_photos(
    images: Sequence[bytes], max_pixels: int, size: tuple[int, int], most: int
) -> tuple[list[PreparedPart], dict[int, str]]:
    """The photos in the size (width, height) in parts, as `pixels_of_prepared` reads them; by place why one failed."""
    opened: dict[int, bytes] = {}
    problems: dict[int, str] = {}
    for place, image in enumerate(images):
        try:
            opened[place] = np.asarray(open_photo(image, max_pixels, size), np.uint8).tobytes()
        except PhotoUnreadable as problem:
            problems[place] = str(problem)
    parts = gathered([[place] for place in opened], most, cut=True)
    return [PreparedPart(part, [opened[place] for place in part]) for part in parts], problems


def pixels_of_prepared(prepared: bytes, size: tuple[int, int]) -> Pixels:
    """The pixels of one photo of `prepared_photos`."""
    width, height = size
    return np.frombuffer(prepared, np.uint8).reshape(height, width, 3)
