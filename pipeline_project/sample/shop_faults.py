"""Faults to order: which request of the fake shop goes wrong, and how. A seed repeats them exactly."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, deque
from collections.abc import Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Fault(StrEnum):
    """What goes wrong with one request."""

    NONE = "none"
    ERROR_BEFORE = "error_before"
    ERROR_AFTER = "error_after"
    BUSY = "busy"
    SILENT_BEFORE = "silent_before"
    SILENT_AFTER = "silent_after"
    TWICE = "twice"
    REFUSED = "refused"


class Ordered(BaseModel):
    """An order of faults; what is left out is as in a shop without any.

    Attributes:
        seed: draws of one seed, key and arrival are always the same.
        rates: share of requests that go wrong, by fault.
        next: faults of the next requests, before any rate counts.
        retry_after: seconds that a busy shop asks for.
        silent_seconds: how long a silent shop keeps the caller waiting before it answers 504.
    """

    model_config = ConfigDict(extra="forbid")

    seed: int = 0
    rates: dict[Fault, float] = Field(default_factory=dict)
    next: list[Fault] = Field(default_factory=list, max_length=1000)
    retry_after: int = Field(1, ge=0, le=3600)
    silent_seconds: float = Field(30.0, ge=0, le=600)

    @model_validator(mode="after")
    def _are_shares(self) -> Ordered:
        if any(rate < 0 for rate in self.rates.values()) or sum(self.rates.values()) > 1:
            raise ValueError("rates are shares of all requests: 0 or more each, 1 or less together")
        return self


class Faults:
    """Says what goes wrong with each request, and counts what did."""

    def __init__(self, ordered: Ordered | None = None) -> None:
        self._lock = threading.Lock()
        self.order(ordered or Ordered())

    def order(self, ordered: Ordered) -> None:
        """From now on these."""
        with self._lock:
            self.ordered = ordered
            self.happened: Counter[str] = Counter()
            self._next = deque(ordered.next)
            self._arrivals: Counter[str] = Counter()

    def draw(self, key: str) -> Fault:
        """What goes wrong with this request; for a seed, key and arrival always the same, whatever else comes."""
        with self._lock:
            self._arrivals[key] += 1
            fault = self._next.popleft() if self._next else self._drawn(key, self._arrivals[key])
            self.happened[fault] += 1
            return fault

    def _drawn(self, key: str, arrival: int) -> Fault:
        place = uniform(self.ordered.seed, key, arrival)
        for fault, rate in sorted(self.ordered.rates.items()):
            if place < rate:
                return fault
            place -= rate
        return Fault.NONE


def uniform(*parts: object) -> float:
    """A number in [0, 1) that depends on its parts alone."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def mixed(share: float, among: Sequence[Fault]) -> dict[Fault, float]:
    """Rates that add up to `share`, the same for each fault."""
    return {fault: share / len(among) for fault in among}
