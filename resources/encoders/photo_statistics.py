"""Colour, texture and layout of a photo as some 220 numbers: needs no weights, and shows damage as local contrast.

numpy and not torch: a photo of 0.3 megapixels takes 1.5 ms of CPU to decode and 2 ms to describe, which threads share
out, and a night with nothing but photos then imports no torch at all.
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

_SIDE = 160
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

# Logarithms of local contrast lie between these in ordinary photos; centred, so that cosine means likeness.
_LOG_FLOOR, _LOG_CENTRE, _LOG_SPREAD = 1e-3, -4.2, 1.3


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

    def _one(self, content: bytes) -> Floats | str:
        try:
            photo = open_photo(content, self.max_pixels, (_SIDE, _SIDE))
        except PhotoUnreadable as problem:
            return str(problem)
        return photo_statistics(np.asarray(photo, np.float32) / np.float32(255))


def photo_statistics(pixels: npt.NDArray[np.float32]) -> Floats:
    """Statistics of one photo, each centred so that an ordinary photo is near zero; not yet of unit length.

    Args:
        pixels: RGB in [0, 1], shape (160, 160, 3).

    Returns:
        Shape (dimension,).
    """
    red, green, blue = np.moveaxis(pixels, -1, 0)
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    opponent = np.stack([light - 0.5, (red - green) / 1.4, (0.5 * (red + green) - blue) / 1.4])
    parts = [
        # Keeps the length of a plain grey photo away from zero.
        np.array([0.5], np.float32),
        _cells(opponent).ravel() * np.repeat(np.array([1.0, 2.0, 2.0]), _GRID * _GRID),
        np.sqrt(np.maximum(_cells(opponent[0] ** 2) - _cells(opponent[0]) ** 2, 0)).ravel() * 2 - 0.2,
        _colours(opponent),
        *_textures(light),
        *_edges(light),
    ]
    return np.concatenate([np.asarray(part, np.float32).ravel() for part in parts])


def _cells(planes: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Means over a grid of cells: (..., side, side) to (..., grid, grid)."""
    cell = planes.shape[-1] // _GRID
    planes = planes[..., : _GRID * cell, : _GRID * cell]
    return planes.reshape(*planes.shape[:-2], _GRID, cell, _GRID, cell).mean(axis=(-3, -1))


def _colours(opponent: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Histograms of lightness and two colour axes, with soft bins so that a small shift moves little; moments."""
    flat = opponent.reshape(3, -1)
    limits = ((-0.5, 0.5), (-0.4, 0.4), (-0.4, 0.4))
    shares = []
    for values, (low, high) in zip(flat, limits, strict=True):
        # Counted by levels first: to weigh every pixel for its two bins takes ten times as long.
        level = np.clip((values - low) * ((_LEVELS - 1) / (high - low)) + 0.5, 0, _LEVELS - 1).astype(np.uint8)
        shares.append(np.bincount(level, minlength=_LEVELS) @ _SOFT_BINS / values.size - 1 / _COLOUR_BINS)
    centred = flat - flat.mean(axis=1, keepdims=True)
    squares = centred * centred
    spread = np.sqrt(squares.mean(axis=1))
    # A product, because numpy's third power takes forty times as long.
    skewness = np.cbrt((squares * centred).mean(axis=1))
    return np.concatenate([*shares, 2 * spread - 0.3, 2 * skewness])


def _textures(light: npt.NDArray[np.floating]) -> list[npt.NDArray[np.floating]]:
    """Local contrast at three scales: by cell, and how far the strongest details stand out."""
    by_cell, strongest = [], []
    plane = light
    for _ in range(_SCALES):
        detail = np.abs(plane - _blurred(plane))
        by_cell.append(_log(_cells(detail)))
        strongest.append(_log(_quantiles(detail.ravel(), _QUANTILES)))
        plane = plane.reshape(plane.shape[0] // 2, 2, plane.shape[1] // 2, 2).mean(axis=(1, 3))
    return [0.25 * np.concatenate([plane.ravel() for plane in by_cell]), 0.5 * np.concatenate(strongest)]


def _quantiles(values: npt.NDArray[np.floating], shares: Sequence[float]) -> npt.NDArray[np.floating]:
    """Along the last axis, one row per share. numpy sorts floats five times as fast as its `quantile` selects them."""
    ordered = np.sort(values, axis=-1)
    places = np.rint(np.asarray(shares) * (values.shape[-1] - 1)).astype(np.int64)
    return np.moveaxis(ordered[..., places], -1, 0)


def _blurred(plane: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    padded = np.pad(plane, 1, mode="edge")
    rows = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    return 0.25 * rows[:, :-2] + 0.5 * rows[:, 1:-1] + 0.25 * rows[:, 2:]


def _log(contrast: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    return (np.log(contrast + _LOG_FLOOR) - _LOG_CENTRE) / _LOG_SPREAD


def _edges(light: npt.NDArray[np.floating]) -> list[npt.NDArray[np.floating]]:
    """Strength of edges by direction, opposite directions alike: by cell, and over the whole photo."""
    soft = _blurred(light)
    down, right = np.gradient(soft)
    strength = np.sqrt(down * down + right * right)
    angle = np.arctan2(down, right)
    place = np.where(angle < 0, angle + np.float32(np.pi), angle) * np.float32(_DIRECTIONS / np.pi)
    planes = []
    for direction in range(_DIRECTIONS):
        apart = np.abs(place - direction)
        near = np.maximum(0, 1 - np.minimum(apart, _DIRECTIONS - apart))
        planes.append(strength * near)
    directed = np.stack(planes)
    by_cell = np.sqrt(_cells(directed)) * 3 - 0.2
    flat = directed.reshape(_DIRECTIONS, -1)
    whole = np.concatenate([np.sqrt(flat.mean(axis=1)) * 6 - 0.4, _quantiles(flat, (0.99,))[0] * 4 - 0.3])
    return [by_cell, whole]
