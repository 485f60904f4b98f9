"""A small simulator of queueing: processes that wait, take places of a resource in the order in which they asked, and
give them back.

SimPy does the same; these lines are all that a night needs of it, and a night's plan holds one thing while it waits for
another, which closed formulas do not cover. Tests compare it with those that do (M/M/1, M/M/c).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from itertools import count
from typing import TypeAlias


@dataclass
class Resource:
    """So many places, taken first come, first served.

    Attributes:
        busy: place-seconds in which places were taken. waited: seconds until each was given, in order.
    """

    name: str
    places: int
    busy: float = 0.0
    waited: list[float] = field(default_factory=list)
    taken: int = 0
    queue: deque[tuple[float, Process]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        if self.places < 1:
            raise ValueError(f"{self.name} has {self.places} places; give it one at least")


@dataclass(frozen=True)
class Wait:
    """Seconds go by."""

    seconds: float


@dataclass(frozen=True)
class Take:
    """A place is taken as soon as there is one."""

    resource: Resource


@dataclass(frozen=True)
class Give:
    """A place is given back."""

    resource: Resource


Process: TypeAlias = Generator[Wait | Take | Give, None, None]


@dataclass
class Simulation:
    """Time in seconds, and what happens next; the same processes always end the same."""

    now: float = 0.0
    _next: list[tuple[float, int, Process]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)

    def begin(self, process: Process, at: float = 0.0) -> None:
        """A process begins at a time from now on."""
        if at < self.now:
            raise ValueError(f"{at} is past: it is {self.now}")
        heapq.heappush(self._next, (at, next(self._order), process))

    def run(self) -> float:
        """Until nothing is left to happen; returns when that was.

        Raises:
            RuntimeError: a process waits for a place that nobody gives back.
        """
        stuck: dict[int, Resource] = {}
        while self._next:
            self.now, _, process = heapq.heappop(self._next)
            self._step(process, stuck)
        if waiting := sorted(resource.name for resource in stuck.values() if resource.queue):
            raise RuntimeError(f"processes wait for ever for {', '.join(waiting)}")
        return self.now

    def _step(self, process: Process, seen: dict[int, Resource]) -> None:
        for wish in process:
            if isinstance(wish, Wait):
                self.begin(process, self.now + wish.seconds)
                return
            resource = wish.resource
            seen[id(resource)] = resource
            if isinstance(wish, Give):
                self._given_back(resource)
            elif resource.taken < resource.places:
                resource.taken += 1
                resource.waited.append(0.0)
                resource.busy -= self.now
            else:
                resource.queue.append((self.now, process))
                return

    def _given_back(self, resource: Resource) -> None:
        resource.busy += self.now
        if not resource.queue:
            resource.taken -= 1
            return
        asked, process = resource.queue.popleft()
        resource.waited.append(self.now - asked)
        resource.busy -= self.now
        self.begin(process, self.now)
