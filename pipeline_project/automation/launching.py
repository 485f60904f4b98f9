"""Notices runs that died with everything around them: a machine without power, a daemon killed with what it started.

Dagster's own launcher leaves it to a run's code server to notice that the run's process is gone. Where that server is
gone as well nobody would, and the workflow would wait for hours for a run that nobody works on.
"""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dagster import DefaultRunLauncher

from pipeline_project.dagster_internals import GRPC_INFO_TAG, CheckRunHealthResult, WorkerStatus

if TYPE_CHECKING:
    from dagster import DagsterRun

#: How long a code server may take to take a connection, in seconds; one that is only slow is not gone.
PATIENCE = 10.0


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's launcher, whose runs are known to be dead where nobody listens any more at their code server."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Dead is what no code server answers for; the run monitor then ends the run, and it is run again.

        A process that lives on all the same harms nothing: whoever runs the night again waits for its turn, and an
        older attempt cannot write.
        """
        address = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
        # a run without an address was started by a command, whose next one ends what it left
        if not address or _listens(address):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "the process that ran it is gone")


def _listens(address: dict[str, Any]) -> bool:
    """Whether anybody takes a connection there; only a plain refusal says that nobody does."""
    path, port = address.get("socket"), address.get("port")
    with suppress(TimeoutError):
        try:
            if path:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.settimeout(PATIENCE)
                    probe.connect(path)
            elif port:
                socket.create_connection((address.get("host") or "localhost", int(port)), PATIENCE).close()
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True
