"""A backfill killed over and over: each night at another point, then started again, against one that nobody disturbed.

python -m benchmarks.chaos.nights [--nights 30] [--kills 3] [--seed 7] [--without transactions]

Without transactions every statement to the ledger is for good at once: a night that was killed between its actions and
its tasks must then be left without them.
"""

from __future__ import annotations

import argparse
import signal
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from benchmarks.chaos.verdicts import Seen, tell
from benchmarks.home import bench_home
from resources.postgres.embedded import EmbeddedServer
from tests.integration import failpoints, shop
from tests.integration.house import House, all_differences

CASES, WARM_UP = 10, 3
MODEL = {"history": [{"by": "customer"}], "retrain": {"every": "never", "minimum_outcomes": 20, "minimum_per_label": 3}}
REVIEW = {"cost": 15, "capacity": "20%", "exploration": 0}


def main() -> int:
    """Prints what was killed and what differs."""
    given = _arguments()
    with bench_home() as home, tempfile.TemporaryDirectory(prefix="chaos-nights-") as folder:
        server = EmbeddedServer(home / "postgres")
        url = server.start()
        try:
            return tell(_compare(url, Path(folder), given))
        finally:
            server.stop()


def _compare(url: str, folder: Path, given: argparse.Namespace) -> Seen:
    last = WARM_UP + given.nights
    undisturbed, disturbed = (_house(name, folder, url, last) for name in ("calm", "killed"))
    ran = undisturbed.nights(shop.DECIDE_FROM, shop.night(last))
    if failed := [run.night for run in ran if run.outcome not in ("done", "passed_over")]:
        raise RuntimeError(f"nights that fail without being killed: {', '.join(failed)}")
    draw, points, killed = Random(given.seed), list(failpoints.NIGHT), 0
    first = _each_statement_by_itself if given.without else None
    for offset in range(WARM_UP + 1, last + 1):
        night = shop.night(offset)
        # every point has its turn, in an order that the seed gives
        for point in [given.point or points[(killed + i) % len(points)] for i in range(given.kills)]:
            words = ("nights", disturbed.name, "--from", shop.DECIDE_FROM, "--to", night)
            code = failpoints.ended(failpoints.run(disturbed.environ, words, point, first))
            if code != -signal.SIGKILL:
                raise RuntimeError(f"{night}: never came to '{point}' (exit {code})")
        killed += given.kills
        draw.shuffle(points)
    # the last one is let through
    disturbed.nights(shop.DECIDE_FROM, shop.night(last))
    differing = {
        **all_differences(disturbed.tables(), undisturbed.tables()),
        **all_differences({"decisions": disturbed.decisions()}, {"decisions": undisturbed.decisions()}),
        **all_differences(disturbed.work(), undisturbed.work()),
    }
    print(f"{given.nights} nights, {killed} kills; tables that differ: {', '.join(differing) or 'none'}")
    for name, what in differing.items():
        print(f"- {name}: {what[:3]}")
    summary = f"{given.nights} nights, {killed} kills, {len(differing)} tables differ"
    return Seen(not differing, summary, killed, silent=len(differing))


def _each_statement_by_itself() -> None:
    """In a night's process: what is one transaction of the ledger becomes as many as it has statements."""

    def by_itself(connection: Any, cursor: Any, *_: Any) -> None:
        if str(connection.engine.url.database).endswith("ledger"):
            cursor.connection.commit()

    event.listen(Engine, "after_cursor_execute", by_itself, insert=True)


def _house(name: str, folder: Path, url: str, last: int) -> House:
    home = folder / name
    home.mkdir()
    house = House(f"chaos_{name}", home, url)
    house.declare(text=True, model=MODEL, review=REVIEW, options=shop.ACTING_OPTIONS, actions=shop.ACTIONS)
    for offset in range(last + 1):
        night = shop.night(offset)
        cases = shop.rows(night, 24 if offset < WARM_UP else CASES)
        shop.drop_cases(house.folder, night, [{**row, "note": f"{row['note']}, {night}"} for row in cases])
        shop.drop_outcomes(house.folder, night, cases, f"{night}T23:00:00")
    house.nights(shop.FIRST, shop.DECIDE_FROM)
    return house


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos.nights", description=__doc__)
    parser.add_argument("--nights", type=int, default=30, help="decided nights (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=3, help="of each night (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="of the order of the points (default: %(default)s)")
    parser.add_argument("--point", choices=list(failpoints.NIGHT), help="kill at this point only")
    parser.add_argument("--without", choices=["transactions"], help="take this protection out: every statement commits")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
