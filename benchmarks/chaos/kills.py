"""Kills a process before and after every statement and every commit of an operation, and looks at what is left.

No point is picked by hand: the driver's own calls are counted, and the operation is run once for each of them in a
process of its own, which sends itself SIGKILL there. Then the operation is started again, as its owner would, and the
database must hold what it holds after an undisturbed run.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import DateTime, NullPool, Uuid, create_engine, event, make_url, select, text
from sqlalchemy.engine import Engine
from sqlalchemy.engine.default import DefaultDialect

from benchmarks.chaos.verdicts import Seen, tell
from resources.ledger.schema import metadata

#: What two runs of the same thing may differ in: row numbers, tokens, who tried how often, links of the chain.
VOLATILE = frozenset(
    {
        "id", "run_id", "attempt", "attempts", "version", "worker", "number", "batch", "position", "hash", "prev_hash",
        "root", "leaf", "body", "lease_until", "action_id", "task_id", "proposal_id", "review_id", "claimed_by",
    }
)  # fmt: skip
#: What happened more often because somebody died is told more often; what it led to is not.
REPEATED = {
    "task_events": "event NOT IN ('claim', 'assign')",
    "action_events": "event NOT IN ('claimed', 'lease_expired', 'unknown')",
    "audit_rows": "coalesce(source, '') NOT IN ('breakers', 'night_clearances', 'night_verdicts')",
    # each attempt at a night is cleared for itself
    "audit_batches": "kind <> 'clearances'",
    "night_clearances": "step <> 'decisions'",
}
#: A row's number skips what was rolled back, and the chain names rows by it.
RENUMBERED = {"audit_rows": {"key"}, "decisions": {"reasons"}, "breakers": {"first_tries", "retries", "saved"}}
#: A run that meets more points than this does not end by itself.
MOST_POINTS = 2_000


@dataclass(frozen=True)
class Scene:
    """One operation of the house.

    Attributes:
        prepare: fills a fresh, migrated ledger, given its URL.
        act: the operation, given the URL; it is started again after a kill.
        stride: of a long operation, which repeats itself, one in so many points is taken.
    """

    name: str
    prepare: Callable[[str], None]
    act: Callable[[str], None]
    stride: int = 1


@dataclass(frozen=True)
class Killed:
    """One kill and what it left: `differences` names the tables that do not hold what they should."""

    scene: str
    point: int
    differences: tuple[str, ...]


def kill_everywhere(server: str, scene: Scene) -> Iterator[Killed]:
    """Every kill of a scene, in order.

    Args:
        server: URL of a server on which databases may be created.

    Raises:
        RuntimeError: the operation fails by itself, or never ends.
    """
    with _database(server) as prepared:
        _migrated(prepared)
        # in a process of its own, whose kept connections end with it: a database in use cannot be copied
        if _run(scene.prepare, prepared, None) != 0:
            raise RuntimeError(f"{scene.name} cannot be prepared")
        with _database(server, prepared) as undisturbed:
            if _run(scene.act, undisturbed, None) != 0:
                raise RuntimeError(f"{scene.name} fails without being killed")
            wanted = snapshot(undisturbed)
        for point in range(1, MOST_POINTS, scene.stride):
            with _database(server, prepared) as url:
                code = _run(scene.act, url, point)
                if code == 0:
                    return
                if code != -signal.SIGKILL:
                    raise RuntimeError(f"{scene.name} fails at point {point}")
                again = _run(scene.act, url, None) == 0
                left = differing(wanted, snapshot(url)) if again else ("it cannot be started again",)
                yield Killed(scene.name, point, left)
    raise RuntimeError(f"{scene.name} has more than {MOST_POINTS} points")


def snapshot(url: str) -> dict[str, list[str]]:
    """Every table's rows, sorted, without what two runs of the same thing may differ in."""
    engine = create_engine(url, poolclass=NullPool)
    found = {}
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            kept = [
                column
                for column in table.columns
                if column.name not in VOLATILE | RENUMBERED.get(table.name, set())
                and not isinstance(column.type, DateTime)
                and not (isinstance(column.type, Uuid) and column.name.endswith("token"))
            ]
            query = select(*kept).where(text(REPEATED.get(table.name, "true")))
            rows = connection.execute(query).all() if kept else []
            found[table.name] = sorted(repr(tuple(row)) for row in rows)
    return found


