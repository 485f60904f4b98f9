"""A backfill from Dagster's UI: a run and a process for each night, daemon and webserver beside them.

The nights before it are made by `pipeline nights`, in one process; both are of the shop of the tests, whose nights are
small, so that what remains is what a run costs beyond its work.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from dagster import DagsterRunStatus, RunsFilter

from benchmarks.chaos.nights import MODEL, REVIEW
from benchmarks.chaos.running import Up, free_ports
from benchmarks.home import bench_home
from benchmarks.tables import table, verdict
from resources.postgres.embedded import EmbeddedServer
from tests.integration import shop
from tests.integration.house import House

NIGHTS, CASES = 30, 16
#: Seconds after which what has not ended will not end.
LONGEST = 900.0
GOAL = 2.0


def report() -> str:
    """A table of nights asked for over the API as the UI does it, beside nights in one process."""
    last = 2 * NIGHTS
    with bench_home() as home, tempfile.TemporaryDirectory(prefix="bench-ui-") as folder:
        server = EmbeddedServer(home / "postgres")
        try:
            own = Path(folder) / "house"
            own.mkdir()
            house = House("bench_ui", own, server.start(), {})
            house.declare(model=MODEL, review=REVIEW, options=shop.ACTING_OPTIONS, actions=shop.ACTIONS)
            shop.drop_nights(house.folder, [shop.night(offset) for offset in range(last + 1)], count=CASES)
            house.nights(shop.FIRST, shop.DECIDE_FROM)
            began = time.perf_counter()
            house.nights(shop.night(1), shop.night(NIGHTS))
            together = time.perf_counter() - began
            alone = _from_ui(house, [shop.night(offset) for offset in range(NIGHTS + 1, last + 1)])
        finally:
            server.stop()
    beyond = (alone - together) / NIGHTS
    rows = [
        ("`pipeline nights`, one process with its start", together, together / NIGHTS, ""),
        ("from the UI, a run each", alone, alone / NIGHTS, ""),
        ("beyond", alone - together, beyond, f"≤ {GOAL:.0f} a night: {verdict(beyond <= GOAL)}"),
    ]
    columns = [f"{NIGHTS} nights of {CASES} cases", "seconds", "a night", "goal"]
    return table("A backfill from Dagster's UI", columns, rows)


def _from_ui(house: House, nights: list[str]) -> float:
    """Seconds from asking to the end of the last run; the services run already."""
    up = Up.started(house, free_ports(5))
    try:
        began = time.perf_counter()
        up.ask_for(nights)
        while not all(_succeeded(house, night) for night in nights):
            if time.perf_counter() - began > LONGEST:
                raise RuntimeError(f"the backfill did not end within {LONGEST:.0f} seconds")
            time.sleep(0.5)
        return time.perf_counter() - began
    finally:
        up.stop()


def _succeeded(house: House, night: str) -> bool:
    tags = {"dagster/partition": night, "pipeline/workflow": house.name}
    with house.instance() as (_, instance):
        return any(run.status == DagsterRunStatus.SUCCESS for run in instance.get_runs(RunsFilter(tags=tags)))
