"""Quality: sketches of nights and the signals made of them."""

from __future__ import annotations

#: Tables of this module whose rows never change.
FACTS: tuple[str, ...] = ()
