"""A try ends when its time is over, whatever the other side does.

A timeout for each read is none for the whole: who sends a byte now and then holds a request without end. What can be
cancelled runs in one event loop and is cancelled; what cannot (a driver's call, a file system that hangs) goes on in a
thread of its own, whose result nobody waits for. Such a call may still have its effect later: the action's key is what
makes that one effect and not two.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import cache
from typing import Any, TypeVar

Result = TypeVar("Result")

#: Seconds by which what was cancelled must have ended.
GRACE = 0.5


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="destinations", daemon=True).start()
    return loop


# a process that was forked has the loop, and not the thread that runs it
os.register_at_fork(after_in_child=_loop.cache_clear)


def cancelled_after(seconds: float, make: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """What a coroutine returns; at the end of its time it is cancelled, and its connection closed.

    Raises:
        TimeoutError: its time is over.
    """

    async def bounded() -> Result:
        async with asyncio.timeout(seconds):
            return await make()

    running = asyncio.run_coroutine_threadsafe(bounded(), _loop())
    try:
        return running.result(seconds + GRACE)
    finally:
        running.cancel()


def left_after(seconds: float, call: Callable[[], Result]) -> Result:
    """What a call returns that nobody can cancel.

    Raises:
        TimeoutError: its time is over; it goes on by itself.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller gets it
            future.set_exception(error)

    threading.Thread(target=run, name="destination", daemon=True).start()
    return future.result(seconds)
