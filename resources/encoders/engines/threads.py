"""Work spread over threads that compute alone: one batch a core is quicker than one batch over all cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import TypeVar

T = TypeVar("T")


def spread(work: Callable[[T], None], parts: Sequence[T], workers: int) -> None:
    """Calls `work` on each part, in threads in which torch uses no further ones; several parts at once.

    A part is computed in the same way however many workers there are. The threads end with the call, so nothing is left
    to a process that forks.

    Raises:
        Whatever `work` raises; parts not yet begun are then left out.
    """
    import torch

    workers = min(workers, len(parts))
    if workers == 0:
        return
    all_there = Barrier(workers + 1)

    def begin() -> None:
        # The first look takes over the number that new threads get; later it would undo what is set here.
        torch.get_num_threads()
        torch.set_num_threads(1)

    failed = Event()

    def guarded(part: T) -> None:
        if failed.is_set():
            return
        try:
            work(part)
        except BaseException:
            failed.set()
            raise

    pool = ThreadPoolExecutor(workers, thread_name_prefix="encoder", initializer=begin)
    try:
        begun = [pool.submit(all_there.wait) for _ in range(workers)]
        all_there.wait()
        # What was set in those threads is also what the process gives to new ones: back to this thread's number.
        torch.set_num_threads(torch.get_num_threads())
        for thread in begun:
            thread.result()
        for part in [pool.submit(guarded, part) for part in parts]:
            part.result()
    finally:
        pool.shutdown(cancel_futures=True)
