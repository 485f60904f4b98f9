"""What is watched while a model decides: the audited share, states of the policy, recalls."""

from __future__ import annotations

#: Tables of this module whose rows never change.
FACTS: tuple[str, ...] = ()
