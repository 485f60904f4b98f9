"""Kills a process at a chosen point of a night: only the tests know these points, the product has none.

A fresh process is forked from a server that has loaded the heavy libraries once, patched at its edge, and runs the
`pipeline` command until it meets the point, where it sends itself SIGKILL.
"""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HEAVY = [
    "great_expectations",
    "mlflow.tracking",
    "pipeline_project.definitions",
    "pipeline_project.commands.nights",
    "resources.contracts.arrivals",
    "resources.lake.lake",
    "resources.registry.registry",
    "resources.reports.pages",
    "resources.lake.vectors",
    "tests.integration.failpoints",
    "torch",
    "xgboost",
]


@dataclass(frozen=True)
class Point:
    """Where a process ends itself.

    Attributes:
        place: module and function that are patched, `module:Class.method`.
        after: once the function has done its work, instead of before.
        meant: whether this call is the one, from its arguments.
    """

    place: str
    after: bool
    meant: Callable[..., bool] = lambda *_, **__: True


def _output(asset_name: str) -> Callable[..., bool]:
    return lambda _self, context, _table: context.asset_key.path[-1] == asset_name


def _file_of(asset_name: str) -> Callable[..., bool]:
    return lambda _self, uri, *_, **__: uri.endswith(f"/{asset_name}")


_HANDLE = "resources.lake.io_manager:LakeIOManager.handle_output"
_LEDGER = "resources.ledger.nights.ledger"

#: During a night, in the order in which it comes by them.
NIGHT: dict[str, Point] = {
    "before the arrivals are written": Point(_HANDLE, False, _output("arrivals")),
    "arrivals in a file that no commit names": Point(
        "resources.lake.delta:DeltaStore.add_file", True, _file_of("arrivals")
    ),
    "arrivals written, Dagster not told": Point(_HANDLE, True, _output("arrivals")),
    "cases written, quarantine not": Point(_HANDLE, True, _output("cases")),
    "vectors kept, embeddings not": Point("resources.lake.vectors:LakeVectorStore.put", True),
    "scores written": Point(_HANDLE, True, _output("scores")),
    "before the decisions are recorded": Point(f"{_LEDGER}:PostgresLedger.record_decisions", False),
    "decisions inserted, not committed": Point(
        f"{_LEDGER}:insert_new", True, lambda _connection, table, *_: table.name == "decisions"
    ),
    "actions inserted, tasks not": Point("resources.ledger.nights.night_work:enqueue", True),
    "tasks inserted, audit row not": Point("resources.ledger.nights.night_work:open_tasks", True),
    "audit row inserted, nothing committed": Point("resources.ledger.nights.night_work:append", True),
    "decisions committed, lake not told": Point(f"{_LEDGER}:PostgresLedger.record_decisions", True),
    "before the night is released": Point(f"{_LEDGER}:PostgresLedger.release", False),
    "released, not committed": Point("resources.ledger.nights.night_work:release_night", True),
    "released, Dagster not told": Point(f"{_LEDGER}:PostgresLedger.release", True),
    "before the report": Point("resources.reports.pages:ReportFolder.write", False),
    "report written, Dagster not told": Point("resources.reports.pages:ReportFolder.write", True),
}
#: During the first training, whose model decides at once.
TRAINING: dict[str, Point] = {
    "run logged, version not registered": Point("resources.registry.registry:MlflowRegistry._log_run", True),
    "version registered, ledger not told": Point("resources.registry.registry:MlflowRegistry.log_training", True),
    "alias moved, no champion in the ledger": Point(
        "resources.registry.registry:MlflowRegistry.point",
        True,
        lambda _self, _workflow, alias, _version: alias == "champion",
    ),
    "champion in the ledger, Dagster not told": Point(f"{_LEDGER}:PostgresLedger.record_champion", True),
}
#: During a later one, whose model needs a signature.
TRAINING_AGAIN: dict[str, Point] = {
    "second run logged, version not registered": TRAINING["run logged, version not registered"],
    "second version registered, nothing proposed": TRAINING["version registered, ledger not told"],
    "before it is proposed": Point("resources.ledger.models.proposals:PostgresPromotions.propose", False),
    "model known, proposal not committed": Point("resources.ledger.models.proposals:append", False),
    "proposed, Dagster not told": Point("resources.ledger.models.proposals:PostgresPromotions.propose", True),
}


def run(
    environ: Mapping[str, str],
    words: Sequence[str],
    point: str | None = None,
    first: Callable[[], None] | None = None,
) -> multiprocessing.Process:
    """Starts `pipeline WORDS` in a process of its own, to be killed at a point of `NIGHT` or a training.

    Args:
        first: called there before anything else, to take a protection out; importable by its name.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(HEAVY)
    process = context.Process(target=_live, args=(dict(environ), list(words), point, first))
    process.start()
    return process  # type: ignore[return-value]


def ended(process: multiprocessing.Process, seconds: float = 600) -> int:
    """The exit code of a process, negative for the signal that ended it."""
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        raise TimeoutError(f"the process had not ended after {seconds} seconds")
    assert process.exitcode is not None
    return process.exitcode


def _live(
    environ: dict[str, str], words: list[str], point: str | None, first: Callable[[], None] | None = None
) -> None:
    for name in [name for name in os.environ if name.startswith("PIPELINE_")]:
        del os.environ[name]
    os.environ.update(environ)
    if first is not None:
        first()
    if point is not None:
        _plant({**NIGHT, **TRAINING, **TRAINING_AGAIN}[point])
    import sys

    from pipeline_project import cli

    sys.argv = ["pipeline", *words]
    cli.main()


def _plant(point: Point) -> None:
    module, _, path = point.place.partition(":")
    owner: Any = importlib.import_module(module)
    *names, last = path.split(".")
    for name in names:
        owner = getattr(owner, name)
    whole = getattr(owner, last)

    @functools.wraps(whole)
    def mined(*args: Any, **kwargs: Any) -> Any:
        meant = point.meant(*args, **kwargs)
        if meant and not point.after:
            os.kill(os.getpid(), signal.SIGKILL)
        done = whole(*args, **kwargs)
        if meant:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(owner, last, mined)
