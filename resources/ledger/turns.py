"""One process at a time works on a workflow: a lock in the ledger's database, gone with the process that holds it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection

from resources.postgres.locks import turn
from resources.postgres.sessions import named_session

#: Workflows whose turn this process has taken for a longer time than one run's, by the ledger's URL.
_TAKEN: set[tuple[str, str]] = set()


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
            connection = stack.enter_context(named_session(self.url, who))
            for name in own:
                self._take(connection, name, waiting)
                if for_process:
                    _TAKEN.add((self.url, name))
                    stack.callback(_TAKEN.discard, (self.url, name))
            yield

    def _take(self, connection: Connection, workflow: str, waiting: Callable[[str, str], None]) -> None:
        lock = turn(workflow)
        notified = False
        while not lock.try_hold(connection):
            if not notified:
                waiting(workflow, lock.holder(connection) or "another process")
                notified = True
            # asked again and again rather than waited for: a signal has to get through
            self.sleep(0.5)
