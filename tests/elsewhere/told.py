"""What this machine makes of fixed words, photos and nights, as JSON: `python -m tests.elsewhere.told`."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import numpy as np
from PIL import Image

from pipeline_project.domain.clusters.neighbours import density_labels
from resources.encoders import MiniLmTextEncoder, PhotoStatisticsEncoder
from tests.decision_diff import nights

TEXTS = [f"The {thing} {fault} after {days} days, please send my money back." for thing, fault, days in (
    ("zip", "broke", 2), ("lamp", "went dark", 30), ("left shoe", "lost its sole", 7), ("kettle", "leaks", 1),
)]  # fmt: skip


def photos() -> list[bytes]:
    """A few pictures of many colours, without loss."""
    made = []
    for seed in range(3):
        held = io.BytesIO()
        pixels = np.random.default_rng(seed).integers(0, 256, (90, 120, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((360, 270)).save(held, "PNG")
        made.append(held.getvalue())
    return made


def many() -> np.ndarray:
    """Groups of points among which not all pairs are compared, many of them as far from one another as others."""
    rng = np.random.default_rng(5)
    middles = rng.integers(0, 9, size=(12, 8))
    points = middles[rng.integers(0, 12, size=4_000)] + rng.integers(-1, 2, size=(4_000, 8)) / 4
    return density_labels(points.astype(np.float32), np.ones(len(points), bool), 8, compared=600)


def told() -> dict[str, Any]:
    """Vectors and fresh probabilities as floats; clusters and decisions, which are the same everywhere."""
    decided = nights.decided()
    workflow = nights.spec()
    made = [nights.made(workflow, day) for day in range(nights.GATHERED + nights.DECIDED)]
    return {
        "texts": MiniLmTextEncoder().encode(TEXTS).tolist(),
        "photos": PhotoStatisticsEncoder().encode(photos())[0].tolist(),
        "costs": [one.cost for one in decided.values()],
        "decisions": [[case, one.option, one.reason] for case, one in decided.items()],
        "clusters": [table["cluster"].to_pylist() for table in nights.clustered(workflow, made)],
        "many": many().tolist(),
    }


if __name__ == "__main__":
    json.dump(told(), sys.stdout)
