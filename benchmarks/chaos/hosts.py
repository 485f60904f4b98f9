"""A cluster on one machine: database, object store, control plane and two workers in network namespaces of their own.

Three workflows are backfilled over the API, as the UI does it, by two run workers and two dispatchers on two hosts,
while one of these is cut off for half a minute, the database is started anew, the store answers 503 and then slowly,
and the daemon is killed. Nothing is done by hand but starting what was killed. In the end each night must be decided
and delivered as on one quiet machine, and each effect has happened once.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
from dagster import DagsterRunStatus
from sqlalchemy import make_url

from benchmarks.chaos.network import Host, network
from benchmarks.chaos.nights import MODEL, REVIEW
from benchmarks.chaos.running import BACKFILL, kill_all
from benchmarks.chaos.services import UNDER_WAY, WARM_UP, all_done, bare, deliver, judge, statuses, until_delivered
from benchmarks.chaos.tally import Came, Tally
from benchmarks.chaos.verdicts import CannotMeasure, cannot, tell
from resources.files import files_at
from resources.postgres.embedded import SOCKET_PORT, EmbeddedServer
from tests.integration import shop
from tests.integration.house import ROOT, House
from tests.s3_server import SLOW, S3Process
from tests.s3_server import environ_of as store_environ

NAMES = ("database", "store", "control", "first", "second")
WORKERS = ("first", "second")
#: Seconds that a start, or the next night, may take: a machine with other work is slow.
START = 600.0
WEBSERVER_PORT, DESK_PORT = 3000, 3004
CASES = 16
#: A text shared by two workflows is encoded with those of whichever comes first, and the last digits of its vector
#: follow from the batch; a case near a split then gets another chance (docs/decisions/51). What is decided is the same.
NEAR = 0.02


@dataclass(frozen=True)
class Scene:
    """How much happens.

    Attributes:
        nights: of each workflow.
        cut: seconds for which a host is cut off.
        refuses, slow_for: seconds for which the store answers 503, and is slow after that.
        at_once: everything else happens while the host is cut off, and not one after the other.
        slots: of each run worker; each imports for seconds what a night needs.
    """

    workflows: int = 3
    nights: int = 10
    cut: float = 30.0
    refuses: float = 8.0
    slow_for: float = 15.0
    at_once: bool = False
    slots: int = 2


#: As little as shows all of it, for the tests.
QUICK = Scene(workflows=1, nights=3, refuses=3.0, slow_for=5.0, at_once=True, slots=1)


class NetworkServer(EmbeddedServer):
    """The embedded server, which also listens at an address."""

    def __init__(self, folder: Path, address: str) -> None:
        super().__init__(folder)
        self.address = address

    def _listen(self) -> list[str]:
        return ["-h", self.address, "-k", ".", "-p", str(SOCKET_PORT)]

    def _initialise(self, lock: int) -> None:
        super()._initialise(lock)
        with (self.data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
            rules.write("host all all samenet scram-sha-256\n")


@dataclass
class Cluster:
    """The hosts and what runs on them.

    Attributes:
        url: of the server, as the hosts reach it.
        variables: what all of them are told.
    """

    hosts: dict[str, Host]
    folder: Path
    url: str
    store: S3Process
    bucket: str
    variables: dict[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def environ(self, host: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "DAGSTER_"))}
        home = {"PIPELINE_HOME": str(self.folder / host), "PIPELINE_POSTGRES_URL": self.url}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        return {**kept, **self.variables, **home, "PATH": path, "PYTHONPATH": str(ROOT)}

    def start(self, host: str, name: str, *words: str) -> None:
        """Starts a process on a host; its output is in a log named after both."""
        (self.folder / host).mkdir(exist_ok=True)
        with (self.folder / f"{host}-{name}.log").open("ab") as log:
            self.running[f"{host}-{name}"] = subprocess.Popen(
                [*self.hosts[host].inside, *words],
                env=self.environ(host), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def start_daemon(self) -> None:
        self.start("control", "daemon", str(ROOT / "deploy/with-env"), "python", "-m", "dagster._daemon", *_WORKSPACE)

    def start_all(self, slots: int) -> None:
        guarded = ("python", "-m", "pipeline_project.serving.guarded", "dagster")
        here = ("-h", "127.0.0.1", "-p", str(WEBSERVER_PORT))
        self.start("control", "webserver", str(ROOT / "deploy/with-env"), *guarded, *_WORKSPACE[1:], *here)
        self.start_daemon()
        self.start("control", "desk", *_CLI, "desk", "--port", str(DESK_PORT))
        for host in WORKERS:
            self.start(host, "worker", *_CLI, "worker", "--slots", str(slots))
            self.start(host, "dispatcher", *_CLI, "dispatch")
        _until("the webserver", lambda: self._fetched(f"http://127.0.0.1:{WEBSERVER_PORT}/healthz") is not None, START)

    def backfill(self, workflow: str, nights: list[str]) -> None:
        """Asks for nights over the API, on the host of the webserver."""
        job = f"{workflow}_nightly"
        repository = {"repositoryName": "__repository__", "repositoryLocationName": "pipeline_project"}
        selector = {"repositorySelector": repository, "partitionSetName": f"{job}_partition_set"}
        wanted = {"query": BACKFILL, "variables": {"wanted": {"selector": selector, "partitionNames": nights}}}
        address = f"http://127.0.0.1:{WEBSERVER_PORT}/graphql"
        answers: list[str] = []

        def asked() -> bool:
            # definitions may still be loading
            answers.append(self._fetched(address, json.dumps(wanted)) or "")
            return "LaunchBackfillSuccess" in answers[-1]

        _until(f"a backfill of {workflow}", asked, START)

    def desk_answers(self) -> bool:
        return self._fetched(f"http://127.0.0.1:{DESK_PORT}/healthz") is not None

    def _fetched(self, address: str, body: str = "") -> str | None:
        """What an address answers on the host of the control plane."""
        done = subprocess.run(
            [*self.hosts["control"].inside, sys.executable, "-c", _FETCH, address, body],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout if done.returncode == 0 else None

    def kill_daemon(self) -> None:
        _killed(self.running.pop("control-daemon"))

    def restart_database(self) -> None:
        server = NetworkServer(self.folder / "postgres", self.hosts["database"].address)
        server.stop()
        serve(self.hosts["database"], server.folder)

    def stop(self) -> None:
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 60
        for process in self.running.values():
            try:
                process.wait(max(1.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _killed(process)


def _killed(process: subprocess.Popen[bytes]) -> None:
    kill_all(psutil.Process(process.pid))
    process.wait()


_CLI = (sys.executable, "-m", "pipeline_project.cli")
_WORKSPACE = ("run", "-w", str(ROOT / "workspace.yaml"))
_FETCH = """
import sys, urllib.request
body = sys.argv[2].encode() or None
asked = urllib.request.Request(sys.argv[1], body, {"Content-Type": "application/json"})
print(urllib.request.urlopen(asked, timeout=120).read().decode())
"""


def serve(host: Host, folder: Path) -> None:
    """Starts the database on its host; it outlives this command."""
    words = [*host.inside, sys.executable, "-m", "benchmarks.chaos.hosts", "--serve", str(folder), host.address]
    subprocess.run(words, cwd=ROOT, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def suite(scene: Scene, without: bool = False) -> Tally:
    """What came of the faults, and of each night.

    Args:
        without: whether it is left to Dagster's own launcher to start runs and to notice what died.

    Raises:
        CannotMeasure: namespaces are not permitted here.
    """
    tally, last = Tally(), WARM_UP + scene.nights
    # the store is named by variables of this process
    with ExitStack() as stack, mock.patch.dict(os.environ):
        hosts = stack.enter_context(network(NAMES))
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-hosts-", ignore_cleanup_errors=True))
        )
        folder.chmod(0o711)
        cluster = stack.enter_context(_cluster(hosts, folder, scene.workflows, bare(folder) if without else {}))
        houses = [_house(cluster, number, last) for number in range(scene.workflows)]
        for house in houses:
            house.nights(shop.FIRST, shop.DECIDE_FROM)
        cluster.start_all(scene.slots)
        wanted = [shop.night(WARM_UP + 1 + offset) for offset in range(scene.nights)]
        for house in houses:
            cluster.backfill(house.name, wanted)
        _until("the first run", lambda: any(_begun(house, wanted) for house in houses), START)
        if scene.at_once:
            with _cut_off(cluster, scene):
                for fault in _WHILE_CUT_OFF.values():
                    fault(cluster, scene)
                calm = _calm(stack, folder / "calm", scene.workflows, last)
        else:
            for fault in FAULTS.values():
                before = _done(houses, wanted)
                fault(cluster, scene)
                # each in the middle of work: the next one comes once something was done after it
                if not without:
                    _until_done(houses, wanted, before)
            calm = _calm(stack, folder / "calm", scene.workflows, last)
        for kind in FAULTS:
            tally.note(kind, Came.WELL)
        for house in houses:
            tally.note(f"nights of {house.name}", *all_done(house, wanted, 60.0 if without else START))
            until_delivered(house)
        tally.note("the desk", Came.WELL if cluster.desk_answers() else Came.LOST, "does not answer")
        for house, quiet in zip(houses, calm, strict=True):
            judge(tally, house, quiet, NEAR)
    return tally


@contextmanager
def _cut_off(cluster: Cluster, scene: Scene) -> Iterator[None]:
    host, until = cluster.hosts[WORKERS[0]], time.monotonic() + scene.cut
    host.cut()
    try:
        yield
        time.sleep(max(0.0, until - time.monotonic()))
    finally:
        host.join()


def _alone_cut_off(cluster: Cluster, scene: Scene) -> None:
    with _cut_off(cluster, scene):
        pass


def _refusing(cluster: Cluster, scene: Scene) -> None:
    cluster.store.refuse("503 Slow Down", "SlowDown")
    time.sleep(scene.refuses)
    cluster.store.refuse(SLOW, "0.3")
    time.sleep(scene.slow_for)
    cluster.store.refuse()


def _database_anew(cluster: Cluster, _: Scene) -> None:
    cluster.restart_database()


def _daemon_killed(cluster: Cluster, _: Scene) -> None:
    cluster.kill_daemon()
    cluster.start_daemon()


_WHILE_CUT_OFF: dict[str, Callable[[Cluster, Scene], None]] = {
    "the database started anew": _database_anew,
    "the store answers 503, then slowly": _refusing,
    "the daemon killed": _daemon_killed,
}
FAULTS = {"a worker's host cut off for 30 s": _alone_cut_off, **_WHILE_CUT_OFF}


@contextmanager
def _cluster(hosts: dict[str, Host], folder: Path, workflows: int, more: dict[str, str]) -> Iterator[Cluster]:
    server = NetworkServer(folder / "postgres", hosts["database"].address)
    store = S3Process.start(hosts["store"].address, hosts["store"].inside)
    serve(hosts["database"], server.folder)
    url = make_url(server.url).set(host=server.address, port=SOCKET_PORT, query={})
    bucket, own = store.bucket(), [folder / "made" / _name(number) / "own" for number in range(workflows)]
    variables = {
        **store_environ(store.url),
        "PIPELINE_FILES_URL": f"{bucket}/house",
        "PIPELINE_KEYS": f"{bucket}/keys",
        "PIPELINE_KEYS_SECRET": b64encode(secrets.token_bytes(32)).decode(),
        "PIPELINE_WORKFLOWS": os.pathsep.join(map(str, own)),
        **more,
    }
    cluster = Cluster(hosts, folder, url.render_as_string(hide_password=False), store, bucket, variables)
    try:
        yield cluster
    finally:
        cluster.stop()
        store.stop()
        server.stop()


def _house(cluster: Cluster, number: int, last: int) -> House:
    """A workflow whose files lie in the store, with its warm-up done from a home that no host has."""
    name = _name(number)
    house = House(name, cluster.folder / "made" / name, cluster.url, cluster.variables)
    landing = f"{cluster.bucket}/shop/{name}"
    source = {"kind": "files", "folder": landing, "pattern": "claims/{night}*.csv"}
    house.declare(source=source, outcome={**shop.spec(name)["outcome"], "folder": landing}, **_TERMS)
    shop.drop_nights(house.folder, [shop.night(offset) for offset in range(last + 1)], count=CASES)
    os.environ.update(store_environ(cluster.store.url))
    for path in sorted((house.folder / "in").rglob("*.csv")):
        files_at(landing).write(path.relative_to(house.folder / "in").as_posix(), path.read_bytes())
    return house


_TERMS: dict[str, Any] = {"model": MODEL, "review": REVIEW, "options": shop.ACTING_OPTIONS, "actions": shop.ACTIONS}


def _calm(stack: ExitStack, folder: Path, workflows: int, last: int) -> list[House]:
    """The same workflows on one quiet machine."""
    folder.mkdir()
    server = EmbeddedServer(folder / "postgres")
    stack.callback(server.stop)
    url, houses = server.start(), []
    for number in range(workflows):
        home = folder / _name(number)
        home.mkdir()
        house = House(_name(number), home, url)
        house.declare(**_TERMS)
        shop.drop_nights(house.folder, [shop.night(offset) for offset in range(last + 1)], count=CASES)
        house.nights(shop.FIRST, shop.night(last))
        deliver(house)
        houses.append(house)
    return houses


def _name(number: int) -> str:
    return f"hosts_{number}"


def _begun(house: House, nights: list[str]) -> bool:
    return any(set(UNDER_WAY) & set(statuses(house, night)) for night in nights)


def _done(houses: list[House], nights: list[str]) -> int:
    return sum(DagsterRunStatus.SUCCESS in statuses(house, night) for house in houses for night in nights)


def _until_done(houses: list[House], nights: list[str], before: int) -> None:
    """Until another night is done, or none is left."""
    all_of_them = len(houses) * len(nights)
    _until("another night", lambda: _done(houses, nights) > min(before, all_of_them - 1), START)


def _until(what: str, ready: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come within {seconds:.0f} seconds")
        time.sleep(0.5)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos.hosts", description=__doc__)
    parser.add_argument("--workflows", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--nights", type=int, default=10, help="of each (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="as little as shows all of it, everything at once")
    parser.add_argument("--without", choices=["monitor"], help="take this protection out: the goal must then break")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        NetworkServer(Path(given.serve[0]), given.serve[1]).start()
        return 0
    try:
        scene = QUICK if given.quick else Scene(given.workflows, given.nights)
        tally = suite(scene, bool(given.without))
    except CannotMeasure as why:
        return cannot(why)
    tally.show()
    return tell(tally.seen)


if __name__ == "__main__":
    raise SystemExit(main())
