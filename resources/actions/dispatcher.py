"""Sends what is ready: claims a batch, sends it, writes down what became of it; it may die anywhere in between."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from sqlalchemy import Engine

from pipeline_project.domain.acting.pace import Answer, Fate
from pipeline_project.domain.errors import DatabaseUnreachable
from resources.actions.claims import (
    NOBODY_KNOWS,
    Settled,
    claim,
    give_up_leases,
    next_state,
    retry_budget,
    settle,
)
from resources.actions.destinations import Destination
from resources.actions.sent import Sent
from resources.postgres import connected

log = logging.getLogger("pipeline.dispatcher")

LEASE_SECONDS, BATCH, IDLE_SECONDS = 60.0, 50, 1.0


@dataclass
class Dispatcher:
    """Workers that share one outbox with every other dispatcher there is.

    Attributes:
        destinations: by workflow and name.
        owners: who looks after a workflow's dead letters.
        draws: where the jitter comes from.
    """

    engine: Engine
    destinations: Mapping[tuple[str, str], Destination]
    owners: Mapping[str, str]
    worker: str
    batch: int = BATCH
    lease_seconds: float = LEASE_SECONDS
    draws: random.Random = field(default_factory=random.Random)

    def once(self) -> int:
        """One batch; returns how many actions were claimed."""
        token = uuid4()
        with connected(self.engine) as connection, connection.begin():
            give_up_leases(connection, self.worker)
            taken = claim(connection, token, self.batch, self.lease_seconds, self.worker)
        if not taken:
            return 0
        tried = [(action, *self._tried(action)) for action in taken]
        with connected(self.engine) as connection, connection.begin():
            known = sorted({(action.workflow, action.destination) for action in taken})
            budget = retry_budget(connection, known)
            settled = [self._settled(action, answer, uncertain, budget) for action, answer, uncertain in tried]
            kept = settle(connection, token, settled, self.worker)
        if kept < len(taken):
            log.warning(
                "%d of %d actions were no longer ours to settle: their lease had ended", len(taken) - kept, len(taken)
            )
        return len(taken)

    def drain(self) -> int:
        """Until nothing is due any more; returns how many were claimed."""
        sent = 0
        while count := self.once():
            sent += count
        return sent

    def run(self, stopping: threading.Event) -> None:
        """Until somebody asks to stop; what is in hand is settled first."""
        while not stopping.is_set():
            try:
                busy = self.once() > 0
            except DatabaseUnreachable as error:
                log.warning("%s; trying again", error)
                busy = False
            if not busy:
                stopping.wait(IDLE_SECONDS)

    def _tried(self, action: Sent) -> tuple[Answer, bool]:
        """What became of it, and whether it may have had its effect although that answer does not say so."""
        if not action.live:
            return Answer(Fate.DONE), False
        place = self.destinations.get((action.workflow, action.destination))
        if place is None:
            words = "the workflow's file no longer declares this destination"
            return Answer(Fate.REFUSED, "no_destination", words), action.uncertain
        uncertain = action.uncertain
        if uncertain:
            known = place.look_up(action)
            if known is not None and known.fate is not Fate.AGAIN:
                return known, known.fate is Fate.UNKNOWN
            if known is None and not place.remembers(action.seconds):
                words = "no answer came, and the destination no longer remembers its keys"
                return Answer(Fate.REFUSED, NOBODY_KNOWS, words), True
            uncertain = known is None
        answer = place.send(action)
        return answer, answer.fate is Fate.UNKNOWN or (uncertain and answer.fate is Fate.AGAIN)

    def _settled(
        self, action: Sent, answer: Answer, uncertain: bool, budget: Mapping[tuple[str, str], tuple[int, int]]
    ) -> Settled:
        if not action.live:
            return Settled(action, "rehearsed", answer)
        place = self.destinations.get((action.workflow, action.destination))
        spent = budget[(action.workflow, action.destination)]
        state, wait = next_state(action, answer, place.attempts if place else 1, uncertain, spent, self.draws.random())
        owner = self.owners.get(action.workflow, "unknown") if state == "dead" else None
        return Settled(action, state, answer, wait, uncertain, owner)


def run_workers(dispatchers: Sequence[Dispatcher], stopping: threading.Event, drain: bool) -> int:
    """Runs dispatchers side by side until all are told to stop, or nothing is due; returns how many were claimed."""
    sent: list[int] = []

    def work(dispatcher: Dispatcher) -> None:
        if drain:
            sent.append(dispatcher.drain())
        else:
            dispatcher.run(stopping)

    threads = [threading.Thread(target=work, args=(dispatcher,), daemon=True) for dispatcher in dispatchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(sent)
