"""Colour, texture and layout of a photo as some 220 numbers: needs no weights, and shows damage as local contrast.

numpy and not torch: a photo of 0.3 megapixels takes 2 ms of CPU to decode and 0.9 ms to describe, which threads share
out, and a night with nothing but photos then imports no torch at all. Each colour is a plane of its own from the first
step, and planes are changed in place: strided reading and fresh memory took more than half of the time.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from pipeline_project.domain.core.errors import PhotoUnreadable
from pipeline_project.domain.intake.photo_opener import open_photo
from pipeline_project.domain.vectors.stored import Floats, unit
from pipeline_project.ports.encoders import PreparedPart
from resources.encoders.pixels import pixels_of_prepared, prepared_photos

_SIDE = 160
#: Photos that are handed over together where nobody says how many.
_USUAL_PART = 32
_GRID = 4
_DIRECTIONS = 4
_SCALES = 3
_COLOUR_BINS = 6
_LEVELS = 256
_QUANTILES = (0.5, 0.9, 0.98, 0.998)
_DIMENSION = (
    1
    + _GRID * _GRID * 3  # mean colour of each cell
    + _GRID * _GRID  # its contrast
    + 3 * _COLOUR_BINS + 6  # all colours, their spread and skewness
    + _GRID * _GRID * _SCALES  # fine to coarse texture of each cell
    + _SCALES * len(_QUANTILES)  # how the strongest details stand out, wherever they are
    + _GRID * _GRID * _DIRECTIONS  # edges of each cell by direction
    + 2 * _DIRECTIONS  # edges of the whole, ordinary and strongest
)  # fmt: skip

# What each level of lightness or colour adds to each bin: all to the nearest one, or shared by the two around it.
_SOFT_BINS = np.maximum(
    0, 1 - np.abs(np.linspace(0, _COLOUR_BINS - 1, _LEVELS)[:, None] - np.arange(_COLOUR_BINS)[None, :])
)

#: Of lightness and the two colour axes: where the histogram begins, and its length.
_RANGES = ((-0.5, 1.0), (-0.4, 0.8), (-0.4, 0.8))
_COLOUR_WEIGHTS = np.array([1.0, 2.0, 2.0], np.float32)[:, None, None]
# Logarithms of local contrast lie between these in ordinary photos; centred, so that cosine means likeness.
_LOG_FLOOR, _LOG_CENTRE, _LOG_SPREAD = 1e-3, -4.2, 1.3
#: One float32 for each pixel, or a stack of such.
Planes = npt.NDArray[np.floating]


class PhotoStatisticsEncoder:
    """The encoder every workflow with photos has without asking.

    Args:
        max_pixels: a larger photo is refused unopened.
    """

    def __init__(self, max_pixels: int = 50_000_000) -> None:
        self.max_pixels = max_pixels

    @property
    def version(self) -> str:
        """Names the arithmetic: it changes whenever a vector does, while the spec's name for the encoder stays."""
        return "photo-statistics-v1.1"

    @property
    def dimension(self) -> int:
        return _DIMENSION

    def encode(self, images: Sequence[bytes]) -> tuple[Floats, list[str | None]]:
        """Unit-length float32 vectors, shape (images, dimension), zeros where one failed; and why, or None."""
        vectors = np.zeros((len(images), _DIMENSION), np.float32)
        problems: list[str | None] = []
        # Decoding leaves Python's lock, so threads help; no more photos are open at once than there are cores.
        with ThreadPoolExecutor(max(1, min(8, os.cpu_count() or 1))) as threads:
            for row, encoded in enumerate(threads.map(self._one, images)):
                problems.append(encoded if isinstance(encoded, str) else None)
                if not isinstance(encoded, str):
                    vectors[row] = encoded
        return unit(vectors), problems

    def prepare(self, images: Sequence[bytes], most: int | None = None) -> tuple[list[PreparedPart], dict[int, str]]:
        """The pixels of each photo in the size that is looked at, for `encode_prepared`."""
        return prepared_photos(images, self.max_pixels, (_SIDE, _SIDE), most or _USUAL_PART)

    def encode_prepared(self, prepared: Sequence[bytes]) -> Floats:
        """As `encode`, of photos that could be read."""
        vectors = [photo_statistics(pixels_of_prepared(pixels, (_SIDE, _SIDE))) for pixels in prepared]
        return unit(np.reshape(vectors, (len(prepared), _DIMENSION)))

    def _one(self, content: bytes) -> Floats | str:
        try:
            photo = open_photo(content, self.max_pixels, (_SIDE, _SIDE))
        except PhotoUnreadable as problem:
            return str(problem)
        return photo_statistics(np.asarray(photo))


