"""`python -m benchmarks.many`: a house of a hundred workflows and four hundred nights, behind it and before it.

One workflow's nights are written into Dagster's event log as Dagster writes them, and then copied in the database for
the others: what is measured afterwards (loading, the daemon's ticks, what the UI asks) reads rows as they would be.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import dagster as dg
import psutil
from sqlalchemy import text

from benchmarks.chaos.running import Up, environ_of, free_ports
from benchmarks.home import bench_home
from benchmarks.tables import machine, table, verdict
from pipeline_project.commands.shared.app_context import dagster_instance, prepare
from pipeline_project.dagster_internals import DAEMON
from pipeline_project.definitions import build_definitions
from pipeline_project.domain.core.nights import window_of
from pipeline_project.domain.intake.due_nights import LANDED
from resources.postgres.databases import begun, engine_of
from resources.postgres.embedded import EmbeddedServer
from resources.sources import everything_landed
from tests.integration import shop
from tests.integration.house import House

FIRST = "wf_000"
#: Of issue C: seconds of loading the definitions of a house with many, and of one tick.
LOADED, TICK = 4.0, 1.0
#: What each sensor is given as the shortest time between two of its ticks, in seconds.
EVERY = {"landing": 60, "late": 300, "new_outcomes": 300, "review_clock": 60, "alerts": 30, "recoveries": 30}
_LOAD = """
import os, sys, time, psutil
began, spent = time.perf_counter(), time.process_time()
from pipeline_project.dagster_internals import DAEMON
from pipeline_project.definitions import build_definitions
build_definitions(os.environ).get_repository_def()
print(time.perf_counter() - began, time.process_time() - spent, psutil.Process().memory_info().rss / 1e6)
"""
#: What the page of all assets asks, and what it then asks of the assets of one workflow again and again.
_GRAPH = """{ assetNodes { id assetKey { path } groupName description isPartitioned isMaterializable jobNames opNames
  computeKind owners { __typename } kinds tags { key value } dependencyKeys { path } dependedByKeys { path } } }"""
_LIVE = """query($keys: [AssetKeyInput!]) { assetNodes(assetKeys: $keys) { id
  assetMaterializations(limit: 1) { timestamp runId } partitionStats { numMaterialized numPartitions numFailed }
  assetChecksOrError { ... on AssetChecks { checks { name } } } } }"""
_RUNS = "{ runsOrError(limit: 25) { ... on Runs { results { runId status tags { key value } } } } }"
_ON = """mutation($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename } }"""
_SENSORS = """{ sensorsOrError(repositorySelector:
  {repositoryName: "__repository__", repositoryLocationName: "pipeline_project"}) { ... on Sensors { results { name
  minIntervalSeconds sensorState { ticks(limit: 20) { status timestamp endTimestamp } } } } } }"""


def main() -> None:
    given = _arguments()
    print(f"## {given.workflows} workflows and {given.nights} nights\n\n{machine()}.\n", flush=True)
    with house_of_many(given.workflows, given.nights) as (house, rows):
        print(f"{rows:,} rows in Dagster's event log.\n", flush=True)
        print(ticks(house, given.workflows), flush=True)
        print(loading(house), flush=True)
        if given.served:
            print(served(house, given.workflows, given.served), flush=True)


@contextmanager
def house_of_many(workflows: int, nights: int) -> Iterator[tuple[House, int]]:
    """A house with so many workflows, all of whose nights were run; and the rows of its event log."""
    with bench_home() as home, tempfile.TemporaryDirectory(prefix="bench-many-") as folder:
        server = EmbeddedServer(home / "postgres")
        try:
            own = Path(folder) / "house"
            own.mkdir()
            house = House(FIRST, own, server.start(), {})
            last = datetime.now(UTC).date() - timedelta(days=1)
            days = [(last - timedelta(days=back)).isoformat() for back in reversed(range(nights))]
            for number in range(workflows):
                # a schedule that is not due while it is measured; the sources are shared, their content does not matter
                declared = shop.spec(f"wf_{number:03}", text=True)
                declared["model"]["retrain"] |= {"minimum_outcomes": 1_000_000}
                declared["nights"] |= {"first": days[0], "decide_from": days[min(3, nights - 1)]}
                shop.write_spec(house.folder, declared)
            shop.drop_nights(house.folder, days, count=2)
            yield house, _past(house, days, workflows)
        finally:
            server.stop()


def _past(house: House, days: list[str], workflows: int) -> int:
    """Writes the nights of the first workflow, as of runs that went through, and copies them for the others."""
    with house.entered():
        context = prepare()
        definitions = build_definitions(os.environ)
        source = everything_landed(house.spec, context.settings)
        keys = [
            spec.key
            for asset in definitions.assets or ()
            if isinstance(asset, dg.AssetsDefinition)
            for spec in asset.specs
            if spec.key.path[0] == FIRST and asset.partitions_def is not None
        ]
        with dagster_instance(context) as instance:
            zone = house.spec.nights.time_zone
            landed = [source.fingerprint(window_of(day, zone)) for day in days]
            # what follows from arrivals comes after them, as in a night
            for key in sorted(keys, key=lambda key: key.path[-1] != "arrivals"):
                fact = dg.AssetMaterialization(key, partition=days[0], metadata={LANDED: landed[0], "rows": 2})
                instance.report_runless_asset_event(fact)
        with begun(engine_of(context.databases.dagster_url)) as connection:
            given = {"first": FIRST, "others": workflows - 1, "days": days, "landed": landed}
            for statement in _COPIES:
                connection.execute(text(statement), given)
            return int(connection.scalar(text("SELECT count(*) FROM event_logs")) or 0)


def _copied(named: str) -> str:
    return f"replace({named}, :first, 'wf_' || lpad(n::text, 3, '0'))"


_COPIES = (
    "INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition) "
    "SELECT run_id, replace(replace(event, partition, day), (CAST(:landed AS text[]))[1], landed), dagster_event_type, "
    "timestamp, step_key, asset_key, day "
    "FROM event_logs, unnest(CAST(:days AS text[]), CAST(:landed AS text[])) AS nights(day, landed) "
    "WHERE asset_key LIKE '%' || :first || '%' AND day <> partition ORDER BY day, id",
    "INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition) "
    f"SELECT run_id, {_copied('event')}, dagster_event_type, timestamp, step_key, {_copied('asset_key')}, partition "
    "FROM event_logs, generate_series(1, :others) AS n WHERE asset_key LIKE '%' || :first || '%' ORDER BY n, id",
    "INSERT INTO asset_keys (asset_key, last_materialization, last_run_id, asset_details, wipe_timestamp, "
    "last_materialization_timestamp, tags, cached_status_data) "
    f"SELECT {_copied('asset_key')}, {_copied('last_materialization')}, last_run_id, asset_details, wipe_timestamp, "
    "last_materialization_timestamp, tags, NULL "
    "FROM asset_keys, generate_series(1, :others) AS n WHERE asset_key LIKE '%' || :first || '%'",
    "ANALYZE",
)


def loading(house: House) -> str:
    """A table of what a process pays that loads the definitions."""
    environ = environ_of(house)
    found = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", _LOAD], env=environ, capture_output=True, text=True, check=True)
        found.append([float(word) for word in done.stdout.split()])
    seconds, spent, memory = min(found)
    rows = [
        ("seconds", seconds, f"≤ {LOADED:.0f}: {verdict(seconds <= LOADED)}"),
        ("processor seconds", spent, ""),
        ("MB held", memory, ""),
    ]
    return table("Loading the definitions, best of 3 processes", ["", "", "goal"], rows)


def ticks(house: House, workflows: int) -> str:
    """A table of ticks in this process: of a sensor for each workflow by some of them, of the others as they are."""
    some = {f"wf_{number:03}_" for number in (0, workflows // 2, workflows - 1)}
    took: dict[str, list[float]] = defaultdict(list)
    every: dict[str, int] = {}
    with house.entered():
        context = prepare()
        definitions = build_definitions(os.environ)
        with dagster_instance(context) as instance:
            for sensor in definitions.sensors or ():
                own = sensor.name.startswith("wf_")
                if isinstance(sensor, dg.RunStatusSensorDefinition) or not (
                    sensor.name.startswith(tuple(some)) if own else sensor.name in _SHARED
                ):
                    continue
                kind = sensor.name.split("_", 2)[-1] if own else sensor.name
                every[kind] = int(sensor.minimum_interval_seconds or 30)
                took[kind].append(_tick(sensor, instance, definitions))
    rows = []
    for kind, spent in took.items():
        count = 1 if kind in _SHARED else workflows
        cost = median(spent)
        rows.append((kind, count, cost, f"≤ {TICK:.0f}: {verdict(cost <= TICK)}", cost * count / every[kind] * 100))
    columns = ["", "sensors", "processor s a tick", "goal", "all of them, % of one core"]
    return table(f"Ticks of the sensors of {workflows} workflows, the second of two", columns, rows)


_SHARED = ("audit_checkpoints", "champion_aliases", "review_clock")


def _tick(sensor: dg.SensorDefinition, instance: dg.DagsterInstance, definitions: dg.Definitions) -> float:
    """Processor seconds of one tick, in this process; the first one pays for imports and is not counted."""
    spent = 0.0
    for _ in range(2):
        began = time.process_time()
        resources = dict(definitions.resources or {})
        with dg.build_sensor_context(
            instance=instance, sensor_name=sensor.name, definitions=definitions, resources=resources
        ) as context:
            sensor.evaluate_tick(context)
        spent = time.process_time() - began
    return spent


def served(house: House, workflows: int, seconds: int) -> str:
    """Tables of what the servers need, and of the daemon's ticks in some seconds."""
    began = time.perf_counter()
    up = Up.started(house, free_ports(5))
    try:
        ready = time.perf_counter() - began
        for number in range(workflows):
            for kind in ("landing", "new_outcomes"):
                at = {"repositoryName": "__repository__", "repositoryLocationName": "pipeline_project"}
                up.ask(_ON, s={**at, "sensorName": f"wf_{number:03}_{kind}"})
        # every sensor has had its first tick by then
        time.sleep(60)
        asked = _asked(up)
        before, since = _processor(up), time.time()
        time.sleep(seconds)
        after, passed = _processor(up), time.time() - since
        sensors = up.ask(_SENSORS)["sensorsOrError"]["results"]
        memory = {name: family_memory(up.service(words)) for name, words in _SERVICES.items()}
        rows = [(name, memory[name], (after[name] - before[name]) / passed * 100) for name in _SERVICES]
        told = [
            table(f"Servers, ready after {ready:,.0f} s", ["", "MB", "processor, % of one core while ticking"], rows),
            table("What the UI asks, median of 5", ["", "seconds", "bytes"], asked),
            _ticks(sensors, since),
        ]
        return "\n".join(told)
    finally:
        up.stop()


