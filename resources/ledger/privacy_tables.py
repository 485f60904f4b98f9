"""Privacy: keys by subject, forgotten subjects, legal holds."""

from __future__ import annotations

#: Tables of this module whose rows never change.
FACTS: tuple[str, ...] = ()
