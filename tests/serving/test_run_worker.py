"""Run workers, with a real Dagster instance on PostgreSQL and real processes: each run once, whatever dies."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster import DagsterInstance, DagsterRunStatus
from sqlalchemy import text

from pipeline_project.dagster_internals import WorkerStatus
from pipeline_project.dagster_internals.execution import JobPythonOrigin, ModuleCodePointer
from pipeline_project.domain.core.run_tags import CODE, KILLED, TENANT
from pipeline_project.running_code import running_code
from pipeline_project.serving import run_worker
from pipeline_project.serving.run_slot import code_stamp, own_code
from pipeline_project.serving.run_worker import RunWorker
from resources.postgres.databases import close_idle, engine_of
from resources.run_workers.in_hand import LEFT_TO_WORKERS, say, worker_is_there
from resources.run_workers.launching import WatchedRunLauncher
from tests.dagster_internals import CodePointer, FileCodePointer, PackageCodePointer, create_run_for_test
from tests.serving import jobs_for_workers
from tests.serving.jobs_for_workers import TRACES, killed, outdated, quick, slow

ROOT = Path(__file__).resolve().parents[2]
LONG = 60.0


@dataclass
class Dagster:
    """An instance, what is launched on it, and the workers that take it."""

    url: str
    traces: Path
    workflows: Path
    instance: DagsterInstance

    def launched(
        self,
        job: dg.JobDefinition,
        left: str | None = None,
        tenant: str = "",
        tags: dict[str, str] | None = None,
        **more: Any,
    ) -> str:
        """A run as the daemon leaves it to workers, or with a tag that says so of another run.

        Args:
            tags: beside that one.
            more: what else is given of it.
        """
        run_id = str(uuid.uuid4())
        origin = dg.reconstructable(getattr(jobs_for_workers, job.name)).get_python_origin()
        run = create_run_for_test(
            self.instance,
            job.name,
            run_id,
            status=DagsterRunStatus.STARTING,
            tags={LEFT_TO_WORKERS: left or run_id, **({TENANT: tenant} if tenant else {}), **(tags or {})},
            **{"job_code_origin": origin, **more},
        )
        return str(run.run_id)

    @contextmanager
    def worker(
        self,
        grace: float = 0.0,
        slots: int = 2,
        tenants: Sequence[str] = (),
        outdated: Callable[[], str | None] = lambda: None,
    ) -> Iterator[RunWorker]:
        stopping, own = threading.Event(), DagsterInstance.get()
        worker = RunWorker(self.url, own, slots, [self.workflows], stopping.is_set, print, grace, outdated)
        worker.modules = [jobs_for_workers.__name__]
        worker.tenants = {tenant: [self.workflows] for tenant in tenants}
        thread = threading.Thread(target=worker.work, args=("run worker",))
        thread.start()
        try:
            until(lambda: all(worker_is_there(self.url, tenant) for tenant in tenants or ("",)))
            yield worker
        finally:
            stopping.set()
            thread.join(LONG)
            own.dispose()
            assert not thread.is_alive()

    def status(self, run_id: str) -> DagsterRunStatus:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.status

    def ends(self, run_id: str) -> DagsterRunStatus:
        def ended() -> bool:
            run = self.instance.get_run_by_id(run_id)
            return run is not None and run.is_finished

        until(ended)
        return self.status(run_id)

    def tag(self, run_id: str, name: str) -> str | None:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.tags.get(name)

    def why(self, run_id: str) -> str:
        return "\n".join(entry.message for entry in self.instance.all_logs(run_id))

    def left(self, what: str) -> list[tuple[str, int]]:
        """Run and process of each trace."""
        file = self.traces / what
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [(run, int(process)) for run, process in (line.split() for line in lines)]

    @property
    def launcher(self) -> WatchedRunLauncher:
        launcher = WatchedRunLauncher(self.url)
        launcher.register_instance(self.instance)
        return launcher


def until(ready: Callable[[], Any]) -> None:
    deadline = time.monotonic() + LONG
    while not ready():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def house(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dagster]:
    folders = [tmp_path_factory.mktemp(name) for name in ("dagster", "traces", "workflows")]
    home, traces, workflows = folders
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    url = module_database
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "DAGSTER_HOME": home,
            "PIPELINE_DAGSTER_POSTGRES_URL": url,
            TRACES: traces,
            "PYTHONPATH": ROOT,
        }.items():
            patch.setenv(name, str(value))
        # the jobs of these tests need none of it
        patch.setattr(run_worker, "HEAVY", ())
        with DagsterInstance.get() as instance:
            yield Dagster(url, traces, workflows, instance)
        close_idle()


@pytest.fixture
def dagster(house: Dagster) -> Dagster:
    for trace in house.traces.iterdir():
        trace.unlink()
    return house


def test_each_run_is_executed_once_by_one_of_several_workers_in_processes_that_stay(dagster: Dagster) -> None:
    runs = [dagster.launched(quick) for _ in range(6)]
    with dagster.worker(slots=1), dagster.worker(slots=1):
        assert {dagster.ends(run) for run in runs} == {DagsterRunStatus.SUCCESS}
        later = dagster.launched(quick)
        assert dagster.ends(later) is DagsterRunStatus.SUCCESS
    assert sorted(run for run, _ in dagster.left("done")) == sorted([*runs, later])
    assert len({process for _, process in dagster.left("done")}) <= 2


def test_a_run_that_took_over_the_tag_of_another_one_is_left_alone(dagster: Dagster) -> None:
    first = dagster.launched(quick)
    again = dagster.launched(quick, left=first)
    with dagster.worker():
        assert dagster.ends(first) is DagsterRunStatus.SUCCESS
        assert dagster.ends(dagster.launched(quick)) is DagsterRunStatus.SUCCESS
    assert dagster.status(again) is DagsterRunStatus.STARTING
    run = dagster.instance.get_run_by_id(again)
    assert run is not None
    assert dagster.launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING, "no code server is named"
    dagster.instance.report_run_canceled(run)


def test_a_run_that_its_process_has_not_begun_with_is_given_to_no_other(dagster: Dagster) -> None:
    with dagster.worker() as worker:
        run = dagster.launched(slow)
        until(lambda: any(slot.run_id == run for slot in worker.running))
        while not dagster.left("waiting"):
            # the worker looks again and again while the process comes to life
            say(dagster.url)
            assert [slot.run_id for slot in worker.running].count(run) == 1
        assert [slot.run_id for slot in worker.running].count(run) == 1
        (dagster.traces / "go on").touch()
        assert dagster.ends(run) is DagsterRunStatus.SUCCESS


def test_a_run_whose_process_is_killed_fails_with_what_to_do_and_others_go_on(dagster: Dagster) -> None:
    with dagster.worker(slots=1):
        gone = dagster.launched(killed)
        assert dagster.ends(gone) is DagsterRunStatus.FAILURE
        assert "exit code 137" in dagster.why(gone)
        assert "with whole batches; give the machine more memory" in dagster.why(gone)
        assert dagster.tag(gone, KILLED) == "1"
        # as Dagster goes on with it: under the tags of the one before
        again = dagster.launched(killed, tags={KILLED: "1"})
        assert dagster.ends(again) is DagsterRunStatus.FAILURE
        assert "with half batches" in dagster.why(again)
        assert dagster.tag(again, KILLED) == "2"
        assert dagster.ends(dagster.launched(quick)) is DagsterRunStatus.SUCCESS


def test_a_run_that_somebody_ends_is_interrupted_and_another_one_follows(dagster: Dagster) -> None:
    with dagster.worker(slots=1):
        run = dagster.launched(slow)
        until(lambda: dagster.left("waiting"))
        assert dagster.launcher.terminate(run)
        assert dagster.ends(run) is DagsterRunStatus.CANCELED
        assert not dagster.launcher.terminate(run)
        assert dagster.ends(dagster.launched(quick)) is DagsterRunStatus.SUCCESS
    assert [name for name, _ in dagster.left("done")] != [run]


def test_a_run_that_no_worker_has_begun_with_is_ended_at_once_and_never_begun(dagster: Dagster) -> None:
    run = dagster.launched(quick)
    assert dagster.launcher.terminate(run)
    assert dagster.status(run) is DagsterRunStatus.CANCELED
    with dagster.worker():
        assert dagster.ends(dagster.launched(quick)) is DagsterRunStatus.SUCCESS
    assert run not in [name for name, _ in dagster.left("done")]


def test_what_does_not_end_within_the_grace_is_handed_back_and_what_does_is_not(dagster: Dagster) -> None:
    with dagster.worker(grace=0.0):
        run = dagster.launched(slow)
        until(lambda: dagster.left("waiting"))
    assert dagster.status(run) is DagsterRunStatus.FAILURE
    assert "it is run again" in dagster.why(run)
    with dagster.worker(grace=LONG):
        other = dagster.launched(slow)
        until(lambda: len(dagster.left("waiting")) == 2)
        (dagster.traces / "go on").touch()
    assert dagster.status(other) is DagsterRunStatus.SUCCESS


def test_a_worker_that_is_stopped_is_left_nothing_more(dagster: Dagster) -> None:
    with dagster.worker():
        assert worker_is_there(dagster.url)
    assert not worker_is_there(dagster.url)


def test_a_dead_worker_leaves_no_process_and_the_monitor_hears_that_its_runs_are_dead(dagster: Dagster) -> None:
    ours = run_worker._spawn.Process(target=_works, args=(dagster.url,))
    ours.start()
    try:
        run_id = dagster.launched(slow)
        until(lambda: dagster.left("waiting"))
        run = dagster.instance.get_run_by_id(run_id)
        assert run is not None
        assert dagster.launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    finally:
        os.kill(int(ours.pid or 0), signal.SIGKILL)
        ours.join()
    (_, process) = dagster.left("waiting")[0]
    until(lambda: not psutil.pid_exists(process))
    until(lambda: dagster.launcher.check_run_worker_health(run).status is WorkerStatus.NOT_FOUND)


def _works(url: str) -> None:
    with DagsterInstance.get() as instance, pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_worker, "HEAVY", ())
        worker = RunWorker(url, instance, 1, [], lambda: False, print, 0.0, modules=[jobs_for_workers.__name__])
        worker.work("run worker")


def test_a_run_that_names_a_file_is_not_executed(dagster: Dagster) -> None:
    """A row as whoever may write to Dagster's tables makes it."""
    file = dagster.traces / "theirs.py"
    file.write_text(f"from pathlib import Path\nPath({str(dagster.traces / 'executed')!r}).touch()\n")
    honest = dg.reconstructable(quick).get_python_origin()
    theirs = honest.repository_origin._replace(code_pointer=FileCodePointer(str(file), "quick"))
    forged = honest._replace(repository_origin=theirs)
    with dagster.worker():
        run_id = dagster.launched(quick, job_code_origin=forged)
        assert dagster.ends(run_id) is DagsterRunStatus.FAILURE
        assert "is not that of the house, and no run worker executes other code" in dagster.why(run_id)
        # the process goes on with the next one
        assert dagster.ends(dagster.launched(quick)) is DagsterRunStatus.SUCCESS
    assert not (dagster.traces / "executed").exists()


