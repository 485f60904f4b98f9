"""The alias `champion` follows the ledger, which alone knows who decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class AliasState:
    """Where an alias points, against who decides.

    Attributes:
        wanted: the version it should point at; None while no model decides.
        by_hand: it points where the ledger never put it, or back at one that was replaced: somebody moved it.
    """

    pointed: str | None
    wanted: str | None
    by_hand: bool

    @property
    def right(self) -> bool:
        return self.wanted is None or self.pointed == self.wanted


def alias_state(pointed: str | None, history: Sequence[str]) -> AliasState:
    """What is to be done about an alias.

    An alias that still points at the champion before is late, because the ledger goes first. Pointing anywhere else it
    was moved behind the ledger's back.

    Args:
        pointed: the version the alias points at, or None.
        history: versions that became champion, the newest first.
    """
    if not history:
        return AliasState(pointed, None, by_hand=pointed is not None)
    late = pointed is None or pointed in history[:2]
    return AliasState(pointed, history[0], by_hand=not late)
