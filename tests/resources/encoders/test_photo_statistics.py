"""The statistics of a photo are computed in few passes over its pixels, and are what they were when their version was
named: beside them stand the formulas as they were first written, each in one line."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from pipeline_project.domain.intake.photo_opener import open_photo
from resources.encoders.photo_statistics import (
    _COLOUR_BINS,
    _DIRECTIONS,
    _GRID,
    _LEVELS,
    _LOG_CENTRE,
    _LOG_FLOOR,
    _LOG_SPREAD,
    _QUANTILES,
    _SCALES,
    _SOFT_BINS,
    PhotoStatisticsEncoder,
    photo_statistics,
)

SIDE = 160
DOWN, ACROSS = np.mgrid[:SIDE, :SIDE]
#: Photos in which sums cancel, values tie or nothing differs at all, and ordinary ones.
PIXELS = {
    "white": np.full((SIDE, SIDE, 3), 255),
    "black": np.zeros((SIDE, SIDE, 3)),
    "one grey": np.full((SIDE, SIDE, 3), 77),
    "one colour": np.tile([200, 30, 90], (SIDE, SIDE, 1)),
    "noise": np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)),
    "dots": np.repeat(((ACROSS + DOWN) % 2 * 200)[:, :, None], 3, axis=2),
    "squares": np.repeat(((ACROSS // 20 + DOWN // 20) % 2 * 255)[:, :, None], 3, axis=2),
    "flat cells": np.stack([ACROSS // 40 * 37 + 11, DOWN // 40 * 29 + 7, (ACROSS // 40 + DOWN // 40) * 17], axis=-1),
    "slopes": np.stack([ACROSS, DOWN, (ACROSS + DOWN) // 2], axis=-1),
    "stripes": np.stack([ACROSS % 3 * 80, ACROSS % 5 * 50, DOWN % 7 * 30], axis=-1),
    "blobs": 127 + 120 * np.sin(np.stack([ACROSS / 9, DOWN / 13, (ACROSS * DOWN) / 900], axis=-1)),
}


@pytest.mark.parametrize("pixels", PIXELS.values(), ids=PIXELS)
def test_statistics_are_those_of_their_version(pixels):
    levels = pixels.astype(np.uint8)
    first, now = first_written(levels.astype(np.float32) / np.float32(255)), photo_statistics(levels)
    assert now.dtype == np.float32 and now.shape == (PhotoStatisticsEncoder().dimension,)
    np.testing.assert_allclose(now / np.linalg.norm(now), first / np.linalg.norm(first), atol=1e-5)


def test_an_encoded_photo_has_the_statistics_of_its_pixels():
    kept = io.BytesIO()
    Image.fromarray(PIXELS["blobs"].astype(np.uint8)).resize((500, 400)).save(kept, "JPEG")
    vectors, problems = PhotoStatisticsEncoder().encode([kept.getvalue()])
    first = first_written(np.asarray(open_photo(kept.getvalue(), 10**6, (SIDE, SIDE)), np.float32) / np.float32(255))
    assert problems == [None]
    np.testing.assert_allclose(vectors[0], first / np.linalg.norm(first), atol=1e-5)


def test_describing_a_photo_leaves_its_pixels_alone():
    levels = PIXELS["noise"].astype(np.uint8)
    levels.flags.writeable = False
    np.testing.assert_array_equal(photo_statistics(levels), photo_statistics(levels))


def first_written(pixels: np.ndarray) -> np.ndarray:
    """Of RGB in [0, 1], shape (160, 160, 3)."""
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


def _cells(planes: np.ndarray) -> np.ndarray:
    """Means over a grid of cells: (..., side, side) to (..., grid, grid)."""
    cell = planes.shape[-1] // _GRID
    planes = planes[..., : _GRID * cell, : _GRID * cell]
    return planes.reshape(*planes.shape[:-2], _GRID, cell, _GRID, cell).mean(axis=(-3, -1))


def _colours(opponent: np.ndarray) -> np.ndarray:
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


def _textures(light: np.ndarray) -> list[np.ndarray]:
    """Local contrast at three scales: by cell, and how far the strongest details stand out."""
    by_cell, strongest = [], []
    plane = light
    for _ in range(_SCALES):
        detail = np.abs(plane - _blurred(plane))
        by_cell.append(_log(_cells(detail)))
        strongest.append(_log(_quantiles(detail.ravel(), _QUANTILES)))
        plane = plane.reshape(plane.shape[0] // 2, 2, plane.shape[1] // 2, 2).mean(axis=(1, 3))
    return [0.25 * np.concatenate([plane.ravel() for plane in by_cell]), 0.5 * np.concatenate(strongest)]


def _quantiles(values: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Along the last axis, one row per share. numpy sorts floats five times as fast as its `quantile` selects them."""
    ordered = np.sort(values, axis=-1)
    places = np.rint(np.asarray(shares) * (values.shape[-1] - 1)).astype(np.int64)
    return np.moveaxis(ordered[..., places], -1, 0)


def _blurred(plane: np.ndarray) -> np.ndarray:
    padded = np.pad(plane, 1, mode="edge")
    rows = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    return 0.25 * rows[:, :-2] + 0.5 * rows[:, 1:-1] + 0.25 * rows[:, 2:]


def _log(contrast: np.ndarray) -> np.ndarray:
    return (np.log(contrast + _LOG_FLOOR) - _LOG_CENTRE) / _LOG_SPREAD


def _edges(light: np.ndarray) -> list[np.ndarray]:
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