def test_the_code_of_a_run_is_the_houses_or_the_tenants_own() -> None:
    def allowed(module: str, name: str, tenant: str = "") -> bool:
        return own_code(origin_of(ModuleCodePointer(module, name, "/theirs")), tenant) is not None

    assert allowed("pipeline_project.definitions", "defs")
    assert allowed("pipeline_project.tenant_definitions", "acme", "acme")
    assert not allowed("pipeline_project.definitions", "defs", "acme"), "of a tenant the house's are none"
    assert not allowed("pipeline_project.definitions", "load_workflows")
    assert not allowed("pipeline_project.tenant_definitions", "acme")
    assert not allowed("pipeline_project.tenant_definitions", "beta", "acme")
    assert not allowed("os", "getcwd")
    assert own_code(origin_of(PackageCodePointer("pipeline_project.definitions", "defs")), "") is None
    loaded = own_code(origin_of(ModuleCodePointer("pipeline_project.definitions", "defs", "/theirs")), "")
    assert loaded is not None and loaded.get_repo_pointer() == ModuleCodePointer("pipeline_project.definitions", "defs")


def origin_of(pointer: CodePointer) -> JobPythonOrigin:
    honest = dg.reconstructable(quick).get_python_origin()
    return honest._replace(repository_origin=honest.repository_origin._replace(code_pointer=pointer))


