"""Leaves runs to run workers where one is there, and notices runs that died with everything around them.

Without a worker a run is launched as Dagster does it: its code server starts a process. That server notices when the
process is gone; where the server is gone as well (a machine without power, a daemon killed with what it started), or
another one listens in its place (a container that was started again), nobody would, and the workflow would wait for
hours for a run that nobody works on.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dagster import DefaultRunLauncher, Field, Noneable, StringSource

from pipeline_project.dagster_internals import GRPC_INFO_TAG, CheckRunHealthResult, WorkerStatus
from pipeline_project.domain.core.run_tags import TENANT
from resources.run_workers.in_hand import LEFT_TO_WORKERS, is_in_hand, is_left, say, worker_is_there

if TYPE_CHECKING:
    from dagster import DagsterRun

#: How long a code server may take to take a connection and to answer, in seconds; one that is only slow is not gone.
PATIENCE = 10


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's launcher, before which run workers come, and whose runs are known to be dead once nobody has them.

    Args:
        postgres_url: Dagster's database; without it nothing is left to run workers.
    """

    def __init__(self, postgres_url: str | None = None, inst_data: Any = None) -> None:
        self._url = postgres_url
        super().__init__(inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        """What dagster.yaml may say of it."""
        return {"postgres_url": Field(Noneable(StringSource), is_required=False)}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> WatchedRunLauncher:
        return cls(config_value.get("postgres_url"), inst_data)

    def launch_run(self, context: Any) -> None:
        """
        Raises:
            DatabaseUnreachable: Dagster's database does not answer.
        """
        if self._url is None or not worker_is_there(self._url, context.dagster_run.tags.get(TENANT, "")):
            super().launch_run(context)
            return
        self._instance.add_run_tags(context.dagster_run.run_id, {LEFT_TO_WORKERS: context.dagster_run.run_id})
        say(self._url)

    def terminate(self, run_id: str) -> bool:
        """Asks whoever has the run to end it; one that nobody has yet ends at once."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or self._url is None or not is_left(run):
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        if run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        if is_in_hand(self._url, run_id):
            say(self._url)
        else:
            self._instance.report_run_canceled(run, "No run worker had begun with it.")
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Dead is what no run worker has and no code server answers for or has heard of; the run monitor then ends the
        run, and it is run again.

        A process that lives on all the same harms nothing: whoever runs the night again waits for its turn, and an
        older attempt cannot write.
        """
        if self._url is not None and is_left(run):
            lives = is_in_hand(self._url, run.run_id)
        else:
            address = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
            # a run without an address was started by a command, whose next one ends what it left
            lives = not address or (_listens(address) and not _is_another(address, run.run_id))
        if lives:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "the process that ran it is gone")


def _is_another(address: dict[str, Any], run_id: str) -> bool:
    """Whether the code server there was started after the one that began with the run, and has never heard of it."""
    # a socket's name is made anew with each server, a port is taken again by the next one
    if not address.get("port"):
        return False
    # imported here: gRPC is the daemon's, and every step's process loads this module
    from pipeline_project.dagster_internals.code_server import carries_out

    return carries_out(address, run_id, PATIENCE) is False


def _listens(address: dict[str, Any]) -> bool:
    """Whether anybody takes a connection there; only a plain refusal says that nobody does."""
    path, port = address.get("socket"), address.get("port")
    # a name that is not found is a container that is about to start again, or a name server that is away
    with suppress(TimeoutError, socket.gaierror):
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
