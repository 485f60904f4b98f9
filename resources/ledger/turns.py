"""One process at a time works on a workflow: a lock in the ledger's database, gone with the process that holds it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection, NullPool, create_engine, make_url, text

from resources.postgres.databases import connect_args, connected
from resources.postgres.locks import turn

#: Workflows whose turn this process has taken for a longer time than one run's, by the ledger's URL.
_TAKEN: set[tuple[str, str]] = set()

# a lock over one 64-bit number stands in two halves
_HOLDER = text(
    "SELECT activity.application_name FROM pg_locks AS held JOIN pg_stat_activity AS activity USING (pid) "
    "WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1 "
    "AND ((held.classid::bigint << 32) | held.objid::bigint) = :number"
)


@dataclass(frozen=True)
class Turns:
    """The turns of the workflows of one ledger.

    Attributes:
        sleep: how to wait between two looks; replaced in tests.
    """

    url: str = field(repr=False)
    sleep: Callable[[float], None] = time.sleep

    @contextmanager
    def taken(
        self,
        workflows: Sequence[str],
        who: str,
        waiting: Callable[[str, str], None] = lambda workflow, holder: None,
        for_process: bool = False,
    ) -> Iterator[None]:
        """Waits until nobody else works on these workflows, and keeps it so until the end of the block.

        Nothing waits for ever on a dead process: the server lets go of what it held as its connection ends.

        Args:
            who: told to others that wait.
            waiting: called once for each workflow that has to be waited for, with who holds it.
            for_process: the runs of this process need not take it again meanwhile.

        Raises:
            DatabaseUnreachable: the database does not answer.
        """
        own = [name for name in sorted({*workflows}) if (self.url, name) not in _TAKEN]
        if not own:
            yield
            return
        with ExitStack() as stack:
            connection = stack.enter_context(self._connection(who))
            for name in own:
                self._take(connection, name, waiting)
                if for_process:
                    _TAKEN.add((self.url, name))
                    stack.callback(_TAKEN.discard, (self.url, name))
            yield

    @contextmanager
    def _connection(self, who: str) -> Iterator[Connection]:
        url = make_url(self.url)
        named = {"application_name": f"{who} (process {os.getpid()} on {socket.gethostname()})"[:63]}
        # kept open for a whole run: nothing is rolled back as it closes, and a server that went away is no error then
        engine = create_engine(
            url,
            poolclass=NullPool,
            pool_reset_on_return=None,
            isolation_level="AUTOCOMMIT",
            connect_args={**connect_args(url), **named},
            hide_parameters=True,
        )
        with connected(engine) as connection:
            yield connection

    def _take(self, connection: Connection, workflow: str, waiting: Callable[[str, str], None]) -> None:
        lock = turn(workflow)
        notified = False
        while not lock.try_hold(connection):
            if not notified:
                holder = connection.scalar(_HOLDER, {"number": lock.key})
                waiting(workflow, str(holder or "another process"))
                notified = True
            # asked again and again rather than waited for: a signal has to get through
            self.sleep(0.5)
