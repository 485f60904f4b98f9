"""How many actions a second are claimed and settled in batches and one by one: threads of one process, a destination in
memory. The goal is a ratio, because rates of a busy machine say little."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from uuid import UUID

from sqlalchemy import NullPool, create_engine, func, make_url, select, text

from benchmarks.chaos.actions import ask
from benchmarks.chaos.dispatching import FLOW, Chaos
from benchmarks.chaos.verdicts import Seen, tell
from pipeline_project.domain.delivery.backoff import DeliveryResult, DeliveryStatus
from pipeline_project.domain.delivery.claimed_action import ClaimedAction
from pipeline_project.operations.dispatch import BATCH, Dispatcher, run_workers
from resources.destinations import Destination
from resources.ledger.migrate import upgrade
from resources.ledger.tables.actions import actions
from resources.postgres.databases import engine_of, pooled_engine

#: How many times as many actions a second as one by one: rates of one machine and one minute can be compared.
GOAL = 5.0
#: One by one takes so much longer that a part of the actions is enough.
PART = 10


@dataclass
class Memory:
    """Takes everything at once."""

    attempts: int = 8
    longest_seconds: float = 0.0
    happened: Counter[UUID] = field(default_factory=Counter)

    def send(self, action: ClaimedAction) -> DeliveryResult:
        self.happened[action.key] += 1
        return DeliveryResult(DeliveryStatus.DONE, receipt={"status": 200})

    def look_up(self, action: ClaimedAction) -> DeliveryResult | None:
        return (
            DeliveryResult(DeliveryStatus.DONE)
            if self.happened[action.key]
            else DeliveryResult(DeliveryStatus.AGAIN, "never_seen", "never seen")
        )

    def remembers(self, seconds: float) -> bool:
        return seconds >= 0


def measure(url: str, count: int, workers: int, batch: int = BATCH) -> float:
    """Actions a second, in an empty, migrated ledger.

    Raises:
        RuntimeError: not each effect happened once.
    """
    ask(url, Chaos(actions=count))
    memory, engine = Memory(), pooled_engine(url, workers + 1)
    places = {(FLOW, "shop"): cast(Destination, memory)}
    dispatchers = [Dispatcher(engine, places, {FLOW: "team:chaos"}, str(number), batch) for number in range(workers)]
    began = time.perf_counter()
    run_workers(dispatchers, drain=True)
    took = time.perf_counter() - began
    with engine_of(url).connect() as connection:
        done = connection.scalar(select(func.count()).where(actions.c.state == "done"))
    if set(memory.happened.values()) != {1} or done != len(memory.happened):
        raise RuntimeError(f"{done} actions are done, and {sum(memory.happened.values())} effects happened")
    return len(memory.happened) / took


def main() -> int:
    from resources.postgres.embedded import EmbeddedServer

    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos.throughput", description=__doc__)
    parser.add_argument("--actions", type=int, default=20_000, help="(default: %(default)s)")
    parser.add_argument("--workers", type=int, default=8, help="(default: %(default)s)")
    parser.add_argument("--without", choices=["batches"], help="take this out: each action is claimed by itself")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pipeline-chaos-") as name:
        server = EmbeddedServer(Path(name) / "postgres")
        try:
            server.start()
            alone = measure(_ledger(server.superuser_url, "alone"), max(8, given.actions // PART), given.workers, 1)
            batch = 1 if given.without else BATCH
            count = given.actions // PART if given.without else given.actions
            rate = measure(_ledger(server.superuser_url, "together"), count, given.workers, batch)
        finally:
            server.stop()
    words = f"{rate:,.0f} a second over {count:,} actions, {rate / alone:.1f} times as many as one by one"
    print(f"{words}, by {given.workers} workers (goal: {GOAL:g} times)")
    return tell(Seen(rate >= GOAL * alone, f"{words}, each effect once"))


def _ledger(server: str, name: str) -> str:
    """A ledger of its own on the server."""
    with create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    upgrade(url)
    return url


if __name__ == "__main__":
    sys.exit(main())
