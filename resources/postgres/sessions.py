"""A connection that is kept open under a name: for what lasts as long as the process that holds it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, NullPool, create_engine, make_url

from resources.postgres.databases import connect_args, connected, with_options

#: PostgreSQL cuts longer names.
_NAME_LENGTH = 63
#: A host that is cut off closes nothing: after so many unanswered seconds the server takes it for gone, locks and all.
_SILENT = {"tcp_keepalives_idle": 10, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3}


@contextmanager
def named_session(url: str, who: str) -> Iterator[Connection]:
    """One connection, each of whose statements is a transaction of its own; its locks last until the block ends.

    Args:
        who: told to others that wait, with the process and the host.

    Raises:
        DatabaseUnreachable: it cannot be had, or was lost while in use.
    """
    parsed = with_options(make_url(url), **_SILENT)
    named = {"application_name": f"{who} (process {os.getpid()} on {socket.gethostname()})"[:_NAME_LENGTH]}
    # nothing is rolled back as it closes, and a server that went away is no error then
    engine = create_engine(
        parsed,
        poolclass=NullPool,
        pool_reset_on_return=None,
        isolation_level="AUTOCOMMIT",
        connect_args={**connect_args(parsed), **named},
        hide_parameters=True,
    )
    with connected(engine) as connection:
        yield connection
