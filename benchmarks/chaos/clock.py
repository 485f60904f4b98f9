"""The database's clock jumps while dispatchers send: seconds to days, forth and back, amid leases and waits.

What counts is that each effect happens once and none is lost once the clock has come to the latest time it ever showed;
until then what was put off may wait. The clock that the ledger asks is a function of the suite's own, in front of the
server's. `--without keys` makes a key for each try.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import cast
from uuid import UUID, uuid4

from sqlalchemy import make_url, text

from benchmarks.chaos.actions import ask
from benchmarks.chaos.dispatching import FIRST_WAIT, FLOW, LONGEST_WAIT, NIGHT, REST, Chaos
from benchmarks.chaos.tally import Came, Given, Tally, run
from pipeline_project.domain.delivery import backoff as pace
from pipeline_project.domain.delivery.backoff import DeliveryResult, DeliveryStatus
from pipeline_project.domain.delivery.claimed_action import ClaimedAction
from pipeline_project.operations import dispatch as dispatching
from pipeline_project.operations.dispatch import Dispatcher, run_workers
from resources.destinations import Destination
from resources.postgres.databases import engine_of, pooled_engine

#: The database's clock, moved by what stands in a table; found before the server's own.
_CLOCK = (
    "CREATE TABLE chaos_clock (moved interval NOT NULL)",
    "INSERT INTO chaos_clock VALUES ('0')",
    "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
    "'SELECT pg_catalog.clock_timestamp() + (SELECT moved FROM public.chaos_clock)'",
    "CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
    "'SELECT pg_catalog.now() + (SELECT moved FROM public.chaos_clock)'",
)
#: Seconds: how far it jumps, and how long a dispatcher holds what it took.
JUMPS, LEASE = (2, 30, 3_600, 7_200, 86_400), 5


@dataclass
class Shop:
    """Does each key once; an answer takes a moment, now and then longer than a lease that a jump ends."""

    draw: Random
    keyless: bool
    happened: Counter[UUID] = field(default_factory=Counter)
    of_action: Counter[int] = field(default_factory=Counter)
    attempts: int = 1_000
    longest_seconds: float = 1.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, action: ClaimedAction) -> DeliveryResult:
        sent = replace(action, key=uuid4()) if self.keyless else action
        time.sleep(self.draw.choice([0.001, 0.005, 0.03]))
        with self._lock:
            if not self.happened[sent.key]:
                self.happened[sent.key] += 1
                self.of_action[action.id] += 1
        return DeliveryResult(DeliveryStatus.DONE, receipt={"status": 200})

    def look_up(self, action: ClaimedAction) -> DeliveryResult | None:
        return (
            DeliveryResult(DeliveryStatus.DONE)
            if self.happened[action.key]
            else DeliveryResult(DeliveryStatus.AGAIN, "never_seen", "never seen")
        )

    def remembers(self, seconds: float) -> bool:
        return True


def suite(given: Given) -> Tally:
    from resources.ledger.migrate import upgrade
    from resources.postgres.embedded import EmbeddedServer

    tally, draw = Tally(), Random(given.seed)
    with tempfile.TemporaryDirectory(prefix="pipeline-chaos-") as name:
        server = EmbeddedServer(Path(name) / "postgres")
        try:
            url = server.start()
            upgrade(url)
            _race(_with_clock(url), draw, given, tally)
        finally:
            server.stop()
    return tally


def _with_clock(url: str) -> str:
    """The same database, to sessions of which the time is what the suite says."""
    with engine_of(url).begin() as connection:
        for statement in _CLOCK:
            connection.execute(text(statement))
    moved = make_url(url).update_query_dict({"options": "-c search_path=public,pg_catalog"})
    return moved.render_as_string(hide_password=False)


def _race(url: str, draw: Random, given: Given, tally: Tally) -> None:
    jumps = given.times
    ask(url, Chaos(actions=8 * jumps))
    shop, stopping, engine = Shop(Random(given.seed), given.without == "keys"), threading.Event(), pooled_engine(url, 6)
    # so that hours of patience pass in seconds
    pace.FIRST_WAIT, pace.LONGEST_WAIT, pace.OPEN_SECONDS, pace.LONGEST_OPEN = FIRST_WAIT, LONGEST_WAIT, REST, 2 * REST
    pace.RETRIES_A_SECOND, dispatching.IDLE_SECONDS = 1_000.0, 0.02
    dispatchers = [
        Dispatcher(engine, {(FLOW, "shop"): cast(Destination, shop)}, {FLOW: "team:chaos"}, str(number), batch=8,
                   lease_seconds=LEASE, stopping=stopping)
        for number in range(4)
    ]  # fmt: skip
    working = threading.Thread(target=run_workers, args=(dispatchers, False))
    working.start()
    try:
        latest = 0
        for _ in range(jumps):
            moved = draw.choice([-1, 1]) * draw.choice(JUMPS)
            _set(url, moved)
            latest = max(latest, moved)
            time.sleep(draw.uniform(0.02, 0.08))
            tally.note("forth" if moved > 0 else "back", Came.WELL)
        # what was put off while the clock stood in tomorrow is due tomorrow
        _set(url, latest + LEASE)
        _until_done(url)
    finally:
        stopping.set()
        working.join()
    with engine_of(url).connect() as connection:
        rows = connection.execute(text("SELECT id, state FROM actions WHERE night = :night"), {"night": NIGHT}).all()
    for row in rows:
        if shop.of_action[row.id] > 1:
            tally.note("effects of one action", Came.DOUBLED, f"action {row.id}: {shop.of_action[row.id]}")
        elif row.state == "done" and not shop.of_action[row.id]:
            tally.note("said to be done", Came.SILENT, f"action {row.id}")
        elif row.state != "done":
            tally.note("not done", Came.LOST, f"action {row.id} is {row.state}")


def _set(url: str, moved: int) -> None:
    with engine_of(url).begin() as connection:
        connection.execute(text("UPDATE chaos_clock SET moved = :moved * interval '1 second'"), {"moved": moved})


def _until_done(url: str, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    left = text(
        "SELECT count(*) FROM actions WHERE night = :night AND state IN ('ready', 'sending', 'unknown', 'waiting')"
    )
    while time.monotonic() < until:
        with engine_of(url).connect() as connection:
            if not connection.scalar(left, {"night": NIGHT}):
                return
        time.sleep(0.1)


if __name__ == "__main__":
    raise SystemExit(run("clock", str(__doc__), ["keys"], 100, suite))
