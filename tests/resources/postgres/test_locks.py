"""Every advisory lock stands in the registry, with a key that two versions of the project share."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import select, text

from resources.postgres import locks
from resources.postgres.databases import begun, connected, engine_of
from resources.postgres.locks import AdvisoryLock

ROOT = Path(__file__).parents[3]
REGISTRY = {name: lock for name, lock in vars(locks).items() if isinstance(lock, AdvisoryLock)}
#: Each lock of one thing, and the number that versions before the registry asked for.
KEYS = [
    (locks.MIGRATION, "7301944226"),
    (locks.CHAIN, "7301944227"),
    (locks.SUBJECT_KEYS, "7301944228"),
    (locks.UPKEEP, "7301944229"),
    (locks.MLFLOW_TABLES, "7316400211"),
    (locks.RUN_WORKERS, "7316400212"),
    (locks.QUALITY, "hashtext('quality')"),
    (locks.ROLES, "hashtext('person_roles')"),
    (locks.SIGN_IN.of(hashed="5e884898"), "hashtext('5e884898')"),
    (locks.ROLLOUT.of(workflow="returns"), "hashtext('rollout/returns')"),
    (locks.RECALL.of(workflow="returns", kind="model", named="7"), "hashtext('recall/returns/model/7')"),
    (locks.RECALLED_CASE.of(workflow="returns", case="{C}%7"), "hashtext('recall/returns/{C}%7')"),
    (locks.CLUSTER_REVIEWS.of(workflow="returns"), "hashtextextended('cluster_reviews/returns', 0)"),
    (locks.SUBJECT.of(workflow="returns", subject="s-1"), "hashtextextended('subject/returns/s-1', 0)"),
    (locks.turn("returns"), "-7841980077151696013"),
]


@pytest.mark.parametrize(("lock", "before"), KEYS, ids=[sql for _, sql in KEYS])
def test_a_key_stays_what_it_was(postgres_server: str, lock: AdvisoryLock, before: str) -> None:
    with begun(engine_of(postgres_server)) as connection:
        assert connection.scalar(select(lock.number)) == connection.scalar(text(f"SELECT {before}"))


def test_every_lock_of_the_registry_is_tried_above_and_says_why() -> None:
    assert {lock.why for lock, _ in KEYS} == {lock.why for lock in REGISTRY.values()} | {locks.turn("x").why}
    assert len({lock.why for lock in REGISTRY.values()}) == len({lock.key for lock in REGISTRY.values()})


def test_nobody_else_takes_an_advisory_lock() -> None:
    asked = re.compile(r"pg_(try_)?advisory_(xact_)?lock")
    rooms = [path for room in ("assets", "pipeline_project", "resources") for path in (ROOT / room).rglob("*.py")]
    found = {str(path.relative_to(ROOT)) for path in rooms if asked.search(path.read_text())}
    assert found == {"resources/postgres/locks.py"}, "put the lock into resources/postgres/locks.py, with its reason"


def test_one_alone_and_many_together(postgres_server: str) -> None:
    engine, lock = engine_of(postgres_server), AdvisoryLock("only in this test", "no reason")
    with connected(engine) as first, connected(engine) as second:
        assert lock.try_hold(first) and not lock.try_hold(second)
    with begun(engine) as first, begun(engine) as second:
        lock.share(first)
        lock.share(second)
    with begun(engine) as first, connected(engine) as second:
        lock.take(first)
        assert not lock.try_hold(second)
