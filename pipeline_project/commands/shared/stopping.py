"""SIGTERM as Ctrl-C: a command ends at the next clean point, and where none comes in time it ends all the same.

Nothing is lost either way: nights are written in whole commits and transactions, and a cut-off one is run again.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds that a step gets to come to an end; an init system usually waits ten before it kills.
PATIENCE = 7.0


#: Set as a signal comes in. Whoever catches everything on its way swallows an exception, and never this.
_asked = threading.Event()


def raise_if_asked() -> None:
    """Between two pieces of work: ends the command where the exception that should have ended it was swallowed.

    Raises:
        KeyboardInterrupt: a signal came since the block of `ends_on_sigterm` began.
    """
    if _asked.is_set():
        raise KeyboardInterrupt


@contextmanager
def ends_on_sigterm(patience: float = PATIENCE) -> Iterator[None]:
    """Within the block SIGTERM raises KeyboardInterrupt, as Ctrl-C does; outside of the main thread nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, hearing = socket.socketpair()
    hearing.setblocking(False)
    # Dagster gives SIGTERM whatever handler SIGINT has, and a shell lets what it runs in the background ignore that one
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGINT)}
    # told as the signal comes in, also while the main thread computes and no handler written in Python can run
    before_us = signal.set_wakeup_fd(hearing.fileno(), warn_on_full_buffer=False)
    over = threading.Event()
    _asked.clear()
    watch = threading.Thread(target=_watch, args=(heard, over, patience), daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before_us)
        for number, handler in before.items():
            signal.signal(number, handler)
        hearing.close()
        watch.join()
        heard.close()
        _asked.clear()


def _watch(heard: socket.socket, over: threading.Event, patience: float) -> None:
    """Ends the process when SIGTERM came and the block did not end in time."""
    while signals := heard.recv(16):
        if {signal.SIGTERM, signal.SIGINT} & {*signals}:
            _asked.set()
        if signal.SIGTERM in signals and not over.wait(patience):
            os._exit(128 + signal.SIGTERM)
