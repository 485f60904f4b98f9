"""Which runs wait for a run worker, which are in hand, and whether a worker is there: locks in Dagster's database."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, select

from pipeline_project.domain.core.run_tags import TENANT
from resources.postgres.databases import connected, pooled_engine
from resources.postgres.locks import run_in_hand, run_workers
from resources.postgres.sessions import named_session

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

#: The tag of a run that was left to run workers; its value is the run's own id, since one that is run again takes over
#: the tags of the one before.
LEFT_TO_WORKERS = "pipeline/run_worker"
#: What a launcher says and workers hear: there is something to take, or to stop.
_CHANNEL = "pipeline_runs"


@dataclass(frozen=True)
class RunsInHand:
    """What one run worker has in hand, for as long as its connection lasts."""

    connection: Connection

    def take(self, run_id: str) -> bool:
        """Takes a run in hand, where no worker has it."""
        return run_in_hand(run_id).try_hold(self.connection)

    def let_go(self, run_id: str) -> None:
        """Ends what `take` began."""
        run_in_hand(run_id).let_go(self.connection)

    def wait(self, seconds: float, others: Sequence[Any] = ()) -> None:
        """Waits until a launcher says something, one of `others` has something to read, or the time is over."""
        heard: Any = self.connection.connection.dbapi_connection
        # another statement may have brought it along
        if not heard.notifies:
            wait([heard, *others], seconds)
        # also tells whether the server is still there
        self.connection.exec_driver_sql("SELECT 1")
        heard.notifies.clear()


@contextmanager
def taking_runs(url: str, who: str, tenants: Iterable[str] = ("",)) -> Iterator[RunsInHand]:
    """Until the end of the block launchers leave the runs of these tenants to this process.

    Raises:
        DatabaseUnreachable: the database does not answer, or was lost.
    """
    with named_session(url, who) as connection:
        connection.exec_driver_sql(f"LISTEN {_CHANNEL}")
        for tenant in tenants:
            run_workers(tenant).hold_shared(connection)
        yield RunsInHand(connection)


def stop_taking(in_hand: RunsInHand, tenants: Iterable[str] = ("",)) -> None:
    """Launchers leave nothing more to this process; what it has in hand stays there."""
    for tenant in tenants:
        run_workers(tenant).let_go_shared(in_hand.connection)


def worker_is_there(url: str, tenant: str = "") -> bool:
    """Whether any run worker takes a tenant's runs; "" for the house's.

    Raises:
        DatabaseUnreachable: the database does not answer.
    """
    with connected(pooled_engine(url)) as connection:
        return run_workers(tenant).holder(connection) is not None


def is_in_hand(url: str, run_id: str) -> bool:
    """Whether a worker executes a run.

    Raises:
        DatabaseUnreachable: the database does not answer.
    """
    with connected(pooled_engine(url)) as connection:
        return run_in_hand(run_id).holder(connection) is not None


def say(url: str) -> None:
    """Wakes the workers.

    Raises:
        DatabaseUnreachable: the database does not answer.
    """
    with connected(pooled_engine(url)) as connection:
        connection.execute(select(func.pg_notify(_CHANNEL, "")))
        connection.commit()


def is_left(run: DagsterRun) -> bool:
    """Whether this very run was left to run workers."""
    return run.tags.get(LEFT_TO_WORKERS) == run.run_id


def left_to_workers(instance: DagsterInstance, tenants: Container[str] = ("",)) -> list[DagsterRun]:
    """The runs of these tenants that wait for a worker, the oldest first; some may be in hand and about to begin."""
    from dagster import DagsterRunStatus, RunsFilter

    starting = instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTING]))
    return [run for run in reversed(starting) if is_left(run) and run.tags.get(TENANT, "") in tenants]
