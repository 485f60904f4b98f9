"""Tiles of surface: cloth, plastic, wood and the like, of which a photo takes a window."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

SIDE = 384

#: What each category is made of.
MATERIALS = {
    "shoes": "leather",
    "dress": "cloth",
    "jacket": "quilt",
    "shirt": "weave",
    "jeans": "denim",
    "bag": "leather",
    "headphones": "plastic",
    "lamp": "plastic",
    "kettle": "plastic",
    "toy": "plush",
    "open_box": "cardboard",
    "parcel": "cardboard",
    "slip": "plastic",
}


@lru_cache(maxsize=1)
def tiles() -> dict[str, np.ndarray]:
    """Surfaces of shape (384, 384), float32, mean 0 and spread 1."""
    rng = np.random.default_rng(20250120)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    grain = rng.standard_normal((SIDE, SIDE)).astype(np.float32)
    soft, patches = _smooth(rng, 12), _smooth(rng, 40)
    made = {
        "grain": grain,
        "soft": soft,
        "patches": patches,
        "weave": np.sin(x * 1.6) + np.sin(y * 1.6) + 0.5 * grain,
        "cloth": np.sin((x + y) * 0.9) * 0.6 + soft * 1.2 + 0.6 * grain,
        "quilt": np.abs(np.sin(y * 0.16)) * 2.4 + 0.4 * grain + soft * 0.4,
        "denim": np.sin((x - y) * 1.4) + 0.8 * grain + 0.5 * patches,
        "leather": _smooth(rng, 130) + 0.3 * grain,
        "plush": _smooth(rng, 190) * 1.2 + 0.6 * grain,
        "plastic": soft * 0.6 + 0.2 * grain,
        "wood": _smooth(rng, 40, stretched=8) + 0.25 * grain,
        "cardboard": np.sin(x * 0.8) * 0.4 + 0.6 * grain + 0.5 * soft,
    }
    return {name: ((tile - tile.mean()) / tile.std()).astype(np.float32) for name, tile in made.items()}


def _smooth(rng: np.random.Generator, cells: int, stretched: int = 1) -> np.ndarray:
    coarse = Image.fromarray(rng.standard_normal((cells, max(cells // stretched, 2))).astype(np.float32))
    tile = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return np.asarray((tile - tile.mean()) / tile.std(), dtype=np.float32)
