"""What a large queue makes the desk and the clock read: rows and indexes, never times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import text

from benchmarks.chaos.reviews import ACTING, TERMS
from benchmarks.many_tasks import SKILL, make_tasks
from benchmarks.plans import Explained, explained
from pipeline_project.domain.core.people import Person, PersonRole
from pipeline_project.domain.review.due import Ticked, reminder_hours
from pipeline_project.domain.review.order import WEIGHTS
from pipeline_project.domain.review.tasks import MOST_COUNTED, QueueFilter, TaskState
from resources.ledger import migrate
from resources.ledger.review import clock
from resources.ledger.review import tasks as reviewing
from resources.ledger.review.tasks import ReviewTasks
from resources.postgres.databases import engine_of, pooled_engine

TASKS = 20_000
#: Rows that one scan may read: some pages of the queue, and what one person may not take.
FEW = 400
REVIEWER, BOTH = frozenset({PersonRole.REVIEWER}), frozenset({PersonRole.REVIEWER, PersonRole.APPROVER})
PLAIN, LISTED = Person("anna", "Anna", REVIEWER), Person("reviewer-1", "Bert", REVIEWER)
SKILLED = Person("cleo", "Cleo", REVIEWER, frozenset({SKILL, "dutch"}))
APPROVER, EITHER = Person("dora", "Dora", frozenset({PersonRole.APPROVER})), Person("emil", "Emil", BOTH)
LATE = "vehicle_claims"
PAGES = (
    QueueFilter(),
    QueueFilter(workflow="returns"),
    QueueFilter(workflow="returns", night="2026-01-20"),
    QueueFilter(workflow=LATE, states=(TaskState.PENDING,)),
    QueueFilter(workflow="support_tickets", states=(TaskState.ESCALATED,)),
    QueueFilter(workflow="order_returns", why="surprise"),
)


@dataclass(frozen=True)
class LargeQueue:
    """A ledger with many open tasks."""

    url: str

    @property
    def tasks(self) -> ReviewTasks:
        return ReviewTasks(self.url)

    def write(self, statement: str) -> int:
        with engine_of(self.url).begin() as connection:
            return connection.execute(text(statement)).rowcount


@pytest.fixture(scope="module")
def queue(module_database: str) -> Iterator[LargeQueue]:
    migrate.upgrade(module_database)
    make_tasks(engine_of(module_database), TASKS, decided=False)
    yield LargeQueue(module_database)
    pooled_engine(module_database).dispose()


def reads_little(plans: Sequence[Explained], most: int = FEW) -> None:
    assert plans
    for plan in plans:
        large = [scan for scan in plan.scans if scan.table in ("review_tasks", "review_notices")]
        assert all(scan.how != "Seq Scan" and scan.rows <= most for scan in large), (large, plan.words)


@pytest.mark.parametrize("workflow", [None, "returns", "support_tickets", LATE])
@pytest.mark.parametrize("person", [PLAIN, LISTED, SKILLED, APPROVER, EITHER], ids=lambda person: person.shown)
def test_the_next_task_is_found_by_an_index(queue: LargeQueue, person: Person, workflow: str | None) -> None:
    with explained(pooled_engine(queue.url)) as plans:
        queue.tasks.next_task(person, workflow)
    reads_little(plans)


def test_the_first_of_the_queue_is_handed_out_whatever_skill_it_needs(queue: LargeQueue) -> None:
    first = "SELECT id FROM review_tasks WHERE workflow = 'returns' AND state = 'pending' AND held_by IS NULL AND "
    order = " AND assigned_to IS NULL ORDER BY priority DESC, id LIMIT 1"
    with engine_of(queue.url).connect() as connection:
        of_all, plain = (
            connection.scalar(text(first + needs + order)) for needs in ("skill IS NOT NULL", "skill IS NULL")
        )
    skilled, other = (queue.tasks.next_task(person, "returns") for person in (SKILLED, PLAIN))
    assert skilled is not None and (skilled.id, skilled.skill) == (of_all, SKILL)
    assert other is not None and (other.id, other.skill) == (plain, None)


@pytest.mark.parametrize("filters", PAGES, ids=str)
def test_a_page_of_the_queue_reads_itself_and_counts_so_far(
    queue: LargeQueue, filters: QueueFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviewing, "MOST_COUNTED", 100)
    with explained(pooled_engine(queue.url)) as plans:
        page = queue.tasks.queue(filters)
    reads_little(plans)
    after = page.after or (page.rows[0].priority, page.rows[0].id)
    with explained(pooled_engine(queue.url)) as plans:
        following = queue.tasks.queue(filters, after=after)
    reads_little(plans)
    order = [(-row.priority, row.id) for row in [*(page.rows if page.after else page.rows[:1]), *following.rows]]
    assert order == sorted(order) and len(set(order)) == len(order)


def test_a_page_is_what_one_query_over_all_states_would_list(queue: LargeQueue) -> None:
    query = "SELECT id FROM review_tasks WHERE closed_at IS NULL ORDER BY priority DESC, id LIMIT 50"
    states = (
        "SELECT state, count(*) FROM review_tasks WHERE workflow = 'order_returns' AND closed_at IS NULL GROUP BY 1"
    )
    with engine_of(queue.url).connect() as connection:
        wanted = list(connection.scalars(text(query)))
        counts = {str(state): int(tasks) for state, tasks in connection.execute(text(states))}
    assert [row.id for row in queue.tasks.queue().rows] == wanted
    assert queue.tasks.queue(QueueFilter(workflow="order_returns")).counts == counts
    assert queue.tasks.queue().counts["pending"] == MOST_COUNTED + 1


def test_what_a_person_has_and_a_case_asked_are_found_by_an_index(queue: LargeQueue) -> None:
    given = "SELECT assigned_to, workflow, case_id FROM review_tasks WHERE assigned_to IS NOT NULL ORDER BY id LIMIT 1"
    with engine_of(queue.url).connect() as connection:
        person, workflow, case_id = connection.execute(text(given)).one()
    with explained(pooled_engine(queue.url)) as plans:
        mine, of_case = queue.tasks.mine(person), queue.tasks.of_case(workflow, case_id)
    reads_little(plans)
    assert case_id in [row.case_id for row in mine.assigned] and [row.case_id for row in of_case] == [case_id]


def settled(queue: LargeQueue) -> None:
    """As if the clock had done all of it before."""
    queue.write(
        f"UPDATE review_tasks SET reminded = {len(reminder_hours(TERMS))}, due_level = {len(WEIGHTS.due_hours)}, "
        "stayed_at = now() WHERE state = 'escalated'"
    )
    queue.write(
        f"UPDATE review_tasks SET reminded = {len(reminder_hours(TERMS))}, due_level = {len(WEIGHTS.due_hours)} "
        f"WHERE state <> 'escalated' AND due_at < now() + interval '{max(WEIGHTS.due_hours) + 30} hours'"
    )
    queue.write("UPDATE review_tasks SET held_by = NULL WHERE held_by IS NOT NULL AND due_at < now()")
    with engine_of(queue.url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE) review_tasks, review_notices"))


def test_a_tick_looks_at_what_is_due_now_and_at_nothing_again(
    queue: LargeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(queue)
    monkeypatch.setattr(clock, "MOST_COUNTED", 100)
    terms, acting = replace(TERMS, workflow=LATE), replace(ACTING, workflow=LATE)
    with explained(pooled_engine(queue.url)) as plans:
        assert clock.tick(queue.url, LATE, terms, acting) == Ticked(waiting=100)
    reads_little(plans)
    late = "SELECT id FROM review_tasks WHERE workflow = 'returns' AND state = 'pending' AND held_by IS NULL LIMIT 5"
    changed = "due_at = now() - interval '1 hour', reminded = 0, due_level = 0"
    queue.write(f"UPDATE review_tasks SET {changed} WHERE id IN ({late})")
    with explained(pooled_engine(queue.url)) as plans:
        ticked = clock.tick(queue.url, "returns", TERMS, ACTING)
    assert (ticked.reminded, ticked.escalated, ticked.reordered) == (5, 5, 5)
    reads_little(plans)


def test_many_due_at_once_are_moved_in_rounds(queue: LargeQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """One transaction for all of them would hold the chain, and with it everybody, for as long as it lasts."""
    settled(queue)
    late = "SELECT id FROM review_tasks WHERE workflow = 'order_returns' AND state = 'pending' AND held_by IS NULL"
    queue.write(f"UPDATE review_tasks SET due_at = now() - interval '1 hour' WHERE id IN ({late} LIMIT 25)")
    monkeypatch.setattr(clock, "A_ROUND", 4)
    monkeypatch.setattr(clock, "ROUNDS", 3)
    terms, acting = replace(TERMS, workflow="order_returns"), replace(ACTING, workflow="order_returns")
    assert [clock.tick(queue.url, "order_returns", terms, acting).escalated for _ in range(4)] == [12, 12, 1, 0]
