"""The database is cut off, restarted and killed in the middle of an operation, which is then started again.

Each fault is made between two statements of an operation that runs in a process of its own: its session is ended by
the server, the server is restarted at once, or every process of the server gets SIGKILL. Afterwards the ledger must
hold what it holds after an undisturbed run. `--without transactions` makes every statement one of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import NullPool, create_engine, event, make_url, text
from sqlalchemy.engine import Engine

from benchmarks.chaos import kills
from benchmarks.chaos.kills import Scene, differing, snapshot
from benchmarks.chaos.scenes import a_folder, scenes
from benchmarks.chaos.tally import Came, Given, Tally, run
from benchmarks.home import bench_home
from resources.postgres.embedded import EmbeddedServer

#: Long operations whose statements are not all looked at.
CHOSEN = ("a night is decided", "a night is released", "a person answers", "actions are sent")
TRIES = 4


def _cut_off(server: EmbeddedServer, url: str) -> None:
    engine = create_engine(make_url(url).set(database="postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    ended = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
    with engine.connect() as connection:
        connection.execute(ended, {"name": make_url(url).database})


def _restarted(server: EmbeddedServer, url: str) -> None:
    server.stop()
    server.start()


def _killed(server: EmbeddedServer, url: str) -> None:
    postmaster = int((server.data / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    for process in (postmaster, *map(int, children)):
        with_pid(process)
    until = time.monotonic() + 30
    while server.is_running() and time.monotonic() < until:
        time.sleep(0.05)
    server.start()


def with_pid(process: int) -> None:
    """SIGKILL to one process, which may be gone already."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


FAULTS: dict[str, Callable[[EmbeddedServer, str], None]] = {
    "session ended": _cut_off,
    "server restarted": _restarted,
    "server killed": _killed,
}


def suite(given: Given) -> Tally:
    tally = Tally()
    with bench_home() as home, a_folder() as folder:
        server = EmbeddedServer(home / "postgres")
        url = server.start()
        try:
            for scene in [each for each in scenes(Path(folder)) if each.name in CHOSEN]:
                if given.without:
                    scene = replace(scene, act=partial(kills._in_pieces, scene.act))
                _play(server, url, scene, given, tally)
        finally:
            server.stop()
    return tally


def _play(server: EmbeddedServer, url: str, scene: Scene, given: Given, tally: Tally) -> None:
    with kills._database(url) as prepared:
        kills._migrated(prepared)
        if kills._run(scene.prepare, prepared, None) != 0:
            raise RuntimeError(f"{scene.name} cannot be prepared")
        with kills._database(url, prepared) as calm:
            statements = _counted(scene, calm)
            wanted = snapshot(calm)
        for kind, fault in FAULTS.items():
            for seed in range(given.seed, given.seed + given.times):
                point = Random(f"{scene.name}/{kind}/{seed}").randint(1, statements)
                with kills._database(url, prepared) as hurt:
                    code = _process(_hurt, scene.act, hurt, point, partial(fault, server, hurt))
                    tries = 0
                    while code != 0 and tries < TRIES:
                        # whoever starts an operation starts the server first, where it is ours and does not run
                        server.start()
                        code, tries = _process(_calm, scene.act, hurt), tries + 1
                    if code != 0:
                        tally.note(kind, Came.LOST, f"{scene.name}, point {point}: it does not come through again")
                        continue
                    others = differing(wanted, snapshot(hurt))
                    came = Came.SILENT if others else Came.WELL
                    tally.note(kind, came, f"{scene.name}, point {point}: {', '.join(others)}")


def _counted(scene: Scene, url: str) -> int:
    """How many statements an undisturbed run has."""
    context = multiprocessing.get_context("fork")
    counted = context.Value("i", 0)
    if _process(_counting, scene.act, url, counted) != 0:
        raise RuntimeError(f"{scene.name} fails undisturbed")
    return int(counted.value)


def _process(target: Callable[..., None], *given: Any) -> int:
    process = multiprocessing.get_context("fork").Process(target=target, args=given)
    process.start()
    process.join(180)
    if process.is_alive():
        process.kill()
        process.join()
    assert process.exitcode is not None
    return process.exitcode


def _counting(act: Callable[[str], None], url: str, counted: Any) -> None:
    def count(*_: Any) -> None:
        counted.value += 1

    event.listen(Engine, "after_cursor_execute", count)
    act(url)


def _calm(act: Callable[[str], None], url: str) -> None:
    # what it says of a server that is not back yet is expected, and would fill the screen
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    act(url)


def _hurt(act: Callable[[str], None], url: str, point: int, fault: Callable[[], None]) -> None:
    met = 0

    def meet(connection: Any, *_: Any) -> None:
        nonlocal met
        if connection.engine.url.database != make_url(url).database:
            return
        met += 1
        if met == point:
            fault()

    event.listen(Engine, "after_cursor_execute", meet)
    _calm(act, url)


if __name__ == "__main__":
    raise SystemExit(run("database", str(__doc__), ["transactions"], 10, suite))