def photo_statistics(pixels: npt.NDArray[np.uint8]) -> Floats:
    """Statistics of one photo, each centred so that an ordinary photo is near zero; not yet of unit length.

    Args:
        pixels: RGB, shape (160, 160, 3).

    Returns:
        Shape (dimension,).
    """
    red, green, blue = colours = np.empty((3, *pixels.shape[:2]), np.float32)
    np.divide(np.moveaxis(pixels, -1, 0), np.float32(255), out=colours)
    light = 0.299 * red
    light += 0.587 * green
    light += 0.114 * blue
    opponent = _opponent(light, red, green, blue)
    soft = _blurred(light)
    parts = [
        # Keeps the length of a plain grey photo away from zero.
        np.array([0.5], np.float32),
        _cells(opponent) * _COLOUR_WEIGHTS,
        _contrast(opponent[0]) * 2 - 0.2,
        *_colours(opponent),
        *_textures(light, soft),
        *_edges(soft),
    ]
    return np.concatenate([np.asarray(part, np.float32).ravel() for part in parts])


def _opponent(light: Planes, red: Planes, green: Planes, blue: Planes) -> Planes:
    """Lightness about its middle, red against green, yellow against blue."""
    axes = np.empty((3, *light.shape), np.float32)
    np.subtract(light, 0.5, out=axes[0])
    np.subtract(red, green, out=axes[1])
    np.add(red, green, out=axes[2])
    axes[2] *= 0.5
    axes[2] -= blue
    axes[1:] /= 1.4
    return axes


def _cells(planes: Planes) -> Planes:
    """Means over a grid of cells: (..., side, side) to (..., grid, grid)."""
    cell = planes.shape[-1] // _GRID
    strips = planes.reshape(*planes.shape[:-2], _GRID, cell, planes.shape[-1]).sum(axis=-2)
    return strips.reshape(*strips.shape[:-1], _GRID, cell).sum(axis=-1) / np.float32(cell * cell)


def _contrast(plane: Planes) -> Planes:
    """Standard deviation of each cell, shape (grid, grid).

    Along the rows first, unlike `_cells`: in a cell of one colour nothing is left but the rounding of the sums, whose
    order therefore belongs to the encoder's version.
    """
    cell = plane.shape[-1] // _GRID
    both = np.stack([plane, plane * plane])
    rows = both.reshape(2, plane.shape[0], _GRID, cell).sum(axis=-1)
    mean, square = rows.reshape(2, _GRID, cell, _GRID).sum(axis=-2) / np.float32(cell * cell)
    return np.sqrt(np.maximum(square - mean * mean, 0))


def _colours(opponent: Planes) -> list[Planes]:
    """Histograms of lightness and two colour axes, with soft bins so that a small shift moves little; moments."""
    shares, spread, skewness = [], [], []
    work, squares = np.empty((2, opponent[0].size), np.float32)
    for values, (low, length) in zip(opponent.reshape(3, -1), _RANGES, strict=True):
        # Counted by levels first: to weigh every pixel for its two bins takes ten times as long.
        np.subtract(values, low, out=work)
        np.multiply(work, (_LEVELS - 1) / length, out=work)
        np.add(work, 0.5, out=work)
        level = np.clip(work, 0, _LEVELS - 1, out=work).astype(np.uint8)
        shares.append(np.bincount(level, minlength=_LEVELS) @ _SOFT_BINS / values.size - 1 / _COLOUR_BINS)
        np.subtract(values, _mean(values), out=work)
        np.multiply(work, work, out=squares)
        spread.append(2 * np.sqrt(_mean(squares)) - 0.3)
        # A product, because numpy's third power takes forty times as long.
        skewness.append(2 * np.cbrt(_mean(np.multiply(squares, work, out=squares))))
    return [*shares, np.array(spread), np.array(skewness)]


