"""`pipeline up` for real: its webserver, its daemon, all that runs nights, or everything is killed in mid-night.

Nights are asked for in a backfill over the API, as the UI does it, and one process gets SIGKILL at a moment that the
seed draws: while a night is under way. Where `pipeline up` ends with it, it is started again, and nothing else is done
by hand. Each night must then be decided and delivered as in a house where nobody was killed, and no run may be left
that stands as under way with nobody at work. One backfill has two daemons on one instance from beginning to end.
`--without monitor` leaves it to Dagster's own launcher to notice what died.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from unittest import mock

import psutil
from dagster import DagsterRunStatus, RunsFilter

from benchmarks.chaos.nights import MODEL, REVIEW
from benchmarks.chaos.tally import Came, Given, Tally, run
from benchmarks.home import bench_home
from pipeline_project.commands import ground
from resources.embedded import EmbeddedServer
from tests.integration import shop
from tests.integration.house import ROOT, House, all_differences

WARM_UP = 3
#: Nights of one backfill.
NIGHTS = 1
#: Seconds: after which what does not move any more has stopped, and how long a start may take.
STILL, START = 300.0, 400.0
LAUNCH = """mutation($wanted: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $wanted) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
UNDER_WAY = (DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING)
#: What stands in `dagster.yaml` of the launcher that watches, and `pipeline up` with another `dagster.yaml`.
_LAUNCHER = re.compile(r"^run_launcher:\n(?:  .*\n)+", re.MULTILINE)
_UP = (
    "import sys; from pathlib import Path; from pipeline_project.commands import ground, up; "
    "ground.ROOT = Path(sys.argv.pop(1)); from pipeline_project import cli; cli.main()"
)
_LEFT = "SELECT 1 FROM actions WHERE workflow = :name AND state IN ('waiting', 'ready', 'sending', 'unknown')"


