"""Sends what is ready: claims a batch, sends it, writes down what became of it; it may die anywhere in between."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine

from pipeline_project.domain.core.errors import DatabaseUnreachable, LedgerRefused
from pipeline_project.domain.delivery.backoff import LEASE_SECONDS, DeliveryResult, DeliveryStatus, lease_seconds
from pipeline_project.domain.delivery.claimed_action import ClaimedAction
from resources.destinations import Destination
from resources.ledger.outbox.leases import Place, Terms, anything_left, claim, give_up_leases, stopped
from resources.ledger.outbox.settling import Settled, next_state, settle
from resources.ledger.unit_of_work import repeated, unit_of_work

log = logging.getLogger("pipeline.dispatcher")

BATCH, IDLE_SECONDS = 50, 1.0
#: How old the look at the kill switches may be when an action is sent.
SWITCH_SECONDS = 0.25
#: Error classes of what nobody could find out, of what has no destination any more, of what is not what was decided,
#: of a try that ended in a mistake of ours, of what could not be written down, and of what goes back unsent.
NOBODY_KNOWS, NO_DESTINATION, TAMPERED = "nobody_knows", "no_destination", "not_as_decided"
BROKE, UNWRITABLE, PUT_BACK = "broke", "unwritable", "put_back"
#: Of these the destination knows nothing.
_OURS = frozenset({NO_DESTINATION, TAMPERED, BROKE})


@dataclass
class Dispatcher:
    """One worker; it shares the outbox with every other dispatcher there is.

    Attributes:
        destinations: by workflow and name.
        owners: who looks after a workflow's dead letters.
        left_alone: destinations that are declared but cannot be used from here; others may.
        draws: where the jitter comes from.
        stopping: once set, what is in hand is written down and the rest goes back unsent.
        turned: when it last began a batch or ended with an action, by the clock that only goes forward.
    """

    engine: Engine
    destinations: Mapping[Place, Destination]
    owners: Mapping[str, str]
    worker: str
    batch: int = BATCH
    lease_seconds: float = LEASE_SECONDS
    left_alone: Collection[Place] = ()
    draws: random.Random = field(default_factory=random.Random)
    stopping: threading.Event = field(default_factory=threading.Event)
    turned: float = field(default_factory=time.monotonic, init=False)

    def __post_init__(self) -> None:
        longest = max((destination.longest_seconds for destination in self.destinations.values()), default=0.0)
        self.lease_seconds = lease_seconds(longest, self.lease_seconds)

    @property
    def goes_round(self) -> bool:
        """Whether it is at work or waits for work, and does not hang: a lease outlasts everything it does in one go."""
        return time.monotonic() - self.turned < self.lease_seconds

    def once(self) -> int:
        """One batch; returns how many actions were claimed."""
        self.turned = time.monotonic()
        # counted from before the database does, so that our lease never seems longer than it is
        until = time.monotonic() + self.lease_seconds
        token = uuid4()
        batch, switched_off = repeated(self.engine, lambda connection: self._take(connection, token))
        if not batch:
            return 0
        settled = self._sent(batch, until, switched_off)
        done = self._settle(token, settled)
        if done < len(batch):
            log.warning(
                "%d of %d actions were no longer ours to settle: their lease had ended", len(batch) - done, len(batch)
            )
        return len(batch)

    def _take(self, connection: Connection, token: UUID) -> tuple[list[ClaimedAction], frozenset[str]]:
        give_up_leases(connection, self.worker)
        batch = claim(connection, token, self._terms, self.worker)
        return batch, stopped(connection) if batch else frozenset()

    def _settle(self, token: UUID, settled: Sequence[Settled]) -> int:
        """Writes down what became of a batch; one that the database refuses is written down without its receipt, as
        a dead letter, and takes no other with it."""
        try:
            return repeated(self.engine, lambda connection: settle(connection, token, settled, self.worker), True)
        except (LedgerRefused, ValueError) as error:
            if len(settled) > 1:
                return sum(self._settle(token, [settlement]) for settlement in settled)
            log.warning("what became of an action could not be written down: %s", type(error).__name__)
        bare = [self._bare(settled[0])]
        return repeated(self.engine, lambda connection: settle(connection, token, bare, self.worker), True)

    def _bare(self, settlement: Settled) -> Settled:
        if settlement.state in ("done", "rehearsed"):
            return replace(settlement, answer=DeliveryResult(DeliveryStatus.DONE))
        cause = "what became of it could not be written down; look at the destination yourself"
        owner = self.owners.get(settlement.action.workflow, "unknown")
        return replace(
            settlement, state="dead", answer=DeliveryResult(DeliveryStatus.REFUSED, UNWRITABLE, cause), owner=owner
        )

    def drain(self) -> int:
        """Until nothing is left that may leave, retries included; returns how many were claimed."""
        sent = 0
        while not self.stopping.is_set():
            count = self.once()
            sent += count
            if not count:
                with unit_of_work(self.engine) as connection:
                    if not anything_left(connection, self._terms):
                        break
                self.stopping.wait(IDLE_SECONDS)
        return sent

    def run(self) -> int:
        """Until somebody asks to stop; what is in hand is settled first. Returns how many were claimed."""
        sent = 0
        while not self.stopping.is_set():
            try:
                count = self.once()
            except DatabaseUnreachable as error:
                log.warning("%s; trying again", error)
                count = 0
            sent += count
            if not count:
                self.stopping.wait(IDLE_SECONDS)
        return sent

    @property
    def _terms(self) -> Terms:
        return Terms(self.batch, self.lease_seconds, self.left_alone)

    def _sent(self, batch: Sequence[ClaimedAction], until: float, switched_off: frozenset[str]) -> list[Settled]:
        settled, looked = [], time.monotonic()
        for action in batch:
            if time.monotonic() - looked > SWITCH_SECONDS:
                with unit_of_work(self.engine, finishing=True) as connection:
                    switched_off = stopped(connection)
                looked = time.monotonic()
            place = self.destinations.get((action.workflow, action.destination))
            longest = place.longest_seconds if place else 0.0
            late = time.monotonic() + longest > until
            if late or self.stopping.is_set() or action.workflow in switched_off:
                settled.append(_put_back(action))
            else:
                settled.append(self._settled(action, *self._tried(action, place)))
            self.turned = time.monotonic()
        return settled

    def _tried(self, action: ClaimedAction, place: Destination | None) -> tuple[DeliveryResult, bool]:
        """What became of it, and whether it may have had its effect although that answer does not say so."""
        if action.wrong is not None:
            cause = f"{action.wrong}: it was not sent; run `pipeline audit verify` and look at who may write the ledger"
            return DeliveryResult(DeliveryStatus.REFUSED, TAMPERED, cause), action.uncertain
        if not action.live:
            return DeliveryResult(DeliveryStatus.DONE), False
        if place is None:
            cause = "the workflow's file no longer declares this destination"
            return DeliveryResult(DeliveryStatus.REFUSED, NO_DESTINATION, cause), action.uncertain
        try:
            return self._asked_and_sent(action, place)
        except DatabaseUnreachable:
            raise
        except Exception as error:  # noqa: BLE001 - one action that breaks its try must not stop the others
            log.warning("a try of an action of %s broke: %s", action.workflow, type(error).__name__)
            cause = f"{type(error).__name__}: the try broke, and may have had its effect"
            return DeliveryResult(DeliveryStatus.UNKNOWN, BROKE, cause, maybe=True), True

    def _asked_and_sent(self, action: ClaimedAction, place: Destination) -> tuple[DeliveryResult, bool]:
        uncertain = action.uncertain
        # within its promise the destination answers the same key instead of acting again; after that it has to be asked
        if uncertain and not place.remembers(action.seconds):
            previous = place.look_up(action)
            if previous is None:
                cause = "it may have happened, and the destination no longer remembers its keys; look there yourself"
                return DeliveryResult(DeliveryStatus.REFUSED, NOBODY_KNOWS, cause), True
            if previous.status is not DeliveryStatus.AGAIN:
                return previous, previous.status is not DeliveryStatus.DONE
            uncertain = False
        answer = place.send(action)
        return answer, answer.status is not DeliveryStatus.DONE and (answer.maybe or uncertain)

    def _settled(self, action: ClaimedAction, answer: DeliveryResult, uncertain: bool) -> Settled:
        if not action.live and answer.status is DeliveryStatus.DONE:
            return Settled(action, "rehearsed", answer)
        place = self.destinations.get((action.workflow, action.destination))
        attempts = place.attempts if place else 1
        state, wait = next_state(action, answer, attempts, uncertain, self.draws.random())
        owner = self.owners.get(action.workflow, "unknown") if state == "dead" else None
        heard = answer.error_class not in _OURS
        return Settled(action, state, answer, wait, uncertain, owner, heard=heard)


def _put_back(action: ClaimedAction) -> Settled:
    answer = DeliveryResult(
        DeliveryStatus.AGAIN, PUT_BACK, "not sent: the dispatcher was stopped, or its lease would not have lasted"
    )
    return Settled(action, "unknown" if action.uncertain else "ready", answer, uncertain=action.uncertain, tried=False)


def run_workers(dispatchers: Sequence[Dispatcher], drain: bool) -> int:
    """Runs dispatchers side by side until all are told to stop, or nothing is left; returns how many were claimed.

    Raises:
        DatabaseUnreachable: while draining; once all have ended.
    """
    with ThreadPoolExecutor(len(dispatchers)) as pool:
        work = [pool.submit(dispatcher.drain if drain else dispatcher.run) for dispatcher in dispatchers]
        wait(work, return_when=FIRST_EXCEPTION)
        if any(future.done() and future.exception() for future in work):
            # a worker that fails must not leave the others running half a dispatcher
            for dispatcher in dispatchers:
                dispatcher.stopping.set()
        return sum(future.result() for future in work)
