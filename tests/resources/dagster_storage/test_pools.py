"""Slots of a pool: what Dagster's own statements get wrong when two runs come at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg

from resources.dagster_storage import BatchedStorage

POOL = "gpu"


@contextmanager
def instance(url: str, limit: int) -> Iterator[dg.DagsterInstance]:
    of = {"module": BatchedStorage.__module__, "class": BatchedStorage.__name__, "config": {"postgres_url": url}}
    pools = {"pools": {"granularity": "op", "default_limit": limit}}
    with dg.instance_for_test(overrides={"storage": {"custom": of}, "concurrency": pools}) as made:
        yield made


def limits(of: dg.DagsterInstance) -> list[tuple[int, int]]:
    """Each pool's limit and slots."""
    storage = of.event_log_storage
    return [(pool.limit, storage.get_concurrency_info(pool.name).slot_count) for pool in storage.get_pool_limits()]


def test_a_pool_follows_the_limit_of_the_configuration(new_database: Callable[[], str]) -> None:
    url = new_database()
    for limit in (1, 2, 2, 1):
        with instance(url, limit) as made:
            made.event_log_storage.initialize_concurrency_limit_to_default(POOL)
            assert limits(made) == [(limit, limit)]


def test_a_limit_set_by_hand_stays(new_database: Callable[[], str]) -> None:
    with instance(new_database(), 1) as made:
        made.event_log_storage.set_concurrency_slots(POOL, 3)
        made.event_log_storage.initialize_concurrency_limit_to_default(POOL)
        assert limits(made) == [(3, 3)]


def test_a_step_that_waits_from_the_moment_on_in_which_the_slot_is_let_go_of_gets_it(
    new_database: Callable[[], str],
) -> None:
    with instance(new_database(), 1) as made:
        storage = made.event_log_storage
        storage.initialize_concurrency_limit_to_default(POOL)
        assert storage.claim_concurrency_slot(POOL, "first", "step").is_claimed
        # the second run has seen that the slot is taken; before it is in line the first one lets go
        storage.free_concurrency_slot_for_step("first", "step")
        storage.add_pending_step(POOL, "second", "step", should_assign=False)  # type: ignore[attr-defined]
        assert storage.claim_concurrency_slot(POOL, "second", "step").is_claimed
        assert not storage.claim_concurrency_slot(POOL, "third", "step").is_claimed
        storage.free_concurrency_slot_for_step("second", "step")
        assert storage.claim_concurrency_slot(POOL, "third", "step").is_claimed
