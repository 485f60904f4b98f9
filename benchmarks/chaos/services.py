"""`pipeline up` for real: its webserver, its daemon, all that runs nights, or everything is killed in mid-night.

Nights are asked for in a backfill over the API, as the UI does it, and one process gets SIGKILL at a moment that the
seed draws: while a night is under way. Where `pipeline up` ends with it, it is started again, and nothing else is done
by hand. Each night must then be decided and delivered as in a house where nobody was killed, and no run may be left
that stands as under way with nobody at work. One backfill has two daemons on one instance from beginning to end.
`--without monitor` leaves it to Dagster's own launcher to notice what died.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import psutil
from dagster import DagsterEventType, DagsterRunStatus, RunsFilter

from benchmarks.chaos.nights import MODEL, REVIEW
from benchmarks.chaos.running import Up, environ_of, free_ports, kill_all
from benchmarks.chaos.tally import Came, Given, Tally, run
from benchmarks.home import bench_home
from resources.postgres.embedded import EmbeddedServer
from tests.integration import shop
from tests.integration.house import ROOT, House, all_differences

WARM_UP = 3
#: Nights of one backfill.
NIGHTS = 1
#: Seconds after which what does not move any more has stopped.
STILL = 300.0
UNDER_WAY = (DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING)
#: What stands in `dagster.yaml` of the launcher that watches.
_LAUNCHER = re.compile(r"^run_launcher:\n(?:  .*\n)+", re.MULTILINE)
_LEFT = "SELECT 1 FROM actions WHERE workflow = :name AND state IN ('waiting', 'ready', 'sending', 'unknown')"


def _webserver(up: Up) -> None:
    up.service("pipeline_project.serving.guarded dagster").kill()


def _daemon(up: Up) -> None:
    up.service("dagster._daemon").kill()


def _all_that_runs_nights(up: Up) -> None:
    kill_all(up.service("dagster._daemon"))


def _everything(up: Up) -> None:
    kill_all(psutil.Process(up.process.pid))


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
    with bench_home() as home, tempfile.TemporaryDirectory(prefix="chaos-up-") as folder:
        server = EmbeddedServer(home / "postgres")
        url = server.start()
        try:
            calm = _calm(Path(folder), url, last, bool(given.without))
            killed = _house("killed", Path(folder), url, last, bare(Path(folder)) if given.without else {})
            up = Up.started(killed, free_ports(5))
            try:
                for number, kind in enumerate(wanted):
                    nights = [shop.night(WARM_UP + 1 + NIGHTS * number + offset) for offset in range(NIGHTS)]
                    up, came = _met(up, kind, nights, draw, 60.0 if given.without else STILL)
                    tally.note(kind, *came)
                    until_delivered(killed)
            finally:
                up.stop()
            if calm:
                judge(tally, killed, calm)
        finally:
            server.stop()
    return tally


def _calm(folder: Path, url: str, last: int, without: bool) -> House | None:
    """The house in which nobody is killed; where a protection is taken out a night that never ends tells enough."""
    if without:
        return None
    house = _house("calm", folder, url, last, {})
    house.nights(shop.DECIDE_FROM, shop.night(last))
    # one ledger: the dispatcher of the other house knows nothing of this one's destinations
    deliver(house)
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
        return up, all_done(up.house, nights, still)


def _until_under_way(house: House, night: str) -> None:
    until = time.monotonic() + STILL
    while DagsterRunStatus.STARTED not in statuses(house, night):
        if time.monotonic() > until:
            raise RuntimeError(f"{night} was asked for and never began")
        time.sleep(0.1)


def all_done(house: House, nights: list[str], still: float) -> tuple[Came, str]:
    """Waits until each night has a run that succeeded, and none that seems to be under way."""
    before: object = None
    moved = time.monotonic()
    while time.monotonic() < moved + still:
        now = [statuses(house, night) for night in nights]
        if all(DagsterRunStatus.SUCCESS in each and not set(UNDER_WAY) & set(each) for each in now):
            return Came.WELL, ""
        seen = (now, _events(house))
        if seen != before:
            before, moved = seen, time.monotonic()
        time.sleep(1.0)
    shown = [[status.value for status in each] for each in now]
    return Came.LOST, f"{nights[0]}: {shown}, and nothing moves; {'; '.join(_why_failed(house)) or 'no step failed'}"


def _why_failed(house: House) -> list[str]:
    """What each step said that failed for good, in short."""
    said = []
    with house.instance() as (_, instance):
        for run in instance.get_runs(RunsFilter(tags={"pipeline/workflow": house.name}, statuses=_FAILED)):
            of_run = f"{run.tags.get('dagster/partition')} {run.run_id[:8]}"
            for entry in instance.all_logs(
                run.run_id, of_type={DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE}
            ):
                event = entry.get_dagster_event()
                told = getattr(event.event_specific_data, "error", None)
                while told is not None and told.cause is not None:
                    told = told.cause
                words = " ".join(str(told.message if told else event.message).split())[:300]
                said.append(f"{of_run} {event.step_key or 'the run'}: {words}")
    return said


_FAILED = [DagsterRunStatus.FAILURE]


def until_delivered(house: House) -> None:
    until = time.monotonic() + STILL
    while house.sql(_LEFT) and time.monotonic() < until:
        time.sleep(0.5)


def statuses(house: House, night: str) -> list[DagsterRunStatus]:
    tags = {"dagster/partition": night, "pipeline/workflow": house.name}
    with house.instance() as (_, instance):
        return [each.status for each in instance.get_runs(RunsFilter(tags=tags))]


def _events(house: House) -> int:
    """How much has happened in the night's own tables; what moves has not stopped."""
    return sum(len(house.sql(f"SELECT 1 FROM {table} WHERE workflow = :name")) for table in ("decisions", "releases"))


