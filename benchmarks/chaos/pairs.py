"""Everything there is twice: two processes run the same nights at once, as two daemons would, and two dispatchers send.

One of the two is killed now and then, at a point that the seed draws. Afterwards the house must hold what a calm one
holds, and each effect must have happened once. `--without transactions` makes each statement of a night one of its own.
"""

from __future__ import annotations

import json
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from benchmarks.chaos.nights import _each_statement_by_itself, _house
from benchmarks.chaos.tally import Came, Given, Tally, run
from benchmarks.home import bench_home
from resources.postgres.embedded import EmbeddedServer
from tests.integration import failpoints, shop
from tests.integration.house import House, all_differences

WARM_UP = 3
#: Where one of two is killed while the other goes on.
POINTS = (
    "arrivals written, Dagster not told",
    "actions inserted, tasks not",
    "audit row inserted, nothing committed",
    "decisions committed, lake not told",
    "released, Dagster not told",
)
#: Whether a process has the turn of the workflow, or waits for it.
_AT_WORK = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'pipeline nights ' || :name || '%'"


def suite(given: Given) -> Tally:
    tally, draw = Tally(), Random(given.seed)
    last = WARM_UP + given.times
    first = _each_statement_by_itself if given.without else None
    with bench_home() as home, tempfile.TemporaryDirectory(prefix="chaos-pairs-") as folder:
        server = EmbeddedServer(home / "postgres")
        url = server.start()
        try:
            calm, paired = (_house(name, Path(folder), url, last) for name in ("alone", "paired"))
            calm.nights(shop.DECIDE_FROM, shop.night(last))
            for offset in range(WARM_UP + 1, last + 1):
                point = POINTS[1] if given.without else draw.choice([*POINTS, None])
                killed = _both(paired, shop.night(offset), point, first)
                tally.note("one of two killed" if killed else "two at once", Came.WELL)
            paired.nights(shop.DECIDE_FROM, shop.night(last))
            _two_dispatchers(paired)
            _judge(tally, paired, calm)
        finally:
            server.stop()
    return tally


def _both(house: House, night: str, point: str | None, first: Callable[[], None] | None) -> bool:
    """The night in two processes at once, one of which dies at a point, if any; whether it did.

    Without a protection both die there, so that it does not matter which of them is the one that works.
    """
    words = ("nights", house.name, "--from", shop.DECIDE_FROM, "--to", night)
    one = failpoints.run(house.environ, words, point, first)
    # the one with the point has the turn, the other one waits for it
    while one.is_alive() and not house.sql(_AT_WORK):
        time.sleep(0.02)
    other = failpoints.run(house.environ, words, point if first else None, first)
    codes = [failpoints.ended(process, 300) for process in (one, other)]
    allowed = {0, 1, -signal.SIGKILL}
    if not allowed.issuperset(codes) or (codes[1] < 0 and first is None):
        raise RuntimeError(f"{night}: two at once ended with {codes}")
    return -signal.SIGKILL in codes


def _two_dispatchers(house: House) -> None:
    processes = [failpoints.run(house.environ, ("dispatch", "--drain")) for _ in range(2)]
    codes = [failpoints.ended(process, 300) for process in processes]
    if codes != [0, 0]:
        raise RuntimeError(f"two dispatchers at once ended with {codes}")


def _judge(tally: Tally, paired: House, calm: House) -> None:
    differing = {
        **all_differences(paired.tables(), calm.tables()),
        **all_differences({"decisions": paired.decisions()}, {"decisions": calm.decisions()}),
        **all_differences(
            {"review_tasks": paired.work()["review_tasks"]}, {"review_tasks": calm.work()["review_tasks"]}
        ),
    }
    for name, what in differing.items():
        tally.note(f"the table {name}", Came.SILENT, str(what[:2]))
    sent = Counter(
        (said["case"], said["action"])
        for said in (json.loads(path.read_text()) for path in (paired.folder / "out").glob("[!.]*.json"))
    )
    done = paired.sql("SELECT case_id, kind FROM actions WHERE workflow = :name AND state = 'done'")
    wanted = {(row["case_id"], row["kind"]) for row in done}
    for effect, times in sent.items():
        if times > 1:
            tally.note("effects", Came.DOUBLED, str(effect))
    for effect in wanted - sent.keys():
        tally.note("effects", Came.LOST, str(effect))


if __name__ == "__main__":
    raise SystemExit(run("pairs", str(__doc__), ["transactions"], 6, suite))
