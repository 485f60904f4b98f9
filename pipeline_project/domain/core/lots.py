"""Chance that can be looked up again: a number drawn from a name, the same on every machine and in every run."""

from __future__ import annotations

import hashlib


def lot(name: str) -> float:
    """A number in [0, 1) that depends on the name alone, spread evenly over names."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64
