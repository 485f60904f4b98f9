"""One `pipeline up` a home: the file that says which process serves it, and where."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from resources.files.small_files import read_object

_FILE = "up.lock"


@contextmanager
def only_one(home: Path) -> Iterator[Path | None]:
    """The file that says who serves this home, locked; None when another process holds it."""
    path = home / _FILE
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield path


def write_addresses(lock: Path, addresses: Mapping[str, str]) -> None:
    """Says in the locked file that this process serves the home, and where."""
    lock.write_text(json.dumps({"process": os.getpid(), "addresses": dict(addresses)}))


def serving_process(home: Path) -> int | None:
    """The process that serves this home, or None."""
    if not (home / _FILE).exists():
        return None
    with only_one(home) as lock:
        if lock is not None:
            return None
    process: int | None = _written(home).get("process")
    return process


def ends_within(home: Path, seconds: float) -> bool:
    """Whether nobody serves this home any more before so many seconds are over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with only_one(home) as lock:
            if lock is not None:
                return True
        time.sleep(0.2)
    return False


def served_addresses(home: Path) -> list[str]:
    """Where the services of the process that serves this home are."""
    return list(_written(home).get("addresses", {}).values())


def _written(home: Path) -> dict[str, Any]:
    """What the process that holds the lock has written: it does so before it starts anything."""
    return read_object(home / _FILE) or {}
