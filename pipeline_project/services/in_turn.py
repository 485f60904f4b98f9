"""Work done here, one call after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class InTurn:
    """`ports.compute.Workers` in this process."""

    at_once: int = 1

    def call(self, function: Callable[..., T], parts: Sequence[Any], *shared: Any) -> list[T]:
        """As `Workers.call`."""
        return [function(part, *shared) for part in parts]
