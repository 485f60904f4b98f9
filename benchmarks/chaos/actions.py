"""Actions under faults and kills: dispatchers die anywhere between claim, send and settle, the shop fails to order.

Everything drawn hangs on the seed: which requests go wrong and how, where each dispatcher ends itself with SIGKILL, and
its jitter. What is left is a history - the shop's book, the outbox - and one checker reads it: each effect once, in
order, none invented, none lost, none of a night that was not released.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import select

from benchmarks.chaos.deliveries import History, Verdict, judge
from pipeline_project.domain.acting import pace
from pipeline_project.domain.acting.model import ActionKind, ActionTerms
from pipeline_project.domain.acting.pace import Answer, Fate
from pipeline_project.domain.acting.plan import plan_actions
from pipeline_project.sample.shop_faults import Fault, Ordered, mixed
from resources.actions import claims
from resources.actions import dispatcher as dispatching
from resources.actions.destinations.http import HttpService
from resources.actions.dispatcher import Dispatcher
from resources.actions.outbox import enqueue, release_night
from resources.actions.sent import Sent
from resources.ledger.action_tables import actions
from resources.ledger.ledger import PostgresLedger
from resources.postgres import engine_of, pooled_engine

FLOW, NIGHT, UNRELEASED = "chaos", "2025-03-05", "2025-03-06"
SECRET = "whsec_" + "Y2hhb3Mh" * 4
STEPS = ("hold", "restock", "notice", "refund")
PASSING = (Fault.ERROR_BEFORE, Fault.ERROR_AFTER, Fault.BUSY, Fault.SILENT_BEFORE, Fault.SILENT_AFTER)
#: So that hours of patience pass in seconds; the lease must outlast a batch.
SILENT, TIMEOUT, LEASE, FIRST_WAIT, LONGEST_WAIT, REST, RETRIES = 0.4, 0.15, 4.0, 0.05, 0.5, 0.2, 40.0
_fork = multiprocessing.get_context("fork")


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


def run(url: str, chaos: Chaos) -> tuple[History, Verdict]:
    """Sends a night's actions under faults and kills.

    Args:
        url: an empty, migrated ledger.

    Raises:
        RuntimeError: the shop does not start.
    """
    began = time.monotonic()
    draws = random.Random(chaos.seed)
    ask(url, chaos)
    killed: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="pipeline-chaos-") as folder, _shop(Path(folder), chaos) as shop:
        with ExitStack() as running:
            _send(url, shop, chaos, draws, killed, running)
        book = httpx.get(f"{shop}/book", timeout=30).json()
    with engine_of(url).connect() as connection:
        columns = (actions.c.case_id, actions.c.step, actions.c.state, actions.c.attempts)
        rows = connection.execute(select(actions.c.key, actions.c.night, *columns)).all()
    history = History(
        [{**row._asdict(), "key": str(row.key), "night": str(row.night)} for row in rows],
        [{"number": each["number"], "key": each["key"], "asked": each["asked"]} for each in book["effects"]],
        [NIGHT],
        dict(killed),
        book["faults"],
        time.monotonic() - began,
    )
    return history, judge(history)


# -- what is asked for -------------------------------------------------------------------------------------------


def _terms() -> ActionTerms:
    kinds = {name: ActionKind(name, "shop", final=name == "refund") for name in STEPS}
    kinds["refund"] = replace(kinds["refund"], money="price")
    return ActionTerms(FLOW, "default", True, None, "EUR", kinds, {"refund": STEPS})


def ask(url: str, chaos: Chaos) -> None:
    """One night that is released, and a smaller one that is not: nothing of it may leave."""
    ledger, terms = PostgresLedger(url), _terms()
    ledger.record_workflow(FLOW, "spec", {"name": FLOW})
    for night, count in ((NIGHT, chaos.actions), (UNRELEASED, max(8, chaos.actions // 10))):
        cases = [f"C{night[-2:]}-{number:06}" for number in range(max(1, count // len(STEPS)))]
        rows = [
            {"case_id": case, "option": "refund", "reason": "cheapest", "spec_hash": "spec", "data_versions": {}}
            for case in cases
        ]
        attempt = ledger.begin_attempt(FLOW, night, "chaos")
        ledger.record_decisions(FLOW, night, attempt, rows)
        planned = [
            action
            for number, case in enumerate(cases)
            for action in plan_actions(terms, night, case, 1, "refund", {"price": 10 + number % 90})
        ]
        with engine_of(url).begin() as connection:
            enqueue(connection, planned, terms)
    with engine_of(url).begin() as connection:
        release_night(connection, FLOW, NIGHT, 1, "chaos")
        if chaos.without is Protection.RELEASE:
            # taken out: a night is let go before its checks have passed
            release_night(connection, FLOW, UNRELEASED, 1, "chaos")


# -- the shop ----------------------------------------------------------------------------------------------------


@contextmanager
def _shop(folder: Path, chaos: Chaos) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    ordered = Ordered(seed=chaos.seed, rates=mixed(chaos.faults, PASSING), retry_after=0, silent_seconds=SILENT)
    process = _fork.Process(target=_serve, args=(folder, port, ordered, chaos.forgetful))
    process.start()
    try:
        yield _answering(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.join(10)
        if process.is_alive():
            process.kill()


def _serve(folder: Path, port: int, ordered: Ordered, forgetful: bool) -> None:
    import uvicorn

    from pipeline_project.sample.shop import Book, Faults, build_shop

    book = Book(folder / "book.jsonl", remembers_seconds=0.0 if forgetful else 24 * 3600.0)
    app = build_shop(book, SECRET, Faults(ordered))
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


def _answering(shop: str) -> str:
    for _ in range(200):
        try:
            httpx.get(f"{shop}/healthz", timeout=1).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.05)
        else:
            return shop
    raise RuntimeError("the fake shop did not start within ten seconds")


# -- the dispatchers ---------------------------------------------------------------------------------------------


def _send(url: str, shop: str, chaos: Chaos, draws: random.Random, killed: Counter[str], running: ExitStack) -> None:
    """Keeps dispatchers running until nothing is left to send; those that die are replaced."""
    until = time.monotonic() + chaos.seconds
    alive: list[tuple[Any, Point | None]] = []
    lives = 0

    def start(point: Point | None) -> None:
        nonlocal lives
        lives += 1
        # soon enough that a life ends long before the work does
        after = draws.randint(1, max(2, chaos.actions // (2 * max(1, chaos.kills))))
        process = _fork.Process(target=_live, args=(url, shop, chaos, lives, point, after))
        process.start()
        running.callback(_end, process)
        alive.append((process, point))

    def planned() -> Point | None:
        mined = sum(point is not None for _, point in alive)
        return draws.choice(list(Point)) if sum(killed.values()) + mined < chaos.kills else None

    for _ in range(chaos.dispatchers):
        start(planned())
    while time.monotonic() < until:
        for each in [each for each in alive if not each[0].is_alive()]:
            alive.remove(each)
            if each[1] is not None and each[0].exitcode == -signal.SIGKILL:
                killed[each[1].value] += 1
            elif each[0].exitcode != 0:
                raise RuntimeError(f"a dispatcher ended by itself with code {each[0].exitcode}")
            start(planned())
        if not _left(url):
            break
        time.sleep(0.05)


def _end(process: Any) -> None:
    process.terminate()
    process.join(10)
    if process.is_alive():
        process.kill()
        process.join()


def _left(url: str) -> bool:
    """Whether anything of a released night is still to be sent."""
    open_states = ("waiting", "ready", "sending", "unknown")
    query = select(actions.c.id).where(actions.c.state.in_(open_states), actions.c.night == NIGHT).limit(1)
    with engine_of(url).connect() as connection:
        return connection.scalar(query) is not None


def _live(url: str, shop: str, chaos: Chaos, life: int, point: Point | None, after: int) -> None:
    """One dispatcher process, until it is told to stop or meets its point for the `after`-th time."""
    pace.FIRST_WAIT, pace.LONGEST_WAIT, pace.OPEN_SECONDS = FIRST_WAIT, LONGEST_WAIT, REST
    pace.RETRIES_A_SECOND, claims.OPEN_SECONDS = RETRIES, REST
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
    place = _Place(service, mine, chaos.without)
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

    def send(self, action: Sent) -> Answer:
        self.mine.meet(Point.BEFORE_SEND)
        # taken out: a key for each try, as somebody would have who makes them from the attempt
        sent = replace(action, key=uuid4()) if self.without is Protection.KEYS else action
        answer = self.service.send(sent)
        self.mine.meet(Point.AFTER_SEND)
        if self.without is Protection.UNKNOWN and answer.fate is Fate.UNKNOWN:
            return Answer(Fate.DONE)
        return answer

    def look_up(self, action: Sent) -> Answer | None:
        return self.service.look_up(action)

    def remembers(self, seconds: float) -> bool:
        return self.service.remembers(seconds)


# -- the command -------------------------------------------------------------------------------------------------


def main() -> int:
    from resources.embedded import EmbeddedServer
    from resources.ledger.migrate import upgrade

    given = _arguments()
    without = Protection(given.without) if given.without else None
    chaos = Chaos(
        given.actions, given.faults, given.kills, given.seed, given.dispatchers, given.workers, given.forgetful,
        without, given.seconds,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="pipeline-chaos-") as name:
        server = EmbeddedServer(Path(name) / "postgres")
        try:
            url = server.start()
            upgrade(url)
            history, verdict = run(url, chaos)
        finally:
            server.stop()
    if given.history:
        given.history.write_text(json.dumps(asdict(history), default=str))
    tell(chaos, history, verdict)
    return 0 if verdict.well == (without is None) else 1


def tell(chaos: Chaos, history: History, verdict: Verdict) -> None:
    """Prints what happened, as Markdown."""
    done = sum(row["state"] == "done" for row in history.actions)
    requests = sum(history.faults.values())
    wrong = requests - history.faults.get(Fault.NONE, 0)
    print(f"## {len(history.actions):,} actions, {chaos.faults:.0%} faults, seed {chaos.seed}\n")
    print("| | |\n|---|---:|")
    print(f"| done | {done:,} |\n| effects in the shop's book | {len(history.effects):,} |")
    print(f"| requests | {requests:,} |\n| of those gone wrong | {wrong:,} |")
    print(f"| kills | {sum(history.killed.values())} |\n| seconds | {history.seconds:.0f} |")
    for point, times in sorted(history.killed.items()):
        print(f"| killed: {point} | {times} |")
    print("\n" + ("Each effect once." if verdict.well else "; ".join(verdict.findings) + "."))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos.actions", description=__doc__)
    whole = Chaos()
    parser.add_argument("--actions", type=int, default=10_000, help="of the released night (default: %(default)s)")
    parser.add_argument("--faults", type=float, default=whole.faults, help="share of requests (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=100, help="of dispatchers (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=whole.seed, help="(default: %(default)s)")
    parser.add_argument("--dispatchers", type=int, default=whole.dispatchers, help="processes (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=4, help="threads of each (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=1800, help="at most (default: %(default)s)")
    parser.add_argument("--forgetful", action="store_true", help="a shop that remembers no key, but can be asked")
    parser.add_argument("--without", choices=[each.value for each in Protection], help="take this protection out")
    parser.add_argument("--history", type=Path, help="write what happened to this file, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
