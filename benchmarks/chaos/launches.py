"""A blocked night launched over the UI's own API, in every selection of its assets that could pay: nothing comes of it.

Most rows of one night are refused, so its checks stop it; the rest would be paid. Every selection of arrivals,
admission, scores, decisions and release that decides or releases is then launched as the asset graph does it: without
checks, in any order, many at once. `--without verdicts` writes down that every check has passed, whatever it found.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import text

from benchmarks.chaos.running import Up, free_ports
from benchmarks.chaos.tally import Came, Given, Tally, run
from benchmarks.home import bench_home
from pipeline_project.spec.contract import rules
from resources.postgres.databases import engine_of
from resources.postgres.embedded import EmbeddedServer
from tests.integration import shop
from tests.integration.house import House
from tests.integration.test_bad_nights import NO_MODEL, _with_many_refused

NIGHT = shop.FIRST
#: What a night's decisions and its release are made of; Dagster lets cases and quarantine go together only.
STEPS = {
    "arrivals": ["arrivals"],
    "admission": ["cases", "quarantine"],
    "scores": ["scores"],
    "decisions": ["decisions"],
    "release": ["release"],
}
#: Dagster does not let these be left out: they are made by the very step that makes the cases.
RULES_OF = "cases"
#: Seconds after which runs that do not end have stopped.
STILL = 300.0
_RUN = """mutation($wanted: ExecutionParams!) { launchPipelineExecution(executionParams: $wanted) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_ENDED = """query($ids: [String!]) { runsOrError(filter: {runIds: $ids}) {
  ... on Runs { results { runId status } } } }"""
_FORGE = """CREATE FUNCTION forged() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.passed := true; RETURN NEW; END';
CREATE TRIGGER forged BEFORE INSERT ON night_verdicts FOR EACH ROW EXECUTE FUNCTION forged()"""


def selections() -> list[tuple[str, ...]]:
    """Every selection that decides or releases, and the largest one that does neither."""
    every = [chosen for size in range(1, len(STEPS) + 1) for chosen in combinations(STEPS, size)]
    return [chosen for chosen in every if {"decisions", "release"} & {*chosen}] + [("arrivals", "admission", "scores")]


def suite(given: Given) -> Tally:
    tally = Tally()
    with bench_home() as home, tempfile.TemporaryDirectory(prefix="chaos-launches-") as folder:
        server = EmbeddedServer(home / "postgres")
        server.start()
        try:
            house = _house(Path(folder), server.superuser_url)
            up = Up.started(house, free_ports(5))
            try:
                for number in range(given.times):
                    _launch_all(tally, up, Random(given.seed + number), bool(given.without))
            finally:
                up.stop()
        finally:
            server.stop()
    return tally


def _house(folder: Path, url: str) -> House:
    house = House("chaos_launches", folder, url)
    house.declare(**NO_MODEL, options=shop.ACTING_OPTIONS, actions=shop.ACTIONS)
    shop.drop_nights(house.folder, [NIGHT], count=24)
    _with_many_refused(house.folder / "in" / "claims" / f"{NIGHT}.csv")
    return house


def _launch_all(tally: Tally, up: Up, draw: Random, forged: bool) -> None:
    house = up.house
    if forged:
        with engine_of(house.ledger.url).begin() as connection:
            connection.execute(text(_FORGE))
    (status,) = _ended(up, [_launched(up, _job(house))])
    tally.note("the nightly job", *_came(house, status, fails=True))
    chosen = selections()
    draw.shuffle(chosen)
    # where nothing holds, a few are enough to see it
    chosen = [("scores", "decisions", "release"), *chosen[:2]] if forged else chosen
    # all at once: the queue gives each its turn
    runs = [_launched(up, _graph(house, each, checks=forged)) for each in chosen]
    for each, status in zip(chosen, _ended(up, runs), strict=True):
        tally.note(" + ".join(each), *_came(house, status, fails=bool({"decisions", "release"} & {*each})))


def _came(house: House, status: str, fails: bool) -> tuple[Came, str]:
    """What came of one launch: nothing may be decided, asked, or ready to leave."""
    made = {"decisions": house.decisions(NIGHT), "table": house.table("decisions", NIGHT) or [], **house.work(NIGHT)}
    there = {name: len(rows) for name, rows in made.items() if rows}
    if there:
        return Came.SILENT, f"{there} of a night that was blocked"
    wanted = "FAILURE" if fails else "SUCCESS"
    return (Came.WELL, "") if status == wanted else (Came.LOST, f"the run ended with {status}, not {wanted}")


def _job(house: House) -> dict[str, Any]:
    return _wanted(f"{house.name}_nightly", {})


def _graph(house: House, chosen: Sequence[str], checks: bool) -> dict[str, Any]:
    """What the UI sends for assets that were marked in the graph, for one night."""
    asset_names = [asset_name for step in chosen for asset_name in STEPS[step]]
    paths = [{"path": [house.name, asset_name]} for asset_name in asset_names]
    selected: dict[str, Any] = {"assetSelection": paths}
    if not checks:
        selected["assetCheckSelection"] = list(_rules(house)) if RULES_OF in asset_names else []
    return _wanted("__ASSET_JOB", selected)


def _rules(house: House) -> Iterator[dict[str, Any]]:
    for rule in rules(house.spec):
        yield {"assetKey": {"path": [house.name, RULES_OF]}, "name": rule.name}


def _wanted(job: str, selected: dict[str, Any]) -> dict[str, Any]:
    names = {"repositoryName": "__repository__", "repositoryLocationName": "pipeline_project", "pipelineName": job}
    return {
        "selector": {**names, **selected},
        "mode": "default",
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": NIGHT}]},
    }


def _launched(up: Up, wanted: dict[str, Any]) -> str:
    (said,) = up.ask(_RUN, wanted=wanted).values()
    if said["__typename"] != "LaunchRunSuccess":
        raise RuntimeError(f"the launch was refused: {said}")
    return str(said["run"]["runId"])


def _ended(up: Up, runs: Sequence[str]) -> list[str]:
    """How runs ended, in their order."""
    before: dict[str, str] = {}
    moved = time.monotonic()
    while time.monotonic() < moved + STILL:
        found = up.ask(_ENDED, ids=list(runs))["runsOrError"]["results"]
        now = {each["runId"]: each["status"] for each in found}
        if all(now.get(each) in ("SUCCESS", "FAILURE", "CANCELED") for each in runs):
            return [now[each] for each in runs]
        if now != before:
            before, moved = now, time.monotonic()
        time.sleep(1.0)
    raise RuntimeError(f"runs that do not end: {before}")


if __name__ == "__main__":
    raise SystemExit(run("launches", str(__doc__), ["verdicts"], 1, suite))
