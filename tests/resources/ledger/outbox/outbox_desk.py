"""A ledger with decisions that ask for actions, and a destination that lives in memory."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text

from benchmarks.passed import let_through, passed
from pipeline_project.domain.deciding.recorded import NewDecision
from pipeline_project.domain.delivery.backoff import DeliveryResult, DeliveryStatus
from pipeline_project.domain.delivery.claimed_action import ClaimedAction
from pipeline_project.domain.delivery.planned_actions import ActionTerms, PlannedAction
from pipeline_project.domain.delivery.planning import plan_actions
from pipeline_project.operations.dispatch import Dispatcher
from resources.ledger.audit.chain import append
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.outbox.outbox import Enqueued, enqueue, release_night
from resources.ledger.outbox.overview import PostgresOutbox
from resources.ledger.tables.actions import action_events, actions
from resources.postgres.databases import engine_of
from tests.domain.delivery.terms import FIELDS, terms

FLOW, NIGHT, PERSON, OTHER = "claims", "2025-03-05", "person:ada", "person:bob"


class Desk:
    """One workflow's outbox."""

    def __init__(self, ledger: PostgresLedger, url: str, chosen: ActionTerms | None = None) -> None:
        self.ledger, self.url, self.terms = ledger, url, chosen or terms(FLOW)
        ledger.record_workflow(FLOW, "spec", {"name": FLOW})

    @property
    def outbox(self) -> PostgresOutbox:
        return PostgresOutbox(self.url)

    def decide(self, *cases: str, night: str = NIGHT) -> None:
        """Decisions without actions, for the foreign key."""
        attempt = self.ledger.begin_attempt(FLOW, night, "run")
        rows = [
            NewDecision(case, "refund_and_restock", "cheapest", spec_hash="spec", data_versions={}) for case in cases
        ]
        self.ledger.record_decisions(FLOW, night, attempt, rows, basis=passed(self.ledger, FLOW, night))

    def plan(
        self, case: str, option: str = "refund_and_restock", night: str = NIGHT, **fields: Any
    ) -> list[PlannedAction]:
        return plan_actions(self.terms, night, case, 1, option, {**FIELDS, "quantity": 1, "price": 40, **fields})

    def ask(self, *planned: PlannedAction) -> Enqueued:
        with engine_of(self.url).begin() as connection:
            added = enqueue(connection, planned, self.terms)
            append(connection, "actions", FLOW, added.facts)
            return added

    def release(self, night: str = NIGHT) -> int:
        with engine_of(self.url).begin() as connection:
            cleared = let_through(connection, FLOW, night, "release")
            return release_night(connection, FLOW, night, 1, "run", cleared)

    def ready(self, *cases: str, option: str = "refund_and_restock", **fields: Any) -> None:
        """Released cases whose actions may leave."""
        self.decide(*cases)
        self.ask(*[action for case in cases for action in self.plan(case, option, **fields)])
        self.release()

    def dispatcher(self, place: Any, **more: Any) -> Dispatcher:
        places = {(FLOW, name): place for name in ("shop", "warehouse")}
        return Dispatcher(engine_of(self.url), places, {FLOW: "team:desk"}, more.pop("worker", "test"), **more)

    def drain(self, place: Any, **more: Any) -> int:
        """Sends what is left, with all waits taken away: no test sleeps."""
        dispatcher, sent = self.dispatcher(place, **more), 0
        while True:
            self.pass_time()
            count = dispatcher.once()
            if not count:
                return sent
            sent += count

    def run(self, statement: str, **values: Any) -> None:
        with engine_of(self.url).begin() as connection:
            connection.execute(text(statement), values)

    def pass_time(self) -> None:
        """Makes everything due, as if hours had passed: retries, rests of destinations, retry budgets."""
        self.run("UPDATE actions SET next_at = now() WHERE state IN ('ready', 'unknown')")
        self.run("UPDATE breakers SET saved = 100, retry_at = CASE WHEN state <> 'closed' THEN now() END")

    def lose_leases(self) -> None:
        self.run("UPDATE actions SET lease_until = now() - interval '1 second' WHERE state = 'sending'")

    def states(self, case: str | None = None) -> dict[str, str]:
        """State by kind, of one case; by case and kind, of all."""
        return {
            (row.kind if case else f"{row.case_id} {row.kind}"): row.state
            for row in self.outbox.listed(FLOW, limit=200)
            if case in (None, row.case_id)
        }

    def row(self, case: str, kind: str) -> dict[str, Any]:
        rows = self.outbox.listed(FLOW, limit=200)
        return next(vars(row) for row in rows if (row.case_id, row.kind) == (case, kind))

    def count(self, state: str) -> int:
        with engine_of(self.url).connect() as connection:
            return int(connection.scalar(select(func.count()).where(actions.c.state == state)) or 0)

    def events(self) -> Counter[str]:
        with engine_of(self.url).connect() as connection:
            return Counter(connection.scalars(select(action_events.c.event)))


class Shelf:
    """A destination in memory: does each key once as long as it remembers it, and answers as it was told to.

    Attributes:
        said: what it answers, one after the other, before it answers that all is well; a function makes the answer.
        happened: effects by key.
        sent: what came, in order.
    """

    def __init__(
        self,
        *said: DeliveryResult | Callable[[ClaimedAction], DeliveryResult],
        attempts: int = 8,
        remembers: bool = True,
        can_be_asked: bool = True,
    ) -> None:
        self.said, self.attempts, self.remembered, self.can_be_asked = list(said), attempts, remembers, can_be_asked
        self.longest_seconds = 0.0
        self.happened: Counter[UUID] = Counter()
        self.sent: list[ClaimedAction] = []
        self.asked = 0
        self._lock = threading.Lock()

    def send(self, action: ClaimedAction) -> DeliveryResult:
        with self._lock:
            self.sent.append(action)
            told = self.said.pop(0) if self.said else None
            answer = told(action) if callable(told) else told
            if answer is None or answer.maybe:
                self._act(action)
        return answer or DeliveryResult(DeliveryStatus.DONE, receipt={"said": "ok"})

    def _act(self, action: ClaimedAction) -> None:
        if not (self.remembered and self.happened[action.key]):
            self.happened[action.key] += 1

    def look_up(self, action: ClaimedAction) -> DeliveryResult | None:
        self.asked += 1
        if not self.can_be_asked:
            return None
        return (
            DeliveryResult(DeliveryStatus.DONE)
            if self.happened[action.key]
            else DeliveryResult(DeliveryStatus.AGAIN, "never_seen", "never seen")
        )

    def remembers(self, seconds: float) -> bool:
        return self.remembered

    @property
    def kinds(self) -> list[str]:
        return [action.kind for action in self.sent]


NO_ANSWER = DeliveryResult(DeliveryStatus.UNKNOWN, "no_answer", "no answer came", maybe=True)
BUSY = DeliveryResult(DeliveryStatus.AGAIN, "http_429", "busy", wait=7.0)
BROKEN = DeliveryResult(DeliveryStatus.AGAIN, "http_500", "broken", maybe=True)
REFUSED = DeliveryResult(DeliveryStatus.REFUSED, "http_400", "refused")


def effects(shelf: Shelf) -> Sequence[int]:
    """How often each effect happened."""
    return sorted(shelf.happened.values())
