"""`python -m benchmarks.desk`: how long the desk takes with many open tasks and many people, over HTTP and statement by
statement.

The queue is made up by the database (`benchmarks/many_tasks.py`); everything else is the real desk with its sign-in and
its role, served by uvicorn in this process. What a statement reads is counted beside its milliseconds: counts do not
depend on who else uses the machine.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import httpx
from sqlalchemy import Engine, text

from benchmarks.chaos.reviews import ACTING, TERMS
from benchmarks.chaos.running import free_ports
from benchmarks.home import bench_home
from benchmarks.many_tasks import SKILL, make_tasks
from benchmarks.plans import Explained, explained
from benchmarks.tables import machine, table, verdict
from pipeline_project.container.desk import open_desk_ports, open_frame
from pipeline_project.container.owner import OwnerStores, migrated
from pipeline_project.desk.app import build_app
from pipeline_project.domain.core.people import NewAccount, Person, PersonRole
from pipeline_project.domain.review.answers import Answer
from pipeline_project.domain.review.new_tasks import DeskRules, SpreadTerms
from pipeline_project.domain.review.tasks import QueueFilter, TaskClaim
from pipeline_project.serving.ports import HERE
from pipeline_project.settings import Settings
from pipeline_project.spec.load import load_all
from resources.ledger.people.accounts import PostgresPeople
from resources.ledger.review.answers import ReviewAnswers
from resources.ledger.review.clock import tick
from resources.ledger.review.clusters import PostgresClusters
from resources.ledger.review.tasks import ReviewTasks
from resources.postgres.databases import engine_of, pooled_engine

Result = TypeVar("Result")

GOAL_MS = 50.0
WORKFLOW, LATE = "returns", "vehicle_claims"
PASSWORD = "a password for the bench"
ROLES = (PersonRole.REVIEWER, PersonRole.APPROVER)
#: Pages that everybody opens now and then.
PAGES = {
    "the queue": "/",
    "the queue of a workflow": f"/?workflow={WORKFLOW}",
    "the queue by reason": f"/?workflow={WORKFLOW}&why=surprise",
    "the nights": f"/nights?workflow={WORKFLOW}",
}
#: Tasks handed out while somebody holds a snapshot, as a backup does.
UNDER_SNAPSHOT = 2_000


@dataclass
class Times:
    """Milliseconds of each kind of request, over all people."""

    of: dict[str, list[float]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def timed(self, kind: str, act: Callable[[], Result]) -> Result:
        began = time.perf_counter()
        done = act()
        took = 1000 * (time.perf_counter() - began)
        with self.lock:
            self.of.setdefault(kind, []).append(took)
        return done

    def rows(self) -> list[tuple[object, ...]]:
        return [
            (kind, len(values), *(round(percentile(values, share), 1) for share in (50, 95, 99)))
            for kind, values in self.of.items()
        ]


def over_http(url: str, times: Times, person: str, each: int) -> None:
    """One browser: signs in, takes a task, reads its page, gives it back, and looks around every now and then."""
    with httpx.Client(base_url=url, timeout=120) as browser:
        form = re.search(r'name="form" value="([^"]+)"', browser.get("/sign-in").text)
        signed = {"name": person, "password": PASSWORD, "form": form[1] if form else "", "next": "/"}
        browser.post("/sign-in", data=signed)
        found = re.search(r'name="csrf" value="([^"]+)"', browser.get("/me").text)
        csrf = {"csrf": found[1] if found else ""}
        for number in range(each):
            answer = times.timed("next task", partial(browser.post, "/next", data={**csrf, "workflow": WORKFLOW}))
            place = answer.headers.get("location", "")
            if not place.startswith("/tasks/"):
                raise RuntimeError(f"the desk answered {answer.status_code} and no task; ask for more --tasks")
            times.timed("a task's page", partial(browser.get, place)).raise_for_status()
            for kind, page in PAGES.items() if number % 10 == 0 else ():
                times.timed(kind, partial(browser.get, page)).raise_for_status()


def directly(url: str, times: Times, person: Person, each: int) -> None:
    """One person at the ledger, without pages: takes a task and answers it."""
    engine = partial(pooled_engine, size=16)
    desk, answers, rules = ReviewTasks(url, engine), ReviewAnswers(url, engine), DeskRules(TERMS, ACTING)
    for _ in range(each):
        task = times.timed("next task, without HTTP", lambda: desk.next_task(person, WORKFLOW))
        if task is None or task.token is None:
            raise RuntimeError("the queue is empty; ask for more --tasks")
        claim = TaskClaim(task.id, task.version, task.token, person.name)
        answer = Answer("refund", "defective", "policy")
        times.timed("answer, without HTTP", partial(answers.answer, claim, answer, rules))


def together(people: Sequence[str], work: Callable[[str], None]) -> None:
    """Everybody at once.

    Raises:
        RuntimeError: somebody's work failed.
    """
    failed: list[BaseException] = []

    def guarded(name: str) -> None:
        try:
            work(name)
        except Exception as error:  # noqa: BLE001 - the others end, and then it is told
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(name,)) for name in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise RuntimeError("a person's work failed") from failed[0]


@contextmanager
def served(stores: OwnerStores) -> Iterator[str]:
    """The real desk of a home, at an address of this machine."""
    import uvicorn

    (port,) = free_ports(1)
    frame = open_frame(stores.settings, f"http://{HERE}:{port}", {})
    specs = load_all(stores.settings.workflow_folders).specs
    app = build_app(open_desk_ports(stores, specs), replace(frame, requests_a_minute=10**6, sign_ins_a_minute=1000))
    server = uvicorn.Server(uvicorn.Config(app, host=HERE, port=port, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        yield f"http://{HERE}:{port}"
    finally:
        server.handle_exit(signal.SIGTERM, None)
        thread.join()


def statement_rows(url: str) -> list[tuple[object, ...]]:
    """What the dearest statement of each thing people and the clock do reads."""
    desk, clusters = ReviewTasks(url), PostgresClusters(url)
    somebody = Person("somebody", "Somebody", frozenset({PersonRole.REVIEWER}))
    skilled, approver = replace(somebody, skills=frozenset({SKILL})), replace(somebody, roles=frozenset(ROLES))
    late = (replace(TERMS, workflow=LATE), replace(ACTING, workflow=LATE))
    spread = replace(TERMS, clusters=SpreadTerms(0.3, 0.2, None, 6))
    acts: Mapping[str, Callable[[], object]] = {
        "next task of all": lambda: desk.next_task(somebody),
        "next task of a workflow": lambda: desk.next_task(somebody, WORKFLOW),
        "next task, with a skill": lambda: desk.next_task(skilled, WORKFLOW),
        "next task of an approver": lambda: desk.next_task(approver, "support_tickets"),
        "next task where few wait and many are late": lambda: desk.next_task(somebody, LATE),
        "a page of the queue": lambda: desk.queue(),
        "a page of a workflow": lambda: desk.queue(QueueFilter(workflow=WORKFLOW)),
        "a page of a night": lambda: desk.queue(QueueFilter(workflow=WORKFLOW, night="2026-01-20"), 20),
        "a page by a rare reason": lambda: desk.queue(QueueFilter(why="surprise")),
        "one's own": lambda: desk.mine("reviewer-7"),
        "the tasks of a case": lambda: desk.of_case(WORKFLOW, "C-77"),
        "one cluster": lambda: clusters.open_cluster(WORKFLOW, "K-7", spread),
        "all clusters": lambda: clusters.open_clusters(WORKFLOW, spread),
        "a tick with 20,000 to move": lambda: tick(url, LATE, *late),
    }
    return [(name, *_dearest(pooled_engine(url), act)) for name, act in acts.items()]


def _dearest(engine: Engine, act: Callable[[], object]) -> tuple[object, ...]:
    with explained(engine) as plans:
        act()
    dearest = max(plans, key=lambda plan: plan.milliseconds)
    return len(plans), round(dearest.milliseconds, 1), dearest.rows, dearest.pages, _way(dearest)


def _way(plan: Explained) -> str:
    scan = max(plan.scans, key=lambda scan: scan.rows, default=None)
    return "" if scan is None else scan.index or f"the whole of {scan.table}"


def under_snapshot(url: str, times: Times, count: int) -> None:
    """Hands out tasks while a transaction keeps its snapshot: what has left the queue stays in its indexes."""
    desk = ReviewTasks(url)
    people = [Person(f"hand-{place}", "Hand", frozenset({PersonRole.REVIEWER})) for place in range(20)]
    with engine_of(url).connect() as keeping:
        keeping.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        keeping.execute(text("SELECT 1 FROM review_tasks LIMIT 1")).all()
        for number in range(count):
            kind = f"next task, after {count - 200:,} under a snapshot" if number >= count - 200 else "under a snapshot"
            times.timed(kind, partial(desk.next_task, people[number % 20], WORKFLOW))
    times.of.pop("under a snapshot")


def percentile(values: Sequence[float], share: int) -> float:
    """Of milliseconds; `share` of 1 to 99."""
    return statistics.quantiles(values, n=100)[share - 1]


def report(home: Path, tasks: int, people: int, each: int) -> str:
    settings = Settings.from_environ({**os.environ, "PIPELINE_HOME": str(home)})
    settings = replace(settings, home=home)
    stores = OwnerStores(settings, migrated(settings)[0])
    url = stores.databases.ledger_url
    began = time.perf_counter()
    make_tasks(engine_of(url), tasks)
    made = time.perf_counter() - began
    accounts = PostgresPeople(url)
    names = [f"bench-{place}" for place in range(people)]
    for name in names:
        accounts.add(NewAccount(name, name, ROLES, PASSWORD), "bench")
    times = Times()
    with served(stores) as desk:
        together(names, lambda name: over_http(desk, times, name, each))
    together(names, lambda name: directly(url, times, Person(name, name, frozenset(ROLES)), each))
    under_snapshot(url, times, UNDER_SNAPSHOT)
    told = [f"{tasks:,} open tasks made in {made:.0f} s.\n"]
    told.append(table(f"{people} people at once, in ms", ["", "times", "p50", "p95", "p99"], times.rows()))
    for kind in ("next task", "next task, without HTTP"):
        p95 = percentile(times.of[kind], 95)
        told.append(f"p95 of {kind}: {p95:.1f} ms (goal: {GOAL_MS:g}), {verdict(p95 <= GOAL_MS)}.\n")
    columns = ["", "statements", "the dearest, ms", "rows read", "pages of 8 KiB", "by"]
    told.append(table("What is read, one person alone", columns, statement_rows(url)))
    pooled_engine(url).dispose()
    return "\n".join(told)


def main() -> None:
    given = _arguments()
    print(f"## The desk\n\n{machine()}.\n", flush=True)
    with bench_home() as home:
        print(report(home, given.tasks, given.people, given.each), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.desk", description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000, help="open ones (default: %(default)s)")
    parser.add_argument("--people", type=int, default=8, help="at once (default: %(default)s)")
    parser.add_argument("--each", type=int, default=60, help="tasks that each of them takes (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
