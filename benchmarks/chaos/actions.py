"""Actions under faults and kills: dispatchers die anywhere between claim, send and settle, the shop fails to order.

Everything drawn hangs on the seed: which requests go wrong and how, where each dispatcher ends itself with SIGKILL, and
its jitter. What is left is a history - the shop's book, the outbox - and one checker reads it: each effect once, in
order, none invented, none lost, none of a night that was not released.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select, text

from benchmarks.chaos.deliveries import History, Verdict, judge
from benchmarks.chaos.dispatching import FLOW, NIGHT, SECRET, SILENT, UNRELEASED, Chaos, Point, Protection, live
from benchmarks.chaos.verdicts import Seen
from benchmarks.chaos.verdicts import tell as tell_driver
from benchmarks.passed import let_through, passed
from pipeline_project.domain.deciding.recorded import NewDecision
from pipeline_project.domain.delivery.planned_actions import ActionKind, ActionTerms
from pipeline_project.domain.delivery.planning import plan_actions
from pipeline_project.sample.shop_faults import Fault, Ordered, mixed
from resources.ledger.audit.chain import append
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.outbox.outbox import enqueue, release_night
from resources.ledger.tables.actions import actions
from resources.postgres.databases import engine_of

STEPS = ("hold", "restock", "notice", "refund")
PASSING = (Fault.ERROR_BEFORE, Fault.ERROR_AFTER, Fault.BUSY, Fault.SILENT_BEFORE, Fault.SILENT_AFTER)
_fork = multiprocessing.get_context("fork")


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
        rows = [NewDecision(case, "refund", "cheapest", spec_hash="spec", data_versions={}) for case in cases]
        attempt = ledger.begin_attempt(FLOW, night, "chaos")
        ledger.record_decisions(FLOW, night, attempt, rows, basis=passed(ledger, FLOW, night))
        planned = [
            action
            for number, case in enumerate(cases)
            for action in plan_actions(terms, night, case, 1, "refund", {"price": 10 + number % 90})
        ]
        with engine_of(url).begin() as connection:
            append(connection, "actions", FLOW, enqueue(connection, planned, terms).facts)
    with engine_of(url).begin() as connection:
        cleared = let_through(connection, FLOW, NIGHT, "release", run_id="chaos")
        release_night(connection, FLOW, NIGHT, 1, "chaos", cleared)
        if chaos.without is Protection.RELEASE:
            # taken out: a night is let go before its checks have passed, and the database's own guard sleeps
            connection.execute(text("ALTER TABLE releases DISABLE TRIGGER night_is_cleared"))
            release_night(connection, FLOW, UNRELEASED, 1, "chaos")
            connection.execute(text("ALTER TABLE releases ENABLE TRIGGER night_is_cleared"))


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
        process = _fork.Process(target=live, args=(url, shop, chaos, lives, point, after))
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


# -- the command -------------------------------------------------------------------------------------------------


def main() -> int:
    from resources.ledger.migrate import upgrade
    from resources.postgres.embedded import EmbeddedServer

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
    return tell_driver(seen(history, verdict))


def seen(history: History, verdict: Verdict) -> Seen:
    """The same in short; whatever was taken out, the goal is the same."""
    requests = sum(history.faults.values())
    wrong = requests - history.faults.get(Fault.NONE, 0)
    kills = sum(history.killed.values())
    words = f"{len(history.effects):,} effects, {wrong:,} of {requests:,} requests gone wrong, {kills} kills: "
    words += (
        "each effect once" if verdict.well else "; ".join(finding.partition(":")[0] for finding in verdict.findings)
    )
    counts = {name: len(keys) for name, keys in verdict.kinds.items()}
    lost = counts.get("not done", 0) + counts.get("said to be done, but never happened", 0)
    doubled = counts.get("happened more than once", 0) + counts.get("never asked for", 0)
    silent = counts.get("of a night that was not released", 0) + counts.get("out of order", 0)
    return Seen(verdict.well, words, wrong + kills, lost, doubled, silent)


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