def deliver(house: House) -> None:
    subprocess.run(
        [sys.executable, "-m", "pipeline_project.cli", "dispatch", "--drain"],
        env=environ_of(house), cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip


def judge(tally: Tally, killed: House, calm: House, near: float = 0.0) -> None:
    """Notes what is otherwise than in a calm house, and effects that happened twice or not at all.

    Args:
        near: the part of a number by which it may differ.
    """
    happened = Counter(
        (said["case"], said["action"])
        for said in (json.loads(path.read_text()) for path in (killed.folder / "out").glob("[!.]*.json"))
    )
    for name, what in all_differences(
        {**killed.tables(), "what was decided": killed.decisions(), **killed.work()},
        {**calm.tables(), "what was decided": calm.decisions(), **calm.work()},
        near,
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
        environ = {**environ_of(up.house), **stands.environ}
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", str(ROOT / "workspace.yaml")]
    with (up.house.home / "second.log").open("wb") as log:
        process = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield
    finally:
        if process.poll() is not None:
            raise RuntimeError(f"the second daemon ended by itself with {process.returncode}")
        kill_all(psutil.Process(process.pid))


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _house(name: str, folder: Path, url: str, last: int, variables: dict[str, str]) -> House:
    home = folder / name
    home.mkdir()
    house = House(f"chaos_up_{name}", home, url, variables)
    house.declare(model=MODEL, review=REVIEW, options=shop.ACTING_OPTIONS, actions=shop.ACTIONS)
    shop.drop_nights(house.folder, [shop.night(offset) for offset in range(last + 1)], count=16)
    house.nights(shop.FIRST, shop.DECIDE_FROM)
    return house


def bare(folder: Path) -> dict[str, str]:
    """What gives every process of a house Dagster's own launcher; one that had the watched one would bring it back."""
    bare, found = _LAUNCHER.subn("", (ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    if found != 1:
        raise RuntimeError("dagster.yaml names no launcher that could be taken out")
    path = folder / "without_monitor.yaml"
    path.write_text(bare, encoding="utf-8")
    return {"PIPELINE_DAGSTER_YAML": str(path)}


if __name__ == "__main__":
    raise SystemExit(run("services", str(__doc__), ["monitor"], 5, suite))