def differing(wanted: dict[str, list[str]], found: dict[str, list[str]]) -> tuple[str, ...]:
    """The tables that do not hold the same rows."""
    return tuple(name for name in wanted if wanted[name] != found[name])


def _run(act: Callable[[str], None], url: str, point: int | None) -> int:
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_live, args=(act, url, point))
    process.start()
    process.join(120)
    if process.is_alive():
        process.kill()
        process.join()
        raise RuntimeError("the operation had not ended after 120 seconds")
    assert process.exitcode is not None
    return process.exitcode


def _live(act: Callable[[str], None], url: str, point: int | None) -> None:
    if point is not None:
        _plant(point)
    act(url)


def _plant(point: int) -> None:
    met = 0

    def meet(*_: Any) -> None:
        nonlocal met
        met += 1
        if met == point:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", meet)
    event.listen(Engine, "after_cursor_execute", meet)
    commit = DefaultDialect.do_commit

    def mined(self: DefaultDialect, connection: Any) -> None:
        meet()
        commit(self, connection)
        meet()

    DefaultDialect.do_commit = mined  # type: ignore[method-assign]


@contextmanager
def _database(server: str, template: str | None = None) -> Iterator[str]:
    """A database of its own, as a copy of another one where that is given; gone afterwards."""
    name = f"chaos_{uuid.uuid4().hex}"
    of = make_url(template).database if template else "template0"
    engine = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {of}"))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def _migrated(url: str) -> None:
    from resources.ledger.migrate import upgrade

    upgrade(url)


def main() -> int:
    """Prints a line for each scene; 1 when a kill left something else than an undisturbed run."""
    import argparse

    from benchmarks.chaos.scenes import a_folder, scenes
    from benchmarks.home import bench_home
    from resources.postgres.embedded import EmbeddedServer

    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos.kills", description=__doc__)
    parser.add_argument("--only", help="scenes whose name contains these words")
    parser.add_argument("--without", choices=["transactions"], help="take this protection out: every statement commits")
    parser.add_argument("--stride", type=int, default=1, help="only one point in so many (default: %(default)s)")
    given = parser.parse_args()
    kills = bad = 0
    print("| scene | kills | other end states | tables |\n|---|---:|---:|---|")
    with bench_home() as home, a_folder() as folder:
        server = EmbeddedServer(home / "postgres")
        url = server.start()
        try:
            for scene in scenes(Path(folder)):
                if given.only and given.only not in scene.name:
                    continue
                scene = replace(scene, stride=scene.stride * given.stride)
                if given.without:
                    scene = replace(scene, act=partial(_in_pieces, scene.act))
                found = list(kill_everywhere(url, scene))
                wrong = [each for each in found if each.differences]
                tables = ", ".join(sorted({name for each in wrong for name in each.differences}))
                print(f"| {scene.name} | {len(found)} | {len(wrong)} | {tables or '–'} |", flush=True)
                kills, bad = kills + len(found), bad + len(wrong)
        finally:
            server.stop()
    print(f"| all | {kills} | {bad} | |")
    if not kills:
        parser.error(f"no scene's name contains '{given.only}'")
    return tell(Seen(not bad, f"{kills} kills, {bad} other end states", kills, silent=bad))


def _in_pieces(act: Callable[[str], None], url: str) -> None:
    """The operation with its protection taken out: what was one transaction becomes as many as it has statements."""

    def by_itself(_: Any, cursor: Any, *__: Any) -> None:
        cursor.connection.commit()

    # before the mines, so that a statement is for good when the process dies after it
    event.listen(Engine, "after_cursor_execute", by_itself, insert=True)
    act(url)


if __name__ == "__main__":
    raise SystemExit(main())
