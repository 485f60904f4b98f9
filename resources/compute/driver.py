"""The step's end: a process that speaks with Ray is started when the first job comes, and given jobs by a pipe."""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any, TypeVar

from pipeline_project.domain.core.compute import PATIENCE
from pipeline_project.domain.core.errors import ComputeExhausted, ComputeUnavailable
from resources.compute.jobs import CallsJob, Job, Reply

T = TypeVar("T")

#: Seconds that the process is given to take its leave of the cluster.
_LEAVE = 10.0
#: Ray sends nothing to whoever makes it, and its children find what this process can import.
_USUAL = {"RAY_USAGE_STATS_ENABLED": "0"}


class WorkersLost(Exception):
    """Workers died of a part of the job, as often as it was tried; most often the kernel killed them for memory."""


@dataclass
class RayDriver:
    """Carries out jobs on one cluster, one at a time.

    Attributes:
        address: as `ComputeTerms.address`.
        patience: seconds to wait for one result.
    """

    address: str
    patience: float = PATIENCE
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _connection: Connection | None = field(default=None, init=False)
    _one_at_a_time: Lock = field(default_factory=Lock, init=False)

    def results(self, job: Job) -> Generator[Any, None, None]:
        """The results of a job as they come; whoever stops listening ends it.

        Raises:
            ComputeUnavailable: Ray is not installed, the cluster is not there or died, or gave nothing for too long.
            WorkersLost: see there; what came before counts.
            Whatever the work raised.
        """
        with self._one_at_a_time:
            ended = False
            try:
                self._begun().send_bytes(pickle.dumps(job))
                for reply, value in iter(self._message, (Reply.END, None)):
                    if reply is Reply.RESULT:
                        yield value
                        continue
                    ended = reply in (Reply.RAISED, Reply.LOST)
                    raise _error(reply, value, self.address)
                ended = True
            except (EOFError, OSError) as error:
                raise ComputeUnavailable(
                    f"the Ray cluster at {self.address} is gone: its head died, or this machine's node of it. Start "
                    "it again as docs/ray.md says; the step is tried again by itself, and vectors that came are kept"
                ) from error
            finally:
                if not ended:
                    self.close()

    def close(self) -> None:
        """Ends the process, and with it whatever it has going on the cluster."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if process is None or connection is None or process.stdin is None:
            return
        connection.close()
        process.stdin.close()
        try:
            process.wait(_LEAVE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _begun(self) -> Connection:
        if self._connection is not None and self._process is not None and self._process.poll() is None:
            return self._connection
        self.close()
        if find_spec("ray") is None:
            raise ComputeUnavailable(
                "`engine: ray` is asked for and Ray is not installed: pip install '.[ray]', or set "
                "PIPELINE_COMPUTE=process"
            )
        ours, theirs = Pipe()
        command = [sys.executable, "-m", "resources.compute.driver_process", str(theirs.fileno()), self.address]
        environ = {**_USUAL, **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env=environ,
            # Ctrl-C is for the run, which ends this process in good order
            start_new_session=True,
        )
        theirs.close()
        self._connection = ours
        atexit.register(self.close)
        return ours

    def _message(self) -> tuple[Reply, Any]:
        connection = self._connection
        if connection is None:
            raise EOFError
        if not connection.poll(self.patience):
            raise ComputeUnavailable(
                f"the Ray cluster at {self.address} gave no result for {self.patience:,.0f} seconds: it has no worker "
                "with the processors or GPUs that are asked for, or workers are started again and again; look at "
                "`ray status`, add nodes, or raise `compute.patience`"
            )
        message: tuple[Reply, Any] = pickle.loads(connection.recv_bytes())
        return message


def _error(reply: Reply, value: Any, address: str) -> Exception:
    if reply is Reply.RAISED and isinstance(value, Exception):
        return value
    if reply is Reply.LOST:
        return WorkersLost(str(value))
    return ComputeUnavailable(
        f"the Ray cluster at {address} cannot do this now ({value}); look at `ray status` there, or set "
        "PIPELINE_COMPUTE=process for this night"
    )


@dataclass(frozen=True)
class RayWorkers:
    """`ports.compute.Workers` on a cluster.

    Attributes:
        at_once: into how many parts work is cut.
        on_gpu: every call is given a GPU.
    """

    driver: RayDriver
    at_once: int
    on_gpu: bool = False

    def call(self, function: Callable[..., T], parts: Sequence[Any], *shared: Any) -> list[T]:
        """As `Workers.call`.

        Raises:
            ComputeUnavailable: as `RayDriver.results`.
            ComputeExhausted: a call takes more memory than a worker has.
            Whatever a call raises.
        """
        try:
            return list(self.driver.results(CallsJob(function, parts, shared, self.on_gpu)))
        except WorkersLost as error:
            raise ComputeExhausted(
                "a worker died of one call as often as it was tried: give the nodes more memory, or set "
                "PIPELINE_COMPUTE=process on a machine that has it"
            ) from error