@dataclass
class Up:
    """One `pipeline up` of a house."""

    house: House
    ports: tuple[int, ...]
    process: subprocess.Popen[bytes]

    @classmethod
    def started(cls, house: House, ports: tuple[int, ...]) -> Up:
        """Starts it and waits until it says that it is ready."""
        names = ("--port", "--mlflow-port", "--reports-port", "--desk-port", "--shop-port")
        words = [word for name, port in zip(names, ports, strict=True) for word in (name, str(port))]
        command = [sys.executable, "-c", _UP, str(ground.ROOT), "up", *words]
        said = house.home / "up.log"
        with said.open("wb") as log:
            process = subprocess.Popen(command, env=_environ(house), cwd=ROOT, stdout=log, stderr=log)
        until = time.monotonic() + START
        while b"Ready:" not in said.read_bytes():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"`pipeline up` did not start:\n{said.read_text(errors='replace')[-2000:]}")
            time.sleep(0.3)
        return cls(house, ports, process)

    def service(self, words: str) -> psutil.Process:
        """The service whose command holds these words."""
        for each in psutil.Process(self.process.pid).children():
            if words in " ".join(each.cmdline()):
                return each
        raise RuntimeError(f"no service runs with {words!r}")

    def ask_for(self, nights: list[str]) -> None:
        """A backfill of the nightly job, as the UI asks for it."""
        job = f"{self.house.name}_nightly"
        repository = {"repositoryName": "__repository__", "repositoryLocationName": "pipeline_project"}
        selector = {"repositorySelector": repository, "partitionSetName": f"{job}_partition_set"}
        variables = {"wanted": {"selector": selector, "partitionNames": nights}}
        body = json.dumps({"query": LAUNCH, "variables": variables}).encode()
        address = f"http://127.0.0.1:{self.ports[0]}/graphql"
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            said = json.load(answer)
        if said["data"]["launchPartitionBackfill"]["__typename"] != "LaunchBackfillSuccess":
            raise RuntimeError(f"the backfill was refused: {said}")

    def ended(self, seconds: float) -> bool:
        """Whether it ends by itself within some seconds."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            if not self.ended(120):
                _kill_all(psutil.Process(self.process.pid))


def _kill_all(process: psutil.Process) -> None:
    """A process with everything below it, which has no time to write anything down."""
    family = [process, *process.children(recursive=True)]
    for each in family:
        with suppress(psutil.NoSuchProcess):
            each.suspend()
    # what came to life in between is below somebody who now stands still
    late = [child for child in process.children(recursive=True) if child not in family]
    for each in [*family, *late]:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs([*family, *late], 30)


def _webserver(up: Up) -> None:
    up.service("pipeline_project.commands.guarded dagster").kill()


def _daemon(up: Up) -> None:
    up.service("dagster._daemon").kill()


def _all_that_runs_nights(up: Up) -> None:
    _kill_all(up.service("dagster._daemon"))


def _everything(up: Up) -> None:
    _kill_all(psutil.Process(up.process.pid))


KILLS: dict[str, Callable[[Up], None]] = {
    "all that runs nights killed": _all_that_runs_nights,
    "everything killed": _everything,
    "the webserver killed": _webserver,
    "the daemon killed": _daemon,
}
TWO_DAEMONS = "two daemons on one instance"
KINDS = ("all that runs nights killed", TWO_DAEMONS, *list(KILLS)[1:])


def suite(given: Given) -> Tally:
    tally, draw = Tally(), Random(given.seed)
    wanted = [KINDS[number % len(KINDS)] for number in range(1 if given.without else given.times)]
    last = WARM_UP + NIGHTS * len(wanted)
    with bench_home() as home, tempfile.TemporaryDirectory(prefix="chaos-up-") as folder, _without(given.without):
        server = EmbeddedServer(home / "postgres")
        url = server.start()
        try:
            calm, killed = (
                _calm(Path(folder), url, last, bool(given.without)),
                _house("killed", Path(folder), url, last),
            )
            up = Up.started(killed, _free_ports(5))
            try:
                for number, kind in enumerate(wanted):
                    nights = [shop.night(WARM_UP + 1 + NIGHTS * number + offset) for offset in range(NIGHTS)]
                    up, came = _met(up, kind, nights, draw, 60.0 if given.without else STILL)
                    tally.note(kind, *came)
                    _until_delivered(killed)
            finally:
                up.stop()
            if calm:
                _judge(tally, killed, calm)
        finally:
            server.stop()
    return tally


def _calm(folder: Path, url: str, last: int, without: bool) -> House | None:
    """The house in which nobody is killed; where a protection is taken out a night that never ends tells enough."""
    if without:
        return None
    house = _house("calm", folder, url, last)
    house.nights(shop.DECIDE_FROM, shop.night(last))
    # one ledger: the dispatcher of the other house knows nothing of this one's destinations
    _deliver(house)
    return house


def _met(up: Up, kind: str, nights: list[str], draw: Random, still: float) -> tuple[Up, tuple[Came, str]]:
    """One backfill with its fault; the `pipeline up` that runs afterwards, and what came of it."""
    with _second_daemon(up) if kind == TWO_DAEMONS else _nothing():
        up.ask_for(nights)
        if kind in KILLS:
            _until_under_way(up.house, nights[0])
            time.sleep(draw.uniform(0.0, 2.0))
            KILLS[kind](up)
            if up.ended(90):
                up = Up.started(up.house, up.ports)
        return up, _all_done(up.house, nights, still)


def _until_under_way(house: House, night: str) -> None:
    until = time.monotonic() + STILL
    while DagsterRunStatus.STARTED not in _statuses(house, night):
        if time.monotonic() > until:
            raise RuntimeError(f"{night} was asked for and never began")
        time.sleep(0.1)


def _all_done(house: House, nights: list[str], still: float) -> tuple[Came, str]:
    """Waits until each night has a run that succeeded, and none that seems to be under way."""
    before: object = None
    moved = time.monotonic()
    while time.monotonic() < moved + still:
        now = [_statuses(house, night) for night in nights]
        if all(DagsterRunStatus.SUCCESS in each and not set(UNDER_WAY) & set(each) for each in now):
            return Came.WELL, ""
        seen = (now, _events(house))
        if seen != before:
            before, moved = seen, time.monotonic()
        time.sleep(1.0)
    return Came.LOST, f"{nights[0]}: {[[status.value for status in each] for each in now]}, and nothing moves"


def _until_delivered(house: House) -> None:
    until = time.monotonic() + STILL
    while house.sql(_LEFT) and time.monotonic() < until:
        time.sleep(0.5)


def _statuses(house: House, night: str) -> list[DagsterRunStatus]:
    tags = {"dagster/partition": night, "pipeline/workflow": house.name}
    with house.instance() as (_, instance):
        return [each.status for each in instance.get_runs(RunsFilter(tags=tags))]


def _events(house: House) -> int:
    """How much has happened in the night's own tables; what moves has not stopped."""
    return sum(len(house.sql(f"SELECT 1 FROM {table} WHERE workflow = :name")) for table in ("decisions", "releases"))


