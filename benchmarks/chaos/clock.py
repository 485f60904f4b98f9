"""The database's clock jumps while two dispatchers send: hours forth and back, in the middle of leases and waits.

What counts is that each effect happens once and none is lost. A jump is made by moving what stands against the clock:
the ends of leases, when an action is due, when it was first tried. `--without keys` makes a key for each try.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

from sqlalchemy import text

from benchmarks.chaos.actions import ask
from benchmarks.chaos.dispatching import FIRST_WAIT, FLOW, LONGEST_WAIT, NIGHT, REST, Chaos
from benchmarks.chaos.tally import Came, Given, Tally, run
from pipeline_project.domain.acting import pace
from pipeline_project.domain.acting.pace import Answer, Fate
from resources.actions import dispatcher as dispatching
from resources.actions.dispatcher import Dispatcher, run_workers
from resources.actions.sent import Sent
from resources.postgres import engine_of, pooled_engine

#: What stands in the outbox against the clock.
_JUMP = (
    "UPDATE actions SET next_at = next_at + :by * interval '1 second', "
    "lease_until = lease_until + :by * interval '1 second', "
    "first_sent_at = first_sent_at + :by * interval '1 second' WHERE state IN ('ready', 'sending', 'unknown')"
)


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

    def send(self, action: Sent) -> Answer:
        sent = replace(action, key=uuid4()) if self.keyless else action
        time.sleep(self.draw.choice([0.001, 0.005, 0.03]))
        with self._lock:
            if not self.happened[sent.key]:
                self.happened[sent.key] += 1
                self.of_action[action.id] += 1
        return Answer(Fate.DONE, receipt={"status": 200})

    def look_up(self, action: Sent) -> Answer | None:
        return Answer(Fate.DONE) if self.happened[action.key] else Answer(Fate.AGAIN, "never_seen", "never seen")

    def remembers(self, seconds: float) -> bool:
        return True


def suite(given: Given) -> Tally:
    from resources.embedded import EmbeddedServer
    from resources.ledger.migrate import upgrade

    tally, draw = Tally(), Random(given.seed)
    with tempfile.TemporaryDirectory(prefix="pipeline-chaos-") as name:
        server = EmbeddedServer(Path(name) / "postgres")
        try:
            url = server.start()
            upgrade(url)
            _race(url, draw, given, tally)
        finally:
            server.stop()
    return tally


def _race(url: str, draw: Random, given: Given, tally: Tally) -> None:
    jumps = given.times
    ask(url, Chaos(actions=8 * jumps))
    shop, stopping, engine = Shop(Random(given.seed), given.without == "keys"), threading.Event(), pooled_engine(url, 6)
    # so that hours of patience pass in seconds
    pace.FIRST_WAIT, pace.LONGEST_WAIT, pace.OPEN_SECONDS, pace.LONGEST_OPEN = FIRST_WAIT, LONGEST_WAIT, REST, 2 * REST
    pace.RETRIES_A_SECOND, dispatching.IDLE_SECONDS = 1_000.0, 0.02
    dispatchers = [
        Dispatcher(engine, {(FLOW, "shop"): shop}, {FLOW: "team:chaos"}, str(number), batch=8, lease_seconds=5.0,
                   stopping=stopping)
        for number in range(4)
    ]  # fmt: skip
    working = threading.Thread(target=run_workers, args=(dispatchers, False))
    working.start()
    try:
        for _ in range(jumps):
            by = draw.choice([-1, 1]) * draw.choice([2, 30, 3600, 7200, 86400])
            _jump(url, by)
            time.sleep(draw.uniform(0.02, 0.08))
            # and back, or what was moved into tomorrow would be due tomorrow
            _jump(url, -by)
            tally.note("forth and back" if by > 0 else "back and forth", Came.WELL)
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


def _jump(url: str, by: int) -> None:
    with engine_of(url).begin() as connection:
        connection.execute(text(_JUMP), {"by": by})


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
