"""Rows that nobody can understand in every queue: the outbox, the review tasks, what was posted.

Whatever lies beside them goes on: each whole action is sent once, each whole task is handed out and answered, each
whole event is read, and what is poisoned ends where a person sees it. `--without comparison` sends what stands
there without comparing it with what was decided.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import cast
from unittest import mock

from sqlalchemy import text

from benchmarks.chaos.actions import ask
from benchmarks.chaos.dispatching import FLOW, NIGHT, Chaos
from benchmarks.chaos.reviews import ACTING, TERMS, WORKFLOW, Race
from benchmarks.chaos.tally import Came, Given, Tally, run
from benchmarks.chaos.throughput import Memory
from pipeline_project.domain.core.errors import StaleClaim
from pipeline_project.domain.core.people import Person, PersonRole
from pipeline_project.domain.review.answers import Answer
from pipeline_project.domain.review.new_tasks import DeskRules
from pipeline_project.domain.review.tasks import TaskClaim
from pipeline_project.operations import dispatch as dispatching
from pipeline_project.operations.dispatch import Dispatcher
from resources.destinations import Destination
from resources.ledger.outbox import leases as claims
from resources.ledger.review.answers import ReviewAnswers
from resources.ledger.review.clock import tick
from resources.ledger.review.tasks import ReviewTasks
from resources.postgres.databases import engine_of

ACTIONS = {
    "no object": "payload = '[1, 2]'",
    "null": "payload = 'null'",
    "a text": "payload = '\"refund\"'",
    "empty": "payload = '{}'",
    "another amount": "payload = payload || '{\"amount\": 9999}'",
    "another case": 'payload = payload || \'{"case": "X"}\'',
    "a number beyond reading": "payload = payload || jsonb_build_object('n', ('1' || repeat('0', 9000))::numeric)",
    "nested beyond reading": "payload = (repeat('[', 5000) || repeat(']', 5000))::jsonb",
    "another fingerprint": "fingerprint = repeat('0', 64)",
    "more money": "money = money + 1",
    "no number": "money = 'NaN'",
    "a destination nobody knows": "destination = 'nowhere'",
    "a kind nobody knows": "kind = 'teleport'",
}
TASKS = {
    "no content": "content = '{}'",
    "fields that are a list": "content = '{\"fields\": [1, 2]}'",
    "fields that are null": 'content = \'{"fields": null, "text": null}\'',
    "texts that are numbers": "content = content || '{\"text\": [1, 2]}'",
    "nested beyond reading": "content = jsonb_build_object('fields', jsonb_build_object('price', (repeat('[', 3000) || "
    "repeat(']', 3000))::jsonb))",
    "a price that is a text": 'content = \'{"fields": {"price": "a lot"}}\'',
    "no benefit and no amount": "benefit = 'NaN', amount = 'Infinity'",
    "an epoch nobody decided": "epoch = 77",
}


def suite(given: Given) -> Tally:
    from resources.ledger.migrate import upgrade
    from resources.postgres.embedded import EmbeddedServer

    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="pipeline-chaos-") as name:
        server = EmbeddedServer(Path(name) / "postgres")
        try:
            server.start()
            # what guards the rows keeps everybody else from changing them so
            url = server.superuser_url
            upgrade(url)
            with _without(given.without):
                _outbox(url, given, tally)
            if given.without is None:
                _tasks(url, given, tally)
        finally:
            server.stop()
    return tally


def _outbox(url: str, given: Given, tally: Tally) -> None:
    count = 4 * len(ACTIONS) * given.times
    ask(url, Chaos(actions=4 * 2 * count))
    draw, ill = Random(given.seed), dict[int, str]()
    with engine_of(url).begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        firsts = list(
            connection.scalars(text("SELECT id FROM actions WHERE night = :n AND step = 0 ORDER BY id"), {"n": NIGHT})
        )
        for row, kind in zip(draw.sample(firsts, given.times * len(ACTIONS)), given.times * list(ACTIONS), strict=True):
            connection.execute(text(f"UPDATE actions SET {ACTIONS[kind]} WHERE id = :id"), {"id": row})
            ill[row] = kind
    memory = Memory()
    dispatching.IDLE_SECONDS = 0.02
    for number in range(3):
        place = Dispatcher(
            engine_of(url),
            {(FLOW, "shop"): cast(Destination, memory)},
            {FLOW: "team:chaos"},
            f"d{number}",
            lease_seconds=60,
        )
        try:
            place.drain()
        except Exception as error:  # noqa: BLE001 - a dispatcher that dies is what this looks for
            tally.words.append(f"a dispatcher ended: {type(error).__name__}")
    with engine_of(url).connect() as connection:
        rows = connection.execute(
            text("SELECT id, case_id, key::text AS key, state FROM actions WHERE night = :n"), {"n": NIGHT}
        ).all()
    sick = {row.case_id for row in rows if row.id in ill}
    happened = Counter({str(key): times for key, times in memory.happened.items()})
    for row in rows:
        if row.id in ill:
            # changed as it was, it may not have left; where it is must be a place that people look at
            if happened[row.key]:
                tally.note(f"outbox: {ill[row.id]}", Came.SILENT, "it was sent as it was changed")
            elif row.state != "dead":
                tally.note(f"outbox: {ill[row.id]}", Came.SILENT, f"it is {row.state}, where nobody looks")
            else:
                tally.note(f"outbox: {ill[row.id]}", Came.WELL)
        elif row.case_id not in sick and row.state != "done":
            tally.note("whole actions", Came.LOST, f"one is {row.state}")
        elif happened[row.key] > 1:
            tally.note("whole actions", Came.DOUBLED, row.key)


def _tasks(url: str, given: Given, tally: Tally) -> None:
    race = Race(url, tasks=3 * len(TASKS) * given.times, seed=given.seed)
    race._open()
    draw, ill = Random(given.seed), dict[int, str]()
    with engine_of(url).begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        known = list(connection.scalars(text("SELECT id FROM review_tasks ORDER BY id")))
        for row, kind in zip(draw.sample(known, given.times * len(TASKS)), given.times * list(TASKS), strict=True):
            connection.execute(text(f"UPDATE review_tasks SET {TASKS[kind]} WHERE id = :id"), {"id": row})
            ill[row] = kind
    anna = Person("anna", "Anna", frozenset({PersonRole.REVIEWER, PersonRole.APPROVER}))
    desk, answers = ReviewTasks(url), ReviewAnswers(url)
    refused: dict[int, str] = {}
    for _ in range(4 * len(known)):
        try:
            task = desk.next_task(anna, WORKFLOW)
        except Exception as error:  # noqa: BLE001 - a queue that hands out nothing any more is what this looks for
            tally.note("the queue", Came.LOST, f"it hands out nothing any more: {type(error).__name__}")
            break
        if task is None:
            break
        assert task.token is not None
        claim = TaskClaim(task.id, task.version, task.token, anna.name)
        try:
            answers.answer(claim, Answer("refund", "fine", "policy"), DeskRules(TERMS, ACTING))
        except Exception as error:  # noqa: BLE001 - what cannot be answered is set aside, and counted below
            refused[task.id] = f"{type(error).__name__}: {error}"
            with engine_of(url).begin() as connection:
                later = "UPDATE review_tasks SET not_before = now() + interval '1 day' WHERE id = :id"
                connection.execute(text(later), {"id": task.id})
            # one that cannot be carried out is no longer hers: it stands among those that failed
            with suppress(StaleClaim):
                desk.give_back(claim)
    try:
        tick(url, WORKFLOW, TERMS, ACTING)
    except Exception as error:  # noqa: BLE001
        tally.note("the clock of the desk", Came.LOST, f"one row stops it: {type(error).__name__}")
    with engine_of(url).connect() as connection:
        answered = Counter(connection.scalars(text("SELECT task_id FROM review_answers")))
    for row in known:
        kind = f"tasks: {ill[row]}" if row in ill else "whole tasks"
        if answered[row] > 1:
            tally.note(kind, Came.DOUBLED, f"task {row}")
        elif row in ill:
            tally.note(kind, Came.WELL)
        elif not answered[row]:
            tally.note(kind, Came.LOST, f"task {row} was not answered: {refused.get(row)}")


@contextmanager
def _without(protection: str | None) -> Iterator[None]:
    """What is sent is not compared with what was decided."""
    if protection is None:
        yield
        return
    with mock.patch.object(claims, "tampering", lambda *_: None):
        yield


if __name__ == "__main__":
    raise SystemExit(run("poison", str(__doc__), ["comparison"], 6, suite))
