"""One process at a time works on a workflow; whoever waits is told for whom."""

from __future__ import annotations

import multiprocessing
import threading
from multiprocessing.synchronize import Event

import pytest
from sqlalchemy import text

from resources.ledger.turns import Turns
from resources.postgres.databases import engine_of

_spawned = multiprocessing.get_context("spawn")


def _hold(url: str, took: Event) -> None:
    with Turns(url).taken(["flow"], "night flow 2025-01-01"):
        took.set()
        threading.Event().wait()


@pytest.fixture
def url(postgres_server: str) -> str:
    return postgres_server


class Given:
    """Waits by letting go of the lock that another one holds."""

    def __init__(self, url: str) -> None:
        self.url, self.looks = url, 0
        self.told: list[tuple[str, str]] = []
        self.let_go = threading.Event()
        self.gone = threading.Event()

    def sleep(self, _: float) -> None:
        self.looks += 1
        if self.looks == 3:
            self.let_go.set()
            assert self.gone.wait(30)

    def waiting(self, workflow: str, holder: str) -> None:
        self.told.append((workflow, holder))


def test_the_second_waits_until_the_first_is_done_and_is_told_once_who_that_is(url: str) -> None:
    given, took = Given(url), threading.Event()

    def first() -> None:
        with Turns(url).taken(["flow"], "night flow 2025-01-01"):
            took.set()
            given.let_go.wait(30)
        given.gone.set()

    other = threading.Thread(target=first)
    other.start()
    assert took.wait(30)
    with Turns(url, given.sleep).taken(["flow"], "second", given.waiting):
        # the server lets go a little after the first one's connection was closed
        assert given.looks >= 3
    other.join()
    ((workflow, holder),) = given.told
    assert workflow == "flow"
    assert holder.startswith("night flow 2025-01-01 (process ")


def test_other_workflows_and_this_process_itself_do_not_wait(url: str) -> None:
    def never(_: float) -> None:
        raise AssertionError("it waited")

    with (
        Turns(url).taken(["flow"], "command", for_process=True),
        Turns(url, never).taken(["flow"], "its run"),
        Turns(url, never).taken(["other", "third"], "another workflow's run"),
    ):
        pass
    with Turns(url, never).taken(["third", "flow", "other"], "after all of them"):
        pass


def test_two_that_take_several_workflows_do_not_wait_for_each_other_for_ever(url: str) -> None:
    done = []

    def take(names: list[str]) -> None:
        for _ in range(5):
            with Turns(url, lambda _: None).taken(names, "both"):
                done.append(names)

    threads = [threading.Thread(target=take, args=(names,)) for names in (["a", "b"], ["b", "a"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 10


def test_a_process_that_was_killed_holds_nothing(url: str) -> None:
    took = _spawned.Event()
    process = _spawned.Process(target=_hold, args=(url, took))
    process.start()
    assert took.wait(60)
    process.kill()
    process.join()
    with Turns(url).taken(["flow"], "the next one"):
        pass


def test_a_connection_that_the_server_cut_is_no_error(url: str) -> None:
    with Turns(url).taken(["flow"], "cut"), engine_of(url).begin() as connection:
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'cut (process%'"
        assert connection.scalar(text(cut))
