"""Jobs that a run worker of the tests executes, in a process of its own."""

import os
import signal
import time
from pathlib import Path

import dagster as dg

from pipeline_project.domain.core.errors import LedgerNewer

#: A folder where the jobs leave traces.
TRACES = "TRACES_OF_RUNS"


def _trace(context: dg.OpExecutionContext, what: str) -> None:
    folder = Path(os.environ[TRACES])
    with (folder / what).open("a", encoding="utf-8") as file:
        file.write(f"{context.run_id} {os.getpid()}\n")


@dg.op
def leaves_a_trace(context: dg.OpExecutionContext) -> None:
    with (Path(os.environ[TRACES]) / "tenants").open("a", encoding="utf-8") as file:
        file.write(f"{context.run_id} {os.environ.get('PIPELINE_TENANT', '')}\n")
    _trace(context, "done")


@dg.op
def waits_for_ever(context: dg.OpExecutionContext) -> None:
    _trace(context, "waiting")
    while not (Path(os.environ[TRACES]) / "go on").exists():
        time.sleep(0.02)
    _trace(context, "done")


@dg.op
def is_killed(context: dg.OpExecutionContext) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dg.op
def finds_a_newer_ledger() -> None:
    raise dg.Failure(description="as a step's retries say it", allow_retries=False) from LedgerNewer("migrated")


@dg.job(executor_def=dg.in_process_executor)
def outdated() -> None:
    finds_a_newer_ledger()


@dg.job(executor_def=dg.in_process_executor)
def quick() -> None:
    leaves_a_trace()


@dg.job(executor_def=dg.in_process_executor)
def slow() -> None:
    waits_for_ever()


@dg.job(executor_def=dg.in_process_executor)
def killed() -> None:
    is_killed()