def _mean(values: Planes) -> np.floating:
    # numpy's `mean` takes as long again to look at its arguments
    return np.add.reduce(values) / np.float32(values.size)


def _textures(light: Planes, soft: Planes) -> list[Planes]:
    """Local contrast at three scales: by cell, and how far the strongest details stand out.

    Args:
        soft: `light`, blurred.
    """
    by_cell, strongest = [], []
    for scale in range(_SCALES):
        if scale:
            pairs = light[::2] + light[1::2]
            light = 0.25 * (pairs[:, ::2] + pairs[:, 1::2])
            soft = _blurred(light)
        detail = light - soft
        np.abs(detail, out=detail)
        by_cell.append(_log(_cells(detail)).ravel())
        # numpy sorts floats five times as fast as its `quantile` selects them.
        ordered = detail.ravel()
        ordered.sort()
        places = np.rint(np.asarray(_QUANTILES) * (ordered.size - 1)).astype(np.int64)
        strongest.append(_log(ordered[places]))
    return [0.25 * np.concatenate(by_cell), 0.5 * np.concatenate(strongest)]


def _blurred(plane: Planes) -> Planes:
    """Half of each pixel and a quarter of its neighbours, down and then across; what lies at the border is repeated."""
    quarter = 0.25 * plane
    down = 0.5 * plane
    down[1:] += quarter[:-1]
    down[0] += quarter[0]
    down[:-1] += quarter[1:]
    down[-1] += quarter[-1]
    np.multiply(down, 0.25, out=quarter)
    both = 0.5 * down
    # As one long row, which is quicker; where it goes on from one edge to the other is put right afterwards.
    both.ravel()[1:] += quarter.ravel()[:-1]
    both.ravel()[:-1] += quarter.ravel()[1:]
    both[:, 0] = 0.5 * down[:, 0] + quarter[:, 0] + quarter[:, 1]
    both[:, -1] = 0.5 * down[:, -1] + quarter[:, -2] + quarter[:, -1]
    return both


def _log(contrast: Planes) -> Planes:
    return (np.log(contrast + _LOG_FLOOR) - _LOG_CENTRE) / _LOG_SPREAD


def _edges(soft: Planes) -> list[Planes]:
    """Strength of edges by direction, opposite directions alike: by cell, and over the whole photo."""
    down, right = np.empty((2, *soft.shape), np.float32)
    _slope(soft, down)
    _slope(soft.T, right.T)
    place = np.arctan2(down, right)
    place += np.multiply(place < 0, np.float32(np.pi))
    place *= _DIRECTIONS / np.pi
    down *= down
    right *= right
    down += right
    strength = np.sqrt(down, out=down)
    directed = np.empty((_DIRECTIONS, *soft.shape), np.float32)
    # The last direction borders on the first one: half a turn further the same edge comes again.
    np.minimum(place, _DIRECTIONS - place, out=directed[0])
    for direction in range(1, _DIRECTIONS):
        np.abs(np.subtract(place, direction, out=directed[direction]), out=directed[direction])
    for plane in directed:
        np.maximum(np.subtract(1, plane, out=plane), 0, out=plane)
        plane *= strength
    by_cell = _cells(directed)
    ordinary = by_cell.mean(axis=(1, 2))
    return [np.sqrt(by_cell) * 3 - 0.2, np.sqrt(ordinary) * 6 - 0.4, _strongest(directed, 0.99) * 4 - 0.3]


def _slope(plane: Planes, out: Planes) -> None:
    """As `np.gradient` along the first axis: by the neighbours on either side, at the border by the one there is."""
    np.subtract(plane[2:], plane[:-2], out=out[1:-1])
    out[1:-1] *= 0.5
    np.subtract(plane[1], plane[0], out=out[0])
    np.subtract(plane[-1], plane[-2], out=out[-1])


def _strongest(planes: Planes, share: float) -> Planes:
    """The value of each plane that this share of it does not exceed; the planes are not used afterwards."""
    flat = planes.reshape(len(planes), -1)
    place = flat.shape[1] - 1 - round(share * (flat.shape[1] - 1))
    # From above, because half of a plane is 0, and among equal values numpy selects nine times as slowly.
    np.negative(flat, out=flat)
    flat.partition(place, axis=1)
    return -flat[:, place]
