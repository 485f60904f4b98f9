"""Models: what was proposed, what was signed, and who decides on which share of a night."""

from __future__ import annotations

#: Tables of this module whose rows never change.
FACTS: tuple[str, ...] = ()