def _deliver(house: House) -> None:
    subprocess.run(
        [sys.executable, "-m", "pipeline_project.cli", "dispatch", "--drain"],
        env=_environ(house), cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip


def _judge(tally: Tally, killed: House, calm: House) -> None:
    happened = Counter(
        (said["case"], said["action"])
        for said in (json.loads(path.read_text()) for path in (killed.folder / "out").glob("[!.]*.json"))
    )
    for name, what in all_differences(
        {**killed.tables(), "what was decided": killed.decisions(), **killed.work()},
        {**calm.tables(), "what was decided": calm.decisions(), **calm.work()},
    ).items():
        tally.note(f"the table {name}", Came.SILENT, str(what[:2]))
    for effect, times in happened.items():
        if times > 1:
            tally.note("effects", Came.DOUBLED, str(effect))
    done = {(row["case_id"], row["kind"]) for row in killed.sql(_DONE)}
    for effect in done - happened.keys():
        tally.note("effects", Came.LOST, str(effect))


_DONE = "SELECT case_id, kind FROM actions WHERE workflow = :name AND state = 'done'"


@contextmanager
def _second_daemon(up: Up) -> Iterator[None]:
    """Another daemon on the instance, as somebody would have who starts one by hand."""
    with up.house.instance() as (stands, _):
        environ = {**_environ(up.house), **stands.environ}
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", str(ROOT / "workspace.yaml")]
    with (up.house.home / "second.log").open("wb") as log:
        process = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield
    finally:
        if process.poll() is not None:
            raise RuntimeError(f"the second daemon ended by itself with {process.returncode}")
        _kill_all(psutil.Process(process.pid))


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _environ(house: House) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "DAGSTER_"))}
    return {**kept, **house.environ}


def _free_ports(count: int) -> tuple[int, ...]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = tuple(each.getsockname()[1] for each in held)
    for each in held:
        each.close()
    return ports


def _house(name: str, folder: Path, url: str, last: int) -> House:
    home = folder / name
    home.mkdir()
    house = House(f"chaos_up_{name}", home, url)
    house.declare(model=MODEL, review=REVIEW, options=shop.ACTING_OPTIONS, actions=shop.ACTIONS)
    shop.drop_nights(house.folder, [shop.night(offset) for offset in range(last + 1)], count=16)
    house.nights(shop.FIRST, shop.DECIDE_FROM)
    return house


@contextmanager
def _without(protection: str | None) -> Iterator[None]:
    """Dagster's own launcher, by another `dagster.yaml` for all that this suite starts."""
    if protection is None:
        yield
        return
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(ground, "ROOT", Path(folder)):
        whole = (ROOT / "dagster.yaml").read_text(encoding="utf-8")
        bare, found = _LAUNCHER.subn("", whole)
        if found != 1:
            raise RuntimeError("dagster.yaml names no launcher that could be taken out")
        (Path(folder) / "dagster.yaml").write_text(bare, encoding="utf-8")
        yield


if __name__ == "__main__":
    raise SystemExit(run("services", str(__doc__), ["monitor"], 5, suite))
