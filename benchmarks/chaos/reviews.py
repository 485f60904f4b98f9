"""`python -m benchmarks.chaos.reviews`: reviewers race over one queue, crash, come back late, answer twice.

Everybody keeps a history of what the desk told them; a checker reads it beside the ledger. The verdict counts what was
done twice and what was lost. `--without claims` takes the check of claims out: the suite must then fail.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any
from unittest import mock
from uuid import uuid4

from sqlalchemy import NullPool, create_engine, make_url, text

from benchmarks.chaos.verdicts import Seen, tell
from benchmarks.passed import passed
from pipeline_project.domain.core.errors import StaleClaim, TaskTaken
from pipeline_project.domain.core.people import Person, PersonRole
from pipeline_project.domain.deciding.recorded import NewDecision
from pipeline_project.domain.delivery.planned_actions import ActionKind, ActionTerms
from pipeline_project.domain.review.answers import Answer
from pipeline_project.domain.review.new_tasks import DeskRules, NewTask, ReviewTerms
from pipeline_project.domain.review.tasks import Task, TaskClaim
from resources.ledger import migrate
from resources.ledger.audit.chain import append
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.review import answers as answering
from resources.ledger.review.answers import ReviewAnswers
from resources.ledger.review.clock import tick
from resources.ledger.review.statements import task_columns
from resources.ledger.review.tasks import ReviewTasks, open_tasks
from resources.postgres.databases import engine_of, pooled_engine

WORKFLOW, NIGHT = "returns", "2025-03-01"
TERMS = ReviewTerms(
    workflow=WORKFLOW, title="Returns", currency="EUR", options={"refund": "Refund", "reject": "Reject"},
    denies=frozenset({"reject"}), labels=("fine", "defective"), cost=4.5, capacity=10, due_hours=72,
    remind_hours=(24,), lapse_hours=96, safe_default=None, lease_minutes=15, most_tasks=40, skill=None,
    reasons={"policy": "House rules"},
    second_above=None, second_nights=30, repeats=0.0, acts=frozenset({"refund"}),
)  # fmt: skip
ACTING = ActionTerms(
    workflow=WORKFLOW, tenant="default", live=True, spend_cap=None, currency="EUR",
    kinds={"refund": ActionKind("refund", "shop", money="price", final=True)}, by_option={"refund": ("refund",)},
)  # fmt: skip

_OVER = "UPDATE review_tasks SET lease_until = clock_timestamp() - interval '1 second'"

#: What a reviewer does with a task in hand, and how often.
HABITS = {"answer": 80, "twice": 6, "walks_away": 6, "comes_back_late": 5, "gives_back": 3}


@dataclass(frozen=True)
class Entry:
    """What the desk told one reviewer: `claimed`, `answered`, `refused` or `given_back`, and under which version;
    `too_late` says that the lease of that version was over from then on."""

    person: str
    what: str
    task: int
    version: int


@dataclass(frozen=True)
class Verdict:
    """What the checker found.

    Attributes:
        double: tasks claimed twice under one version, answered, decided, learned or acted upon more than once.
        lost: tasks that nobody answered, or whose answer was told but is not there.
        late: answers under a claim that had ended, all of which must be refused.
        broken: in words, everything that is not as it must be.
    """

    tasks: int
    answered: int
    refused: int
    expired: int
    late: int
    double: int
    lost: int
    broken: tuple[str, ...]

    def passed(self) -> bool:
        return not self.broken and self.double == 0 and self.lost == 0


@dataclass
class Race:
    """One round: its seed decides who does what with which task in hand."""

    url: str
    reviewers: int = 8
    tasks: int = 2_000
    seed: int = 7
    history: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._engine = partial(pooled_engine, size=self.reviewers)

    def run(self) -> Verdict:
        """Opens the tasks, lets everybody work until nothing is left, and checks.

        Raises:
            RuntimeError: a reviewer stopped with an error that the desk may not show.
        """
        self._open()
        failed: list[BaseException] = []
        done, start = threading.Event(), threading.Barrier(self.reviewers + 1)

        def guarded(work: Callable[[], None]) -> None:
            try:
                start.wait()
                work()
            except Exception as error:  # noqa: BLE001 - the round must end and say what happened
                failed.append(error)
                done.set()

        people = [f"reviewer-{place}" for place in range(self.reviewers)]
        works = [lambda name=name, place=place: self._review(name, place, done) for place, name in enumerate(people)]
        threads = [threading.Thread(target=guarded, args=(work,)) for work in [*works, lambda: self._time(done)]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise RuntimeError(f"seed {self.seed}: a reviewer stopped") from failed[0]
        return check(self.url, self.history, self.tasks)

    def _open(self) -> None:
        ledger, random = PostgresLedger(self.url), Random(self.seed)
        ledger.record_workflow(WORKFLOW, "spec", {"name": WORKFLOW})
        cases = [f"C-{i:05}" for i in range(self.tasks)]
        attempt = ledger.begin_attempt(WORKFLOW, NIGHT, "run")
        ledger.record_decisions(
            WORKFLOW,
            NIGHT,
            attempt,
            [NewDecision(case, "ask_person", "doubt", spec_hash="spec", data_versions={"cases": 1}) for case in cases],
            basis=passed(ledger, WORKFLOW, NIGHT),
        )
        new = [
            NewTask(case, "doubt", random.uniform(0, 40), 20.0, 0.3, None, None, {"fields": {"price": 20.0}})
            for case in cases
        ]
        with engine_of(self.url).begin() as connection:
            append(connection, "decisions", WORKFLOW, open_tasks(connection, WORKFLOW, NIGHT, new, TERMS))

    # -- people --------------------------------------------------------------------------------------------------

    def _review(self, name: str, place: int, done: threading.Event) -> None:
        random = Random(self.seed * 1_000 + place)
        person = Person(name, name, frozenset({PersonRole.REVIEWER, PersonRole.APPROVER}))
        desk, late = ReviewTasks(self.url, self._engine), list[Task]()
        while not done.is_set():
            task = desk.next_task(person)
            if task is None:
                if self._nothing_left():
                    return
                continue
            self._note(name, "claimed", task)
            habit = random.choices(list(HABITS), list(HABITS.values()))[0]
            if habit == "gives_back":
                self._try(name, "given_back", task, lambda t: desk.give_back(_claim(t, name)))
            elif habit == "comes_back_late":
                self._oversleep(name, task)
                late.append(task)
            elif habit != "walks_away":
                self._answer(name, task, random)
                if habit == "twice":
                    self._answer(name, task, random)
            if late and random.random() < 0.5:
                self._answer(name, late.pop(0), random)

    def _oversleep(self, name: str, task: Task) -> None:
        """Lets a lease end as if its minutes were over, where it has not ended by itself."""
        over = f"{_OVER} WHERE claim_token = :token"
        with self._engine(self.url).begin() as connection:
            connection.execute(text(over), {"token": task.token})
        self._note(name, "too_late", task)

    def _answer(self, name: str, task: Task, random: Random) -> None:
        said = Answer(random.choice(["refund", "reject"]), random.choice(["fine", "defective"]), "policy")
        desk, rules = ReviewAnswers(self.url, self._engine), DeskRules(TERMS, ACTING)
        self._try(name, "answered", task, lambda t: desk.answer(_claim(t, name), said, rules))

    def _try(self, name: str, what: str, task: Task, act: Callable[[Task], object]) -> None:
        try:
            act(task)
        except (StaleClaim, TaskTaken):
            what = "refused"
        self._note(name, what, task)

    def _note(self, name: str, what: str, task: Task) -> None:
        self.history.append(Entry(name, what, task.id, task.version))

    # -- time ----------------------------------------------------------------------------------------------------

    def _time(self, done: threading.Event) -> None:
        """Ends leases out of turn and lets the clock tick, until nothing is left."""
        random = Random(self.seed)
        while not done.is_set() and not self._nothing_left():
            with engine_of(self.url).begin() as connection:
                ended = text(
                    f"{_OVER} WHERE id IN (SELECT id FROM review_tasks WHERE state = 'in_progress' "
                    "AND random() < :share FOR UPDATE SKIP LOCKED)"
                )
                connection.execute(ended, {"share": random.choice([0.2, 0.5, 1.0])})
            tick(self.url, WORKFLOW, TERMS, ACTING)
            done.wait(0.02)

    def _nothing_left(self) -> bool:
        with self._engine(self.url).connect() as connection:
            left = "SELECT EXISTS (SELECT FROM review_tasks WHERE state IN ('pending', 'in_progress', 'escalated'))"
            return not connection.execute(text(left)).scalar_one()


def _claim(task: Task, person: str) -> TaskClaim:
    token: Any = task.token
    return TaskClaim(task.id, task.version, token, person)


# -- the checker -------------------------------------------------------------------------------------------------


def check(url: str, history: Sequence[Entry], tasks: int) -> Verdict:
    """Reads what people were told beside what the ledger holds."""
    rows = _rows(url)
    told = Counter((entry.task, entry.version) for entry in history if entry.what == "claimed")
    answered = Counter(entry.task for entry in history if entry.what == "answered")
    over = {(entry.task, entry.version) for entry in history if entry.what == "too_late"}
    late = {e.task for e in history if e.what == "answered" and (e.task, e.version) in over} | set(rows["late"])
    broken: list[str] = []
    doubled = {task for (task, _), count in told.items() if count > 1}
    doubled |= {task for task, count in answered.items() if count > 1}
    for name in ("answers", "decisions", "outcomes", "actions"):
        doubled |= {row for row, count in Counter(rows[name]).items() if count > 1}
    kept = set(rows["answers"])
    lost = {row for row in rows["tasks"] if row not in kept} | (answered.keys() - kept)
    if len(rows["tasks"]) != tasks:
        broken.append(f"{len(rows['tasks'])} tasks of {tasks} are there")
    if kept - answered.keys():
        broken.append(f"{len(kept - answered.keys())} answers are there that nobody was told of")
    for name in ("decisions", "outcomes"):
        if set(rows[name]) != kept:
            broken.append(f"{name} and answers are of different cases")
    if sorted(rows["actions"]) != sorted(rows["refunds"]):
        broken.append("the actions are not those of the answers that refund")
    if rows["gaps"]:
        broken.append(f"{len(rows['gaps'])} tasks have a version that nobody brought about")
    if late:
        broken.append(f"{len(late)} answers were taken after their claim had ended")
    refused = sum(entry.what == "refused" for entry in history)
    return Verdict(
        tasks, sum(answered.values()), refused, len(rows["expired"]), len(late), len(doubled), len(lost),
        tuple(broken),
    )  # fmt: skip


def _rows(url: str) -> dict[str, list[int]]:
    """Ids of tasks, one for each row that belongs to one."""
    of_case = "JOIN review_tasks t ON (t.workflow, t.case_id) = (x.workflow, x.case_id)"
    questions = {
        "tasks": "SELECT id FROM review_tasks",
        "answers": "SELECT task_id FROM review_answers",
        "refunds": "SELECT task_id FROM review_answers WHERE option = 'refund'",
        "decisions": f"SELECT t.id FROM decisions x {of_case} WHERE x.epoch > 1",
        "outcomes": f"SELECT t.id FROM outcomes x {of_case}",
        "actions": f"SELECT t.id FROM actions x {of_case}",
        "expired": "SELECT task_id FROM task_events WHERE event = 'lease_ended'",
        "gaps": "SELECT id FROM review_tasks t WHERE version <> "
        "(SELECT 1 + count(*) FROM task_events WHERE task_id = t.id)",
        # the event before an answer must be the claim of the one who answers
        "late": "SELECT a.task_id FROM task_events a JOIN task_events b ON (b.task_id, b.version) = (a.task_id, "
        "a.version - 1) WHERE a.event = 'answer' AND (b.event <> 'claim' OR b.person <> a.person)",
    }
    with engine_of(url).connect() as connection:
        return {name: list(connection.scalars(text(question))) for name, question in questions.items()}


# -- without its protection, and the command ---------------------------------------------------------------------


@contextmanager
def without_claims() -> Iterator[None]:
    """Answers are then taken from anybody who ever had the task in hand: the race must notice."""
    with mock.patch.object(answering, "held", lambda claim: task_columns.id == claim.task):
        yield


@contextmanager
def fresh_ledger(server: str) -> Iterator[str]:
    """An empty ledger on a server, dropped afterwards."""
    name = f"chaos_{uuid4().hex}"
    engine = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    try:
        migrate.upgrade(url)
        yield url
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def rounds(server: str, reviewers: int, tasks: int, count: int, seed: int) -> Iterator[tuple[int, Verdict]]:
    """One race after another, each in a ledger of its own; yields its seed and verdict."""
    for place in range(count):
        with fresh_ledger(server) as url:
            yield seed + place, Race(url, reviewers, tasks, seed + place).run()
            pooled_engine(url, size=reviewers).dispose()


def main() -> int:
    given = _arguments()
    from benchmarks.home import bench_home
    from resources.postgres.embedded import EmbeddedServer

    seen: list[Verdict] = []
    print("| seed | tasks | answered | refused | leases ended | double | lost | |\n|" + "---:|" * 7 + "---|")
    with bench_home() as home:
        server = EmbeddedServer(home / "postgres")
        url = server.start()
        try:
            with without_claims() if given.without else nullcontext():
                for seed, v in rounds(url, given.reviewers, given.tasks, given.rounds, given.seed):
                    word = "passed" if v.passed() else "; ".join(v.broken) or "failed"
                    seen.append(v)
                    cells = (seed, v.tasks, v.answered, v.refused, v.expired, v.double, v.lost, word)
                    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
        finally:
            server.stop()
    # what the reviewers and the clock did out of turn: leases that ended, answers that came too late or twice
    faults = sum(v.expired + v.refused for v in seen)
    lost, doubled = sum(v.lost for v in seen), sum(v.double for v in seen)
    words = f"{len(seen)} rounds, {lost} lost, {doubled} double, {sum(v.late for v in seen)} late answers taken"
    return tell(Seen(all(v.passed() for v in seen), words, faults, lost, doubled, sum(bool(v.broken) for v in seen)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos.reviews", description=__doc__)
    parser.add_argument("--reviewers", type=int, default=8)
    parser.add_argument("--tasks", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7, help="of the first round; the next ones count on from it")
    parser.add_argument("--without", choices=["claims"], help="takes a protection out: the suite must then fail")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
