"""Nights in a row, in words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pipeline_project.domain.core.nights import cadence_of, distance

NIGHTS_LISTED = 8


def _follows(before: str, after: str) -> bool:
    """Whether no night lies between two; those of two cadences, of two workflows, are told apart."""
    return cadence_of(before) is cadence_of(after) and distance(before, after) <= 1


def ranges(nights: Sequence[str]) -> str:
    """Nights in order as spans without a gap: `2025-03-01 to 2025-03-04, 2025-03-07 (5)`."""
    if not nights:
        return "none"
    gaps = [(before, after) for before, after in pairwise(nights) if not _follows(before, after)]
    starts = [nights[0], *(after for _, after in gaps)]
    ends = [*(before for before, _ in gaps), nights[-1]]
    spans = [f"{start} to {end}" if end > start else f"{start}" for start, end in zip(starts, ends, strict=True)]
    more = f" and {len(spans) - NIGHTS_LISTED} more spans" if len(spans) > NIGHTS_LISTED else ""
    return f"{', '.join(spans[:NIGHTS_LISTED])}{more} ({len(nights)} {'night' if len(nights) == 1 else 'nights'})"