def test_a_stamp_is_of_what_is_read_and_outlives_what_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "claims.yaml").write_text("a")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    first = [code_stamp([tmp_path], tenant) for tenant in ("", "acme")]
    (tmp_path / "deep" / "more.yaml").write_text("b")
    (tmp_path / "code.py").write_text("c")
    second = [code_stamp([tmp_path], tenant) for tenant in ("", "acme")]
    assert first[0] != second[0], "beside a workflow of the house its own code may lie"
    assert first[1] == second[1], "of a tenant its specs are read, and nothing below them"
    (tmp_path / "claims.yaml").write_text("changed")
    assert code_stamp([tmp_path], "acme") != second[1]


def test_a_worker_whose_connection_is_cut_keeps_what_it_has_and_takes_more(
    dagster: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_worker, "LOOK", 0.1)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'run worker (%'"
    with dagster.worker(grace=LONG):
        run_id = dagster.launched(slow)
        until(lambda: dagster.left("waiting"))
        with engine_of(dagster.url).begin() as connection:
            assert connection.scalar(text(cut))
        assert dagster.ends(dagster.launched(quick)) is DagsterRunStatus.SUCCESS
        run = dagster.instance.get_run_by_id(run_id)
        assert run is not None
        assert dagster.launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
        (dagster.traces / "go on").touch()
    assert dagster.status(run_id) is DagsterRunStatus.SUCCESS
    assert len(dagster.left("waiting")) == 1