_SERVICES = {"webserver": "guarded dagster", "daemon": DAEMON}


def _processor(up: Up) -> dict[str, float]:
    """Processor seconds of each service with its children, those that ended included."""
    return {name: _spent(up.service(words)) for name, words in _SERVICES.items()}


def _spent(service: psutil.Process) -> float:
    spent = 0.0
    for process in (service, *service.children(recursive=True)):
        times = process.cpu_times()
        spent += times.user + times.system
    return spent


def family_memory(service: psutil.Process) -> float:
    """MB of a service and its children, what they share counted once."""
    return sum(process.memory_full_info().pss for process in (service, *service.children(recursive=True))) / 1e6


def _asked(up: Up) -> list[tuple[str, float, int]]:
    nodes = up.ask(_GRAPH)["assetNodes"]
    keys = [node["assetKey"] for node in nodes if node["assetKey"]["path"][0] == "wf_050"] or [nodes[0]["assetKey"]]
    queries: list[tuple[str, str, Mapping[str, Any]]] = [
        (f"all {len(nodes):,} assets with their edges", _GRAPH, {}),
        (f"what became of the {len(keys)} assets of one workflow", _LIVE, {"keys": keys}),
        ("the latest runs", _RUNS, {}),
        ("every sensor with its last ticks", _SENSORS, {}),
    ]
    rows = []
    for name, query, variables in queries:
        took, size = [], 0
        for _ in range(5):
            began = time.perf_counter()
            size = len(json.dumps(up.ask(query, **variables)))
            took.append(time.perf_counter() - began)
        rows.append((name, median(took), size))
    return rows


