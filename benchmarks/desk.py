"""`python -m benchmarks.desk`: how long handing out the next task takes, with many open ones and many people."""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from sqlalchemy import text

from benchmarks.chaos.reviews import ACTING, NIGHT, TERMS, WORKFLOW, fresh_ledger
from benchmarks.home import bench_home
from benchmarks.tables import machine, table, verdict
from pipeline_project.domain.core.people import Person, PersonRole
from pipeline_project.domain.review.answers import Answer
from pipeline_project.domain.review.new_tasks import DeskRules
from pipeline_project.domain.review.tasks import TaskClaim
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.review.answers import ReviewAnswers
from resources.ledger.review.clock import tick
from resources.ledger.review.tasks import ReviewTasks
from resources.postgres.databases import engine_of, pooled_engine
from resources.postgres.embedded import EmbeddedServer

Result = TypeVar("Result")

GOAL_MS = 50.0

#: Content as large as a real case's: fields, probabilities, costs, neighbours, history.
_OPEN = """
INSERT INTO review_tasks (workflow, night, case_id, epoch, why, benefit, amount, information, subject, cluster, content,
    priority, currency, due_at)
SELECT :workflow, :night, 'C-' || i, 1, 'doubt', b, 20 + b, 0.3, 'S-' || i % 20000, 'K-' || i % 300,
    jsonb_build_object('fields', jsonb_build_object('price', 20.0), 'labels', repeat(md5(i::text), 100)), b, 'EUR',
    now() + make_interval(hours => 60 + i % 300)
FROM (SELECT i, 40 * random() AS b FROM generate_series(1, :count) i) AS drawn
"""
_DECIDED = """
INSERT INTO decisions (workflow, case_id, epoch, night, option, reason, spec_hash, data_versions, attempt, run_id)
SELECT workflow, case_id, 1, night, 'ask_person', 'doubt', 'spec', '{"cases": 1}', 1, 'run' FROM review_tasks
"""


@dataclass(frozen=True)
class Times:
    """Milliseconds of each kind of request, over all people."""

    taken: Sequence[float]
    answered: Sequence[float]
    listed: Sequence[float]
    tick: float


def measure(url: str, tasks: int, people: int, each: int) -> Times:
    """Everybody at once takes and answers `each` tasks of a queue with so many open ones, and looks at the queue."""
    PostgresLedger(url).record_workflow(WORKFLOW, "spec", {"name": WORKFLOW})
    with engine_of(url).begin() as connection:
        connection.execute(text("SELECT setseed(0.7)"))
        connection.execute(text(_OPEN), {"workflow": WORKFLOW, "night": NIGHT, "count": tasks})
        # the queue is made up: no checks of a night stand behind it
        connection.execute(text("ALTER TABLE decisions DISABLE TRIGGER night_is_cleared"))
        connection.execute(text(_DECIDED))
        connection.execute(text("ALTER TABLE decisions ENABLE TRIGGER night_is_cleared"))
        connection.execute(text("ANALYZE"))
    taken: list[float] = []
    answered: list[float] = []
    listed: list[float] = []
    start, said = threading.Barrier(people), Answer("refund", "defective", "policy")

    engine = partial(pooled_engine, size=people)

    def work(name: str) -> None:
        desk, answers = ReviewTasks(url, engine), ReviewAnswers(url, engine)
        rules = DeskRules(TERMS, ACTING)
        person = Person(name, name, frozenset({PersonRole.REVIEWER, PersonRole.APPROVER}))
        start.wait()
        for number in range(each):
            task = _timed(lambda: desk.next_task(person, WORKFLOW), taken)
            if task is None or task.token is None:
                raise RuntimeError("the queue is empty; ask for more --tasks")
            claim = TaskClaim(task.id, task.version, task.token, name)
            _timed(partial(answers.answer, claim, said, rules), answered)
            if number % 10 == 0:
                _timed(lambda: desk.queue(limit=50), listed)

    threads = [threading.Thread(target=work, args=(f"reviewer-{place}",)) for place in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    once: list[float] = []
    _timed(lambda: tick(url, WORKFLOW, TERMS, ACTING), once)
    return Times(taken, answered, listed, once[0])


def _timed(act: Callable[[], Result], into: list[float]) -> Result:
    began = time.perf_counter()
    done = act()
    into.append(1000 * (time.perf_counter() - began))
    return done


def percentile(values: Sequence[float], share: int) -> float:
    """Of milliseconds; `share` of 1 to 99."""
    return statistics.quantiles(values, n=100)[share - 1]


def main() -> None:
    given = _arguments()
    print(f"## The desk\n\n{machine()}.\n", flush=True)
    with bench_home() as home:
        server = EmbeddedServer(home / "postgres")
        try:
            with fresh_ledger(server.start()) as url:
                found = measure(url, given.tasks, given.people, given.each)
                pooled_engine(url, size=given.people).dispose()
        finally:
            server.stop()
    kinds = {"next task": found.taken, "answer": found.answered, "a page of the queue": found.listed}
    rows = [
        (kind, len(values), *(round(percentile(values, share), 1) for share in (50, 95, 99)))
        for kind, values in kinds.items()
    ]
    print(
        table(
            f"{given.tasks:,} open tasks, {given.people} people at once, in ms",
            ["", "times", "p50", "p95", "p99"],
            rows,
        )
    )
    p95 = percentile(found.taken, 95)
    print(f"p95 of the next task: {p95:.1f} ms (goal: {GOAL_MS:g}), {verdict(p95 <= GOAL_MS)}.")
    print(f"One tick of the clock: {found.tick:.0f} ms.\n", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.desk", description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000, help="open ones (default: %(default)s)")
    parser.add_argument("--people", type=int, default=8, help="at once (default: %(default)s)")
    parser.add_argument("--each", type=int, default=100, help="tasks that each of them takes (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