def test_a_process_whose_code_or_workflows_changed_is_replaced(dagster: Dagster) -> None:
    with dagster.worker(slots=1):
        for what in ("first", "second"):
            assert dagster.ends(dagster.launched(quick)) is DagsterRunStatus.SUCCESS
            assert dagster.ends(dagster.launched(quick)) is DagsterRunStatus.SUCCESS
            (dagster.workflows / f"{what}.yaml").touch()
    processes = [process for _, process in dagster.left("done")]
    assert processes[0] == processes[1] != processes[2] == processes[3]


class Submitted:
    """`LaunchRunContext` of a run whose workspace nobody asks for."""

    workspace = None

    def __init__(self, run: dg.DagsterRun) -> None:
        self.dagster_run = run


def test_a_launcher_leaves_runs_to_workers_where_one_is_there_and_else_to_dagsters_code_server(
    dagster: Dagster,
) -> None:
    run = create_run_for_test(
        dagster.instance,
        "quick",
        status=DagsterRunStatus.STARTING,
        job_code_origin=dg.reconstructable(quick).get_python_origin(),
    )
    with pytest.raises(dg.DagsterInvariantViolationError, match="requires a workspace"):
        dagster.launcher.launch_run(Submitted(run))
    with dagster.worker():
        dagster.launcher.launch_run(Submitted(run))
        assert dagster.ends(run.run_id) is DagsterRunStatus.SUCCESS


def test_a_worker_goes_round_whether_or_not_there_are_runs_and_one_that_hangs_does_not(
    dagster: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_worker, "LOOK", 0.05)
    with dagster.worker() as worker:
        before = worker.turned
        until(lambda: worker.turned > before)
        assert worker.goes_round
    monkeypatch.setattr(worker, "turned", time.monotonic() - run_worker.HANGS)
    assert not worker.goes_round


def test_a_run_that_two_daemons_launch_is_executed_once(dagster: Dagster) -> None:
    run = create_run_for_test(
        dagster.instance,
        "quick",
        status=DagsterRunStatus.STARTING,
        job_code_origin=dg.reconstructable(quick).get_python_origin(),
    )
    with dagster.worker(), dagster.worker():
        for _ in range(2):
            dagster.launcher.launch_run(Submitted(run))
        assert dagster.ends(run.run_id) is DagsterRunStatus.SUCCESS
        # whatever else had begun with it has ended by then
        assert dagster.ends(dagster.launched(quick)) is DagsterRunStatus.SUCCESS
    assert [name for name, _ in dagster.left("done")].count(run.run_id) == 1


