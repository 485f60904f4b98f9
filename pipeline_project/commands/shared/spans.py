"""Nights in a row, in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

NIGHTS_LISTED = 8


def ranges(nights: Sequence[str]) -> str:
    """Nights in order as spans without a gap: `2025-03-01 to 2025-03-04, 2025-03-07 (5)`."""
    if not nights:
        return "none"
    days = [date.fromisoformat(night) for night in nights]
    starts = [days[0], *(after for before, after in pairwise(days) if (after - before).days > 1)]
    ends = [*(before for before, after in pairwise(days) if (after - before).days > 1), days[-1]]
    spans = [f"{start} to {end}" if end > start else f"{start}" for start, end in zip(starts, ends, strict=True)]
    more = f" and {len(spans) - NIGHTS_LISTED} more spans" if len(spans) > NIGHTS_LISTED else ""
    return f"{', '.join(spans[:NIGHTS_LISTED])}{more} ({len(nights)} {'night' if len(nights) == 1 else 'nights'})"
