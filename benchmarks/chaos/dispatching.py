"""A dispatcher that dies where it was told to, with its patience shortened and, if wanted, a protection taken out."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, cast
from uuid import uuid4

from pipeline_project.domain.delivery import backoff as pace
from pipeline_project.domain.delivery.backoff import DeliveryResult, DeliveryStatus
from pipeline_project.domain.delivery.claimed_action import ClaimedAction
from pipeline_project.operations import dispatch as dispatching
from pipeline_project.operations.dispatch import Dispatcher
from resources.destinations import Destination
from resources.destinations.http import HttpService
from resources.postgres.databases import pooled_engine

FLOW, NIGHT, UNRELEASED = "chaos", "2025-03-05", "2025-03-06"
SECRET = "whsec_" + "Y2hhb3Mh" * 4
#: So that hours of patience pass in seconds; the lease must outlast a batch.
SILENT, TIMEOUT, LEASE, FIRST_WAIT, LONGEST_WAIT, REST, RETRIES = 0.4, 0.15, 2.0, 0.05, 0.5, 0.2, 40.0


class Protection(StrEnum):
    """What can be taken out, to see that the suite notices."""

    KEYS = "keys"
    UNKNOWN = "unknown"
    LOOK_UP = "look_up"
    RELEASE = "release"


class Point(StrEnum):
    """Where a dispatcher ends itself."""

    CLAIMED = "claimed, not committed"
    BEFORE_SEND = "claimed, nothing sent"
    AFTER_SEND = "sent, nothing written"
    SETTLING = "written, not committed"
    SETTLED = "settled"


@dataclass(frozen=True)
class Chaos:
    """One run.

    Attributes:
        faults: share of requests that go wrong.
        dispatchers, workers: processes, and threads of each.
        forgetful: the shop acts again upon every key, so that only the look-up tells what it did before.
        without: the protection that is taken out.
        seconds: after which a run that has not ended is judged as it stands.
    """

    actions: int = 300
    faults: float = 0.3
    kills: int = 12
    seed: int = 7
    dispatchers: int = 2
    workers: int = 2
    forgetful: bool = False
    without: Protection | None = None
    seconds: float = 120


def live(url: str, shop: str, chaos: Chaos, life: int, point: Point | None, after: int) -> None:
    """One dispatcher process, until it is told to stop or meets its point for the `after`-th time."""
    pace.FIRST_WAIT, pace.LONGEST_WAIT, pace.OPEN_SECONDS = FIRST_WAIT, LONGEST_WAIT, REST
    pace.RETRIES_A_SECOND = RETRIES
    pace.LONGEST_OPEN, dispatching.IDLE_SECONDS = 2 * REST, 0.05
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    mine = _Mine(point, after)
    _plant(mine, dispatching)
    service = HttpService(
        url=f"{shop}/actions",
        secret=SECRET,
        lookup=None if chaos.without is Protection.LOOK_UP else f"{shop}/actions/{{key}}",
        remembers_seconds=0.0 if chaos.forgetful and chaos.without is not Protection.LOOK_UP else 24 * 3600.0,
        timeout=TIMEOUT,
        attempts=1000,
    )
    place = cast(Destination, _Place(service, mine, chaos.without))
    engine = pooled_engine(url, chaos.workers + 1)
    workers = [
        Dispatcher(engine, {(FLOW, "shop"): place}, {FLOW: "team:chaos"}, f"{life}/{number}", batch=8,
                   lease_seconds=LEASE, draws=random.Random(f"{chaos.seed}/{life}/{number}"), stopping=stopping)
        for number in range(chaos.workers)
    ]  # fmt: skip
    dispatching.run_workers(workers, drain=False)


@dataclass
class _Mine:
    """Ends the process when its point is met often enough."""

    point: Point | None
    after: int
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def meet(self, point: Point) -> None:
        if point is not self.point:
            return
        with self._lock:
            self.after -= 1
            if self.after <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def _plant(mine: _Mine, module: Any) -> None:
    def mined(whole: Callable[..., Any], point: Point) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            done = whole(*args, **kwargs)
            if done:
                mine.meet(point)
            return done

        return call

    module.claim = mined(module.claim, Point.CLAIMED)
    module.settle = mined(module.settle, Point.SETTLING)
    module.Dispatcher.once = mined(module.Dispatcher.once, Point.SETTLED)


@dataclass
class _Place:
    """The shop as a destination, with mines before and behind it, and one protection taken out."""

    service: HttpService
    mine: _Mine
    without: Protection | None

    @property
    def attempts(self) -> int:
        return self.service.attempts

    @property
    def longest_seconds(self) -> float:
        return self.service.longest_seconds

    def send(self, action: ClaimedAction) -> DeliveryResult:
        self.mine.meet(Point.BEFORE_SEND)
        # taken out: a key for each try, as somebody would have who makes them from the attempt
        sent = replace(action, key=uuid4()) if self.without is Protection.KEYS else action
        answer = self.service.send(sent)
        self.mine.meet(Point.AFTER_SEND)
        if self.without is Protection.UNKNOWN and answer.status is DeliveryStatus.UNKNOWN:
            return DeliveryResult(DeliveryStatus.DONE)
        return answer

    def look_up(self, action: ClaimedAction) -> DeliveryResult | None:
        return self.service.look_up(action)

    def remembers(self, seconds: float) -> bool:
        return self.service.remembers(seconds)