def test_a_part_of_a_run_that_another_version_of_the_code_began_is_given_back_to_be_run_whole(dagster: Dagster) -> None:
    earlier = {CODE: "0.0.1+older"}
    with dagster.worker(slots=1):
        part = dagster.launched(quick, tags=earlier, step_keys_to_execute=["leaves_a_trace"])
        assert dagster.ends(part) is DagsterRunStatus.FAILURE
        assert "made by version 0.0.1+older of the code" in dagster.why(part)
        assert dagster.tag(part, "dagster/retry_strategy") == "ALL_STEPS"
        # whole, or begun by this version, it is executed
        whole = dagster.launched(quick, tags=earlier)
        own = dagster.launched(quick, step_keys_to_execute=["leaves_a_trace"], tags={CODE: running_code()})
        assert {dagster.ends(whole), dagster.ends(own)} == {DagsterRunStatus.SUCCESS}
    assert {name for name, _ in dagster.left("done")} == {whole, own}
    assert dagster.tag(whole, CODE) == running_code()


def test_a_run_that_finds_a_newer_ledger_is_to_be_run_again_from_its_beginning(dagster: Dagster) -> None:
    with dagster.worker(slots=1):
        run = dagster.launched(outdated)
        assert dagster.ends(run) is DagsterRunStatus.FAILURE
    tags = {name: dagster.tag(run, f"dagster/{name}") for name in ("retry_strategy", "retry_on_asset_or_op_failure")}
    assert tags == {"retry_strategy": "ALL_STEPS", "retry_on_asset_or_op_failure": "true"}


def test_a_worker_whose_code_is_outdated_ends_what_it_has_and_takes_nothing_more(
    dagster: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_worker, "LOOK", 0.05)
    refused: list[str] = []
    with dagster.worker(grace=LONG, outdated=lambda: refused[0] if refused else None) as worker:
        run = dagster.launched(slow)
        until(lambda: dagster.left("waiting"))
        refused.append("a newer version migrated the ledger")
        until(lambda: not worker_is_there(dagster.url))
        later = dagster.launched(quick)
        (dagster.traces / "go on").touch()
        assert dagster.ends(run) is DagsterRunStatus.SUCCESS
        assert worker.refused == refused[0]
    waiting = dagster.instance.get_run_by_id(later)
    assert waiting is not None
    assert waiting.status is DagsterRunStatus.STARTING
    dagster.instance.report_run_canceled(waiting)


def test_a_process_executes_the_runs_of_one_tenant(dagster: Dagster) -> None:
    """One place, and runs of three in turns: each has a process of its own, which says whose it is."""
    whose = ("", "acme", "beta", "acme")
    runs = [dagster.launched(quick, tenant=tenant) for tenant in whose]
    with dagster.worker(slots=1, tenants=("", "acme", "beta")):
        assert {dagster.ends(run) for run in runs} == {DagsterRunStatus.SUCCESS}
    processes = dict(dagster.left("done"))
    named = dict(line.split(" ", 1) for line in (dagster.traces / "tenants").read_text().splitlines())
    assert [named[run].strip() for run in runs] == [*whose]
    assert len({(processes[run], tenant) for run, tenant in zip(runs, whose, strict=True)}) == len(
        {*processes.values()}
    )


def test_a_tenants_worker_takes_that_tenants_runs_alone(dagster: Dagster) -> None:
    others = [dagster.launched(quick), dagster.launched(quick, tenant="beta")]
    own = dagster.launched(quick, tenant="acme")
    with dagster.worker(tenants=("acme",)):
        assert dagster.ends(own) is DagsterRunStatus.SUCCESS
        # launchers leave it the runs of its tenant, and start a process for those of others as Dagster does
        assert not worker_is_there(dagster.url) and not worker_is_there(dagster.url, "beta")
    assert {dagster.status(run) for run in others} == {DagsterRunStatus.STARTING}
