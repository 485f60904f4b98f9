"""Outlines of items in a unit square, y pointing down, as parts with a tone; a broken part can be told apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Polygon:
    """A polygon of an item.

    Attributes:
        tone: brightness against the item's colour, 1 being the colour itself.
        loose: this part breaks off when the item is broken.
    """

    points: tuple[Point, ...]
    tone: float = 1.0
    loose: bool = False


def _oval(x: float, y: float, rx: float, ry: float, tone: float = 1.0, loose: bool = False) -> Polygon:
    turns = [2 * math.pi * step / 22 for step in range(22)]
    return Polygon(tuple((x + rx * math.cos(turn), y + ry * math.sin(turn)) for turn in turns), tone, loose)


def _arc(centre: Point, radii: Point, thick: float, tone: float = 1.0, loose: bool = False) -> Polygon:
    """The upper half of a ring."""
    (x, y), (rx, ry) = centre, radii
    turns = [math.pi + math.pi * step / 14 for step in range(15)]
    outer = [(x + rx * math.cos(turn), y + ry * math.sin(turn)) for turn in turns]
    inner = [(x + (rx - thick) * math.cos(turn), y + (ry - thick) * math.sin(turn)) for turn in reversed(turns)]
    return Polygon((*outer, *inner), tone, loose)


def _poly(*points: Point, tone: float = 1.0, loose: bool = False) -> Polygon:
    return Polygon(points, tone, loose)


SHAPES: dict[str, tuple[Polygon, ...]] = {
    "shoes": (
        _poly((0.1, 0.35), (0.3, 0.3), (0.42, 0.5), (0.75, 0.58), (0.92, 0.68), (0.92, 0.76), (0.1, 0.76)),
        _poly((0.1, 0.35), (0.3, 0.3), (0.34, 0.37), (0.12, 0.42), tone=0.7),
        _poly((0.08, 0.74), (0.94, 0.74), (0.92, 0.84), (0.1, 0.84), tone=1.5, loose=True),
        _poly((0.42, 0.5), (0.5, 0.52), (0.44, 0.6), (0.37, 0.57), tone=1.35),
        _poly((0.53, 0.53), (0.6, 0.545), (0.55, 0.63), (0.48, 0.61), tone=1.35),
    ),
    "dress": (
        _poly((0.36, 0.08), (0.64, 0.08), (0.62, 0.4), (0.85, 0.95), (0.15, 0.95), (0.38, 0.4)),
        _poly((0.42, 0.08), (0.58, 0.08), (0.5, 0.2), tone=0.55),
        _poly((0.37, 0.38), (0.63, 0.38), (0.64, 0.43), (0.36, 0.43), tone=0.75),
    ),
    "jacket": (
        _poly((0.3, 0.12), (0.7, 0.12), (0.74, 0.9), (0.26, 0.9)),
        _poly((0.3, 0.12), (0.14, 0.28), (0.06, 0.8), (0.18, 0.84), (0.29, 0.42), tone=0.88),
        _poly((0.7, 0.12), (0.86, 0.28), (0.94, 0.8), (0.82, 0.84), (0.71, 0.42), tone=0.84),
        _poly((0.49, 0.12), (0.515, 0.12), (0.515, 0.9), (0.49, 0.9), tone=0.45),
        _poly((0.38, 0.06), (0.62, 0.06), (0.66, 0.2), (0.5, 0.16), (0.34, 0.2), tone=0.75),
    ),
    "shirt": (
        _poly((0.32, 0.14), (0.68, 0.14), (0.7, 0.9), (0.3, 0.9)),
        _poly((0.32, 0.14), (0.1, 0.3), (0.17, 0.48), (0.31, 0.38), tone=0.9),
        _poly((0.68, 0.14), (0.9, 0.3), (0.83, 0.48), (0.69, 0.38), tone=0.86),
        _poly((0.42, 0.14), (0.58, 0.14), (0.5, 0.24), tone=0.6),
    ),
    "jeans": (
        _poly((0.3, 0.06), (0.7, 0.06), (0.72, 0.3), (0.28, 0.3)),
        _poly((0.28, 0.28), (0.51, 0.28), (0.48, 0.95), (0.27, 0.95), tone=0.97),
        _poly((0.49, 0.28), (0.72, 0.28), (0.73, 0.95), (0.52, 0.95), tone=0.9),
        _poly((0.3, 0.06), (0.7, 0.06), (0.7, 0.11), (0.3, 0.11), tone=0.7),
        _poly((0.34, 0.14), (0.44, 0.14), (0.43, 0.24), (0.35, 0.24), tone=0.8),
    ),
    "bag": (
        _poly((0.16, 0.42), (0.84, 0.42), (0.9, 0.9), (0.1, 0.9)),
        _arc((0.5, 0.44), (0.24, 0.34), 0.06, tone=0.75, loose=True),
        _poly((0.16, 0.42), (0.84, 0.42), (0.8, 0.6), (0.2, 0.6), tone=0.82),
        _oval(0.5, 0.61, 0.035, 0.03, tone=1.7),
    ),
    "headphones": (
        _arc((0.5, 0.55), (0.38, 0.45), 0.07, tone=0.8),
        _oval(0.15, 0.64, 0.1, 0.18),
        _oval(0.85, 0.64, 0.1, 0.18, loose=True),
        _oval(0.17, 0.64, 0.05, 0.11, tone=0.55),
    ),
    "lamp": (
        _poly((0.36, 0.1), (0.64, 0.1), (0.8, 0.45), (0.2, 0.45), tone=1.25, loose=True),
        _poly((0.48, 0.45), (0.52, 0.45), (0.52, 0.86), (0.48, 0.86), tone=0.6),
        _oval(0.5, 0.88, 0.2, 0.055, tone=0.75),
    ),
    "kettle": (
        _poly((0.3, 0.25), (0.62, 0.25), (0.7, 0.85), (0.22, 0.85)),
        _poly((0.3, 0.3), (0.14, 0.34), (0.28, 0.46), tone=0.85),
        _poly((0.64, 0.28), (0.88, 0.34), (0.86, 0.72), (0.69, 0.76), (0.69, 0.68), (0.78, 0.66), (0.79, 0.42),
              (0.65, 0.38), tone=0.5, loose=True),
        _oval(0.46, 0.24, 0.17, 0.05, tone=0.6),
        _poly((0.2, 0.85), (0.72, 0.85), (0.74, 0.91), (0.18, 0.91), tone=0.5),
    ),
    "toy": (
        _oval(0.5, 0.66, 0.24, 0.25),
        _oval(0.5, 0.3, 0.19, 0.18, tone=1.06),
        _oval(0.34, 0.16, 0.08, 0.08, tone=0.85),
        _oval(0.66, 0.16, 0.08, 0.08, tone=0.85),
        _oval(0.26, 0.56, 0.13, 0.07, tone=0.9),
        _oval(0.75, 0.56, 0.13, 0.07, tone=0.9, loose=True),
        _oval(0.5, 0.36, 0.08, 0.06, tone=1.4),
        _oval(0.43, 0.27, 0.022, 0.026, tone=0.15),
        _oval(0.57, 0.27, 0.022, 0.026, tone=0.15),
    ),
    "open_box": (
        _poly((0.14, 0.4), (0.86, 0.4), (0.8, 0.92), (0.2, 0.92)),
        _poly((0.14, 0.4), (0.3, 0.22), (0.7, 0.22), (0.86, 0.4), tone=0.42),
        _poly((0.14, 0.4), (0.02, 0.24), (0.2, 0.1), (0.3, 0.22), tone=1.12),
        _poly((0.86, 0.4), (0.98, 0.24), (0.8, 0.1), (0.7, 0.22), tone=1.06),
        _poly((0.47, 0.41), (0.53, 0.41), (0.53, 0.92), (0.47, 0.92), tone=0.85),
    ),
    "parcel": (
        _poly((0.12, 0.3), (0.88, 0.3), (0.88, 0.86), (0.12, 0.86)),
        _poly((0.12, 0.3), (0.26, 0.16), (0.97, 0.16), (0.88, 0.3), tone=1.15),
        _poly((0.88, 0.3), (0.97, 0.16), (0.97, 0.72), (0.88, 0.86), tone=0.72),
        _poly((0.46, 0.3), (0.54, 0.3), (0.54, 0.86), (0.46, 0.86), tone=1.2),
        _poly((0.18, 0.42), (0.4, 0.42), (0.4, 0.6), (0.18, 0.6), tone=1.55),
    ),
    "slip": (
        _poly((0.24, 0.06), (0.76, 0.06), (0.76, 0.95), (0.24, 0.95)),
        *(
            _poly((0.3, y), (0.3 + w, y), (0.3 + w, y + 0.02), (0.3, y + 0.02), tone=0.5)
            for y, w in ((0.14, 0.2), (0.2, 0.35), (0.26, 0.3), (0.32, 0.38), (0.44, 0.4), (0.5, 0.36), (0.56, 0.28))
        ),
        *(
            _poly((0.3 + x, 0.72), (0.312 + x, 0.72), (0.312 + x, 0.86), (0.3 + x, 0.86), tone=0.1)
            for x in (0.0, 0.03, 0.05, 0.09, 0.11, 0.15, 0.19, 0.21, 0.26, 0.29, 0.34)
        ),
    ),
}  # fmt: skip
