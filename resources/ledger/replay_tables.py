"""Replays: past nights decided again, kept apart from every decision."""

from __future__ import annotations

#: Tables of this module whose rows never change.
FACTS: tuple[str, ...] = ()
