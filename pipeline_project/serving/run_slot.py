"""One process of a run worker: executes one run after another, each as Dagster would in a process of its own.

What a run would import anew (Dagster, the definitions, Great Expectations, torch, MLflow) is there already. Of the
code and the workflows it knows what stood on disk as it began; the worker replaces it once they change.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_project.domain.core.errors import LedgerNewer
from pipeline_project.domain.core.run_tags import CODE as RUN_CODE
from pipeline_project.running_code import running_code
from pipeline_project.settings import ROOT
from pipeline_project.tenants import DEFINITIONS, become

if TYPE_CHECKING:
    from dagster import DagsterEvent, DagsterInstance, DagsterRun

    from pipeline_project.dagster_internals.execution import JobPythonOrigin

#: What a night imports where it uses it, in the order in which it does.
HEAVY = ("pipeline_project.definitions", "great_expectations", "torch", "mlflow", "sklearn.ensemble", "xgboost")
#: Module and attribute that Dagster loads of the house; of a tenant it loads the attribute of its name.
_HOUSE = ("pipeline_project.definitions", "defs")
#: Dagster's own tag: from where a run is done again, and the value that means from its beginning.
_STRATEGY, _WHOLE = "dagster/retry_strategy", "ALL_STEPS"
#: Dagster's own tag: a run is run again although nothing but a step of it failed.
_AGAIN = "dagster/retry_on_asset_or_op_failure"
#: Where code lies that a process imports once.
CODE = tuple(ROOT / package for package in ("pipeline_project", "assets", "resources"))
_IMPORTED, _READ = ("*.py",), ("*.yaml", "*.yml")


def code_stamp(folders: Iterable[Path], tenant: str = "") -> str:
    """Differs once a file of the code, or of the users' folders of workflows, is written, added or taken away."""
    code = (file for folder in CODE for pattern in (*_IMPORTED, *_READ) for file in sorted(folder.rglob(pattern)))
    marks = [mark for file in (*code, *_read(folders, tenant)) for mark in _marks(file)]
    return hashlib.sha256(repr(marks).encode()).hexdigest()


def _read(folders: Iterable[Path], tenant: str) -> Iterator[Path]:
    """The users' files; of a tenant only what is read of it, since it says itself what lies deeper and how much."""
    for folder in folders:
        for pattern in _READ if tenant else (*_IMPORTED, *_READ):
            # a folder that this user may not list holds nothing that is read
            with suppress(OSError):
                yield from sorted(folder.glob(pattern) if tenant else folder.rglob(pattern))


def _marks(file: Path) -> Iterator[tuple[str, int, int]]:
    # one that is taken away at this moment, or may not be looked at, is missing from the next stamp as well
    with suppress(OSError):
        state = file.stat()
        yield str(file), state.st_mtime_ns, state.st_size


def execute_runs(pipe: Connection, imports: Sequence[str], tenant: str = "", modules: Sequence[str] = ()) -> None:
    """Executes the runs whose ids come through the pipe and answers each with itself, until the pipe is closed.

    SIGINT ends the run in hand, as when somebody ends it in Dagster's UI, and then the process; between runs it is
    passed over. Dies with the worker.

    Args:
        imports: modules, before the first run comes.
        tenant: whose runs they are; nobody else's are ever loaded here.
        modules: whose jobs are executed beside those of the package's definitions.
    """
    # what the worker has is not for its processes: they are the house's or one tenant's
    os.environ.pop("PIPELINE_TENANT", None)
    become(tenant)
    # Ctrl-C in a terminal is for the worker alone
    os.setsid()
    # of the code as it is imported below, before anybody replaces it
    running_code()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    from dagster import DagsterInstance

    from pipeline_project.dagster_internals.execution import capture_interrupts

    with capture_interrupts():
        for module in imports:
            importlib.import_module(module)
        with DagsterInstance.get() as instance, suppress(EOFError):
            while _executed(instance, run_id := pipe.recv(), tenant, modules):
                pipe.send(run_id)


def own_code(origin: JobPythonOrigin, tenant: str, modules: Sequence[str] = ()) -> JobPythonOrigin | None:
    """Where a run's job is, if that is code which this process executes: the definitions of the house or of the tenant.

    Whoever may write to Dagster's tables, as every tenant's login may, writes there what code a run is of; a file, a
    function or a folder for modules of theirs would be executed with everything that this process may.

    Args:
        modules: whose jobs are executed beside those.
    """
    from pipeline_project.dagster_internals.execution import ModuleCodePointer

    pointer = origin.get_repo_pointer()
    allowed = (DEFINITIONS, tenant) if tenant else _HOUSE
    if type(pointer) is not ModuleCodePointer:
        return None
    if (pointer.module, pointer.fn_name) != allowed and pointer.module not in modules:
        return None
    here = origin.repository_origin._replace(code_pointer=ModuleCodePointer(pointer.module, pointer.fn_name))
    return origin._replace(repository_origin=here)


def _executed(instance: DagsterInstance, run_id: str, tenant: str, modules: Sequence[str]) -> bool:
    """Whether a run came to its end, good or bad, without being interrupted."""
    from dagster import DagsterExecutionInterruptedError

    from pipeline_project.dagster_internals.execution import (
        core_execute_run,
        pop_captured_interrupt,
        recon_job_from_origin,
    )

    # what was meant for the run before and came too late
    pop_captured_interrupt()
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished or run.job_code_origin is None:
        return True
    origin = own_code(run.job_code_origin, tenant, modules)
    if origin is None:
        _refuse(instance, run, tenant)
        return True
    if _begun_by_others(run):
        _give_back(instance, run)
        return True
    instance.add_run_tags(run_id, {RUN_CODE: running_code()})
    instance.report_engine_event(f"A run worker's process has the run (pid: {os.getpid()}).", run)
    try:
        for event in core_execute_run(recon_job_from_origin(origin), run, instance, inject_env_vars=True):
            if _is_outdated(event):
                # a failed step alone is not run again by itself, and this one is for whoever has the newer code
                instance.add_run_tags(run_id, {_STRATEGY: _WHOLE, _AGAIN: "true"})
    except (KeyboardInterrupt, DagsterExecutionInterruptedError):
        return False
    return True


def _refuse(instance: DagsterInstance, run: DagsterRun, tenant: str) -> None:
    named = run.job_code_origin.get_repo_pointer().describe() if run.job_code_origin else "none"
    instance.report_run_failed(
        run,
        f"Its code ({named}) is not that of {f'tenant {tenant}' if tenant else 'the house'}, and no run worker "
        "executes other code. Look who may write to Dagster's database; then launch the job anew.",
    )


def _is_outdated(event: DagsterEvent) -> bool:
    """Whether a step failed because a newer version has migrated the ledger meanwhile."""
    error = event.step_failure_data.error if event.is_step_failure else None
    while error is not None and error.cls_name != LedgerNewer.__name__:
        error = error.cause
    return error is not None


def _begun_by_others(run: DagsterRun) -> bool:
    """Whether another version of the code made what the run would go on with."""
    return bool(run.step_keys_to_execute) and run.tags.get(RUN_CODE, running_code()) != running_code()


def _give_back(instance: DagsterInstance, run: DagsterRun) -> None:
    instance.add_run_tags(run.run_id, {_STRATEGY: _WHOLE})
    instance.report_run_failed(
        run,
        f"What it goes on with was made by version {run.tags[RUN_CODE]} of the code, and this process runs "
        f"{running_code()}; it is run again from its beginning.",
    )


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)
