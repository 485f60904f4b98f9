"""Runs whose process was killed: to Dagster they run on and keep their pool slots until somebody ends them.

Nights that a command runs have no daemon that watches them. Each such process holds a lock, which its death releases
however it dies, and its runs name the lock.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from pipeline_project.domain.core.run_tags import PROCESS

if TYPE_CHECKING:
    from dagster import DagsterInstance

#: The tag by which a run names the lock of its process.
TAG = PROCESS
_FOLDER = "running"


@contextmanager
def alive(home: Path) -> Iterator[dict[str, str]]:
    """The tag for the runs of this process, with its lock held."""
    folder = home / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    name = uuid4().hex
    # named only once it is locked: until then nobody takes its process for dead
    hidden, path = folder / f".{name}", folder / name
    with hidden.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        hidden.rename(path)
        try:
            yield {TAG: name}
        finally:
            path.unlink(missing_ok=True)


def end_orphans(instance: DagsterInstance, home: Path) -> int:
    """Ends the runs of this home whose process is dead, frees their pool slots and returns how many there were.

    Runs of another home or another machine on the same database are left alone: nothing says that they are dead.
    """
    from dagster import RunsFilter

    from pipeline_project.dagster_internals import NOT_FINISHED_STATUSES

    dead = {path.name: path for path in sorted((home / _FOLDER).glob("[!.]*")) if _is_dead(path)}
    if not dead:
        return 0
    runs = instance.get_runs(RunsFilter(statuses=NOT_FINISHED_STATUSES))
    orphans = [run for run in runs if run.tags.get(TAG) in dead]
    for run in orphans:
        instance.report_run_failed(run, "The process of this run was killed; the next one goes on in its place.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    for path in dead.values():
        path.unlink(missing_ok=True)
    return len(orphans)


def _is_dead(path: Path) -> bool:
    try:
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        # its process ended in order just now
        return False
    return True
