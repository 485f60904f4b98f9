"""`python -m resources.compute.driver_process FD ADDRESS`: carries out jobs on a cluster, one after the other.

Ends with the process that started it: whoever reads its standard input to the end knows that nobody is left.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import ray
from ray import exceptions

from pipeline_project.domain.core.compute import LOCAL_ADDRESS
from pipeline_project.domain.core.errors import PipelineError
from resources.compute.calls import called
from resources.compute.encoding import encoded_files, encoded_texts
from resources.compute.jobs import FilesJob, Job, Reply, TextsJob

_STORE_FULL = (exceptions.ObjectStoreFullError, exceptions.OutOfDiskError)
_DIED = (
    exceptions.RayActorError,
    exceptions.WorkerCrashedError,
    exceptions.OutOfMemoryError,
    exceptions.NodeDiedError,
    exceptions.ObjectLostError,
    MemoryError,
)


def main() -> None:
    """Serves the connection until it is closed."""
    connection, address = Connection(int(sys.argv[1])), sys.argv[2]
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    while True:
        try:
            job: Job = pickle.loads(connection.recv_bytes())
        except EOFError:
            break
        for message in _carried_out(job, address):
            connection.send_bytes(pickle.dumps(message))
    ray.shutdown()


def _end_with_the_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    # at once: the main thread may be inside of Ray, and the cluster frees what belongs to a driver that is gone
    os._exit(1)


def _carried_out(job: Job, address: str) -> Iterator[tuple[Reply, Any]]:
    try:
        _connect(address)
        for result in _results(job):
            yield Reply.RESULT, result
    except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits is told
        yield reply_to(error)
    else:
        yield Reply.END, None


def _results(job: Job) -> Iterator[Any]:
    if isinstance(job, TextsJob):
        return encoded_texts(job)
    return encoded_files(job) if isinstance(job, FilesJob) else called(job)


def _connect(address: str) -> None:
    if ray.is_initialized():
        return
    # of a cluster that is started here alone; one that is there has its own
    dashboard = False if address == LOCAL_ADDRESS else None
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=dashboard)
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def reply_to(error: BaseException) -> tuple[Reply, Any]:
    """What whoever waits is told of an error: never a value of a case, which messages of others may hold."""
    # what Ray wraps an error of ours in is of the same class, and can be taken to no other process
    chain = [cause for cause in _causes(error) if not isinstance(cause, exceptions.RayTaskError)] or [error]
    for cause in chain:
        if isinstance(cause, PipelineError):
            return Reply.RAISED, cause
    for cause in chain:
        if isinstance(cause, _STORE_FULL):
            return Reply.UNAVAILABLE, "its object store and the disk that it spills to are full"
        if isinstance(cause, _DIED):
            return Reply.LOST, type(cause).__name__
    for cause in chain:
        if isinstance(cause, ConnectionError):
            return Reply.UNAVAILABLE, "nothing answers there"
        if isinstance(cause, exceptions.RayError):
            return Reply.UNAVAILABLE, type(cause).__name__
    return Reply.RAISED, _plain(chain[-1])


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        cause = getattr(current, "cause", None)
        current = cause if isinstance(cause, BaseException) else current.__cause__


def _plain(error: BaseException) -> BaseException:
    """The error itself, where it can be taken to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - what cannot be pickled is told in words
        return RuntimeError(f"{type(error).__name__} on a worker; its log on the cluster has the details")
    return error


if __name__ == "__main__":
    main()