def _ticks(sensors: list[dict[str, Any]], since: float) -> str:
    """By kind of sensor: how long a tick takes and how many there were, against how many there should have been."""
    took: dict[str, list[float]] = defaultdict(list)
    late: dict[str, list[float]] = defaultdict(list)
    for sensor in sensors:
        kind = sensor["name"].split("_", 2)[-1] if sensor["name"].startswith("wf_") else sensor["name"]
        ticks = [one for one in sensor["sensorState"]["ticks"] if one["endTimestamp"] and one["timestamp"] >= since]
        took[kind] += [tick["endTimestamp"] - tick["timestamp"] for tick in ticks]
        times = sorted(tick["timestamp"] for tick in ticks)
        every = EVERY.get(kind)
        if every:
            late[kind] += [b - a - every for a, b in pairwise(times)]
    rows = [
        (kind, len(took[kind]), median(took[kind]), max(took[kind]), max(late[kind], default=0.0))
        for kind in sorted(took)
        if took[kind]
    ]
    worst = max(row[2] for row in rows)
    title = f"Ticks of {len(sensors):,} sensors (goal: ≤ {TICK:.0f} s each, by the median: {verdict(worst <= TICK)})"
    return table(title, ["", "ticks", "median s", "longest s", "later than asked for, longest s"], rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many", description=__doc__)
    parser.add_argument("--workflows", type=int, default=100, help="(default: %(default)s)")
    parser.add_argument("--nights", type=int, default=400, help="(default: %(default)s)")
    parser.add_argument(
        "--served", type=int, metavar="SECONDS", help="also `pipeline up`, and ticks of its daemon so long"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
